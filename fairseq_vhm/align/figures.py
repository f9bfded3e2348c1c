"""Figures of a run: the numbers of pairs (Figure 2's bubbles), and the histogram of cosines."""

from collections.abc import Sequence
from math import ceil, log, log10

from fairseq_vhm.align.similarity import BINS, Similarity
from fairseq_vhm.report.figures import COLOURS, Figure, canvas, picture, read_matplotlib
from fairseq_vhm.report.pairs import bubble_figure

PANEL = (5.0, 2.8)  # inches


def draw(directions: Sequence[dict], similarity: Similarity, splits: Sequence[str]) -> list[Figure]:
    """``directions`` are the report's; the bubbles are left out where there is no pair."""
    totals = {(one["source"], one["target"]): sum(one[split] for split in splits) for one in directions}
    totals = {pair: count for pair, count in totals.items() if count}
    return [*([bubbles(totals)] if totals else []), histogram(similarity)]


def bubbles(totals: dict[tuple[str, str], int]) -> Figure:
    """Number of pairs of each direction, on a logarithmic scale."""
    read_matplotlib()
    from matplotlib.colors import LogNorm

    most = max(totals.values())
    areas = {pair: log(1 + count) / log(1 + most) for pair, count in totals.items()}
    title = "Aligned articles of every pair of languages"
    caption = "Colour and, as its logarithm, area of a bubble: the number of aligned articles, all splits."
    scale = {"norm": LogNorm(1, 10 ** max(1, ceil(log10(most))))}
    return bubble_figure(("pairs", title, caption), totals, areas, "", "aligned articles", scale)


def histogram(similarity: Similarity) -> Figure:
    """Cosines of nearest summaries, and the thresholds."""
    data = similarity.as_json()
    thresholds = (similarity.pairing.threshold, similarity.pairing.shared_threshold)
    with canvas(1, columns=1, panel=PANEL) as (figure, (ax,)):
        ax.stairs(similarity.counts, BINS, fill=True, color=COLOURS[0])
        for threshold, style in zip(thresholds, ("-", "--"), strict=True):
            ax.axvline(threshold, color=COLOURS[1], linestyle=style, linewidth=1)
        filled = BINS[:-1][similarity.counts > 0]
        ax.set(xlim=(min([0.0, *filled]), 1), yscale="symlog", ylim=(0, None))
        ax.set(xlabel="cosine of the nearest summary of another language", ylabel="summaries")
        caption = "Lines: the threshold, and (dashed) that of pages that share content."
        return picture(figure, "similarity", "Cosines of nearest summaries", caption, data)
