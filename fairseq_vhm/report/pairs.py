"""CrossSum's Figures 2-4 (Bhattacharjee et al., ACL 2023): scores of every pair of languages.

They are drawn from files ``scores.SRC-TGT.json`` in a run's folder, which ``vhm score --corpus`` writes, or
``vhm score --json`` for the outputs of one pair.  Pairs of fewer examples than ``scores.pairs.json`` says are
left out of the figures and means, and counted; outputs in wrong languages are shown of all.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from fairseq_vhm.errors import UserError
from fairseq_vhm.language_pairs import offtarget
from fairseq_vhm.language_pairs.results import PairScores as Pair
from fairseq_vhm.language_pairs.results import counted
from fairseq_vhm.language_pairs.tables import (
    COLUMNS,
    language_table,
    off_target_tables,
    overall_table,
    size_note,
)
from fairseq_vhm.report.figures import (
    COLOURS,
    Figure,
    canvas,
    file_name,
    in_legend,
    legend,
    literal,
    picture,
)
from fairseq_vhm.report.runs import Run
from fairseq_vhm.report.systems import base_name
from fairseq_vhm.tables import Table

PairScores = Mapping[tuple[str, str], float]

METRICS = {"lase": COLUMNS["lase"], "rouge2": COLUMNS["rouge2"], "lase_source": COLUMNS["lase_source"]}
PIVOTS = 4
CELL = 0.42  # inches of a bubble plot, a language
LARGEST, SMALLEST = 240, 5  # points² of a bubble
MARGIN = 1.6
BAR = 0.85  # share of a group that its bars take
DARK = 55  # percent from which on a cell's text is white


def check_pivots(runs: Sequence[Run], pivots: Sequence[str]) -> None:
    """Refuse a pivot that is in no pair of any run."""
    languages = sorted({lang for run in runs for pair in run.pairs for lang in pair})
    for pivot in pivots:
        if pivot not in languages:
            there = f"there are {', '.join(languages)}" if languages else "no run has scores of pairs"
            raise UserError(f"--pivots {pivot}: no pair is of that language; {there}")


def pair_figures(runs: Sequence[Run], pivots: Sequence[str] = ()) -> list[Figure]:
    """The languages of outputs; for each metric that any run has a bubble plot for each run, bars by language
    and by pivot.

    ``pivots`` are the languages of the last; by default those of the most pairs.
    """
    names = _names([run for run in runs if run.pairs])
    known = {name: run.pair_scores for name, run in names.items() if offtarget.told(run.pair_scores)}
    figures = [wrong_language_figure(name, pairs) for name, pairs in known.items()]
    for metric, shown in METRICS.items():
        systems = {name: scores for name, run in names.items() if (scores := scores_of(run, metric))}
        if not systems:
            continue
        values = [score for scores in systems.values() for score in scores.values()]
        extent = (min(values), max(values))
        left_out = {name: size_note(names[name].pair_scores, names[name].least) for name in systems}
        figures += [bubbles(name, scores, metric, extent, left_out[name]) for name, scores in systems.items()]
        figures.append(bars_by_language(systems, metric, shown))
        figures += bars_by_pivot(systems, metric, shown, pivots)
    return figures


def wrong_languages(runs: Sequence[Run]) -> list[str]:
    """A line for each run with outputs in wrong languages."""
    names = _names([run for run in runs if run.pairs])
    found = {name: offtarget.warning(run.pair_scores, run.limit) for name, run in names.items()}
    return [f"{name}: {line}" for name, line in found.items() if line]


def wrong_language_tables(runs: Sequence[Run]) -> list[Table]:
    """Outputs in wrong languages, of each system: what a report says first."""
    names = _names([run for run in runs if run.pairs])
    return [table for name, run in names.items() for table in off_target_tables(run.pair_scores, name)]


def pair_tables(runs: Sequence[Run]) -> list[Table]:
    """Means over pairs of each system and metric, and by language."""
    names = _names([run for run in runs if run.pairs])
    if not names:
        return []
    tables = [overall_table([(name, run.pair_scores, run.least) for name, run in names.items()])]
    for name, run in names.items():
        if found := language_table(run.pair_scores, run.least, name):
            tables.append(found)
    return tables


def scores_of(run: Run, metric: str) -> dict[tuple[str, str], float]:
    """(source, target) -> score, of the pairs that count."""
    return {
        (pair.source, pair.target): value
        for pair in counted(run.pair_scores, run.least)
        if (value := pair.headline(metric)) is not None
    }


def wrong_language_figure(name: str, pairs: Sequence[Pair]) -> Figure:
    """Source by target: the share of outputs in another language, and which it is mostly."""
    found = {one.name: one for one in offtarget.by_pair(pairs)}
    places = {pair.name: (pair.source, pair.target) for pair in offtarget.told(pairs)}
    sources, targets = (sorted({place[side] for place in places.values()}) for side in (0, 1))
    shares = [[float("nan")] * len(targets) for _ in sources]
    for pair, (source, target) in places.items():
        shares[sources.index(source)][targets.index(target)] = found[pair].share
    size = (CELL * len(targets) + MARGIN + 1, CELL * len(sources) + MARGIN)
    with canvas(1, columns=1, panel=size) as (figure, (ax,)):
        drawn = ax.imshow(shares, cmap="Reds", vmin=0, vmax=100, aspect="auto")
        for pair, (source, target) in places.items():
            if one := next(iter(found[pair].instead.most_common(1)), None):
                colour = "white" if found[pair].share > DARK else "black"
                where = (targets.index(target), sources.index(source))
                ax.text(*where, literal(one[0]), ha="center", va="center", color=colour, fontsize=7)
        _ticks_below(ax, targets)
        ax.set_yticks(range(len(sources)), list(map(literal, sources)))
        ax.set(xlabel="target", ylabel="source", title=literal(name))
        ax.grid(visible=False)
        ax.set_facecolor("0.88")
        figure.colorbar(drawn, ax=ax, label="wrong language, % of outputs", shrink=0.8)
        title = f"Outputs in a wrong language, {name}"
        caption = (
            "Share of a pair's outputs in another language than was asked for, with the language that was"
            " written most instead; pairs of any size, grey where there is none."
        )
        data = {pair: one.as_json() for pair, one in found.items()}
        return picture(figure, f"wrong_language_{file_name(name)}", title, caption, data)


def bubbles(
    name: str, scores: PairScores, metric: str, extent: tuple[float, float], left_out: str = ""
) -> Figure:
    """Figure 2: source by target; area and colour say the score, on the scales of ``extent``: the
    least and the greatest score of all systems.  ``left_out`` ends the caption."""
    title = f"{METRICS[metric]} of every pair, {name}"
    caption = "Area and colour of a bubble: the score of the pair, on the same scale for all systems."
    caption = f"{caption} {left_out}".rstrip()
    file = f"pairs_{metric}_{file_name(name)}"
    areas = {pair: max(score, 0) / max(extent[1], 1e-9) for pair, score in scores.items()}
    drawn = {"vmin": extent[0], "vmax": extent[1]}
    return bubble_figure((file, title, caption), scores, areas, name, METRICS[metric], drawn)


def bubble_figure(
    words: tuple[str, str, str],
    values: PairScores,
    areas: PairScores,
    head: str,
    label: str,
    colours: Mapping[str, object],
) -> Figure:
    """A bubble for every pair, source by target.

    Args:
        words: name, title and caption of the figure; ``head`` stands above the bubbles.
        values: say the colours; ``label`` is what they are.
        areas: from 0 to 1.
        colours: their scale, as matplotlib's ``scatter`` takes it.
    """
    sources, targets = (sorted({pair[side] for pair in values}) for side in (0, 1))
    size = (CELL * len(targets) + MARGIN + 1, CELL * len(sources) + MARGIN)
    with canvas(1, columns=1, panel=size) as (figure, (ax,)):
        pairs = sorted(values)
        drawn = ax.scatter(
            [targets.index(target) for _, target in pairs],
            [sources.index(source) for source, _ in pairs],
            s=[max(LARGEST * areas[pair], SMALLEST) for pair in pairs],
            c=[values[pair] for pair in pairs],
            cmap="viridis_r",
            **colours,
        )
        _ticks_below(ax, targets)
        ax.set_yticks(range(len(sources)), list(map(literal, sources)))
        ax.set(xlabel="target", ylabel="source", title=literal(head))
        ax.set(xlim=(-0.7, len(targets) - 0.3), ylim=(len(sources) - 0.3, -0.7))
        figure.colorbar(drawn, ax=ax, label=label, shrink=0.8)
        data = {f"{source}-{target}": value for (source, target), value in values.items()}
        return picture(figure, *words, data)


def bars_by_language(systems: Mapping[str, PairScores], metric: str, shown: str) -> Figure:
    """Figure 3: means over the other side's languages, by target and by source."""
    data = {
        side: {name: by_language(scores, place) for name, scores in systems.items()}
        for side, place in (("target", 1), ("source", 0))
    }
    width = max(len(means) for by_system in data.values() for means in by_system.values())
    with canvas(2, columns=1, panel=_bar_panel(width)) as (figure, axes):
        for (side, by_system), ax in zip(data.items(), axes, strict=True):
            _bars(ax, by_system)
            ax.set(xlabel=f"{side} language", ylabel=shown)
        legend(figure, axes, list(systems))
        caption = "Means over the pairs of a language as target and as source."
        return picture(figure, f"languages_{metric}", f"{shown} by language", caption, data)


def bars_by_pivot(
    systems: Mapping[str, PairScores], metric: str, shown: str, pivots: Sequence[str] = ()
) -> list[Figure]:
    """Figure 4: the pairs of some languages, one by one, into and out of them; none where no pair counts.

    By default they are the languages of the most pairs.
    """
    panels = [(pivot, side) for pivot in pivots or usual_pivots(systems) for side in (1, 0)]
    data = {
        f"to {pivot}" if side else f"from {pivot}": {
            name: around(scores, pivot, side) for name, scores in systems.items()
        }
        for pivot, side in panels
    }
    data = {title: found for title, found in data.items() if any(found.values())}
    if not data:
        return []
    width = max(len(means) for found in data.values() for means in found.values())
    with canvas(len(data), columns=2, panel=_bar_panel(width)) as (figure, axes):
        for (title, found), ax in zip(data.items(), axes, strict=True):
            _bars(ax, found)
            ax.set(title=literal(title), ylabel=shown)
        legend(figure, axes, list(systems))
        which = ", ".join(pivots) if pivots else "the languages with the most pairs"
        caption = f"Scores of the pairs into and out of {which}."
        return [picture(figure, f"pivots_{metric}", f"{shown} by pivot", caption, data)]


def by_language(scores: PairScores, side: int) -> dict[str, float]:
    """Means over the pairs that have a language on a side (0 source, 1 target)."""
    groups: dict[str, list[float]] = {}
    for pair, score in scores.items():
        groups.setdefault(pair[side], []).append(score)
    return {lang: fmean(values) for lang, values in sorted(groups.items())}


def around(scores: PairScores, pivot: str, side: int) -> dict[str, float]:
    """Scores of the pairs with ``pivot`` on a side, by the language on the other."""
    return {pair[1 - side]: score for pair, score in sorted(scores.items()) if pair[side] == pivot}


def usual_pivots(systems: Mapping[str, PairScores]) -> list[str]:
    """The languages of the most pairs."""
    pairs = {pair for scores in systems.values() for pair in scores}
    languages = sorted({lang for pair in pairs for lang in pair})
    counts = {lang: sum(lang in pair for pair in pairs) for lang in languages}
    return sorted(languages, key=lambda lang: (-counts[lang], lang))[:PIVOTS]


def _bars(ax: Any, by_system: Mapping[str, Mapping[str, float]]) -> None:
    labels = sorted({label for found in by_system.values() for label in found})
    width = BAR / len(by_system)
    for place, (name, found) in enumerate(by_system.items()):
        shift = (place - (len(by_system) - 1) / 2) * width
        there = [i for i, label in enumerate(labels) if label in found]
        heights = [found[labels[i]] for i in there]
        colour = COLOURS[place % len(COLOURS)]
        ax.bar([i + shift for i in there], heights, width, color=colour, label=in_legend(name))
    _ticks_below(ax, labels)
    ax.grid(axis="x", visible=False)


def _ticks_below(ax: Any, names: Sequence[str]) -> None:
    """A tick for each name; upright where there is no room for them side by side."""
    upright = max(map(len, names)) > 3
    ax.set_xticks(range(len(names)), list(map(literal, names)), rotation=90 if upright else 0)


def _bar_panel(languages: int) -> tuple[float, float]:
    return max(3.2, 0.35 * languages + 1), 2.3


def _names(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by the name of their system, with the run's where several have one name."""
    plain = [base_name(run) for run in runs]
    return {
        name if plain.count(name) == 1 else f"{name} ({run.name})": run
        for name, run in zip(plain, runs, strict=True)
    }
