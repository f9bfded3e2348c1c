"""Tables over pairs of languages: wrong languages first, then means and counts."""

from collections.abc import Collection, Sequence

from fairseq_vhm.language_pairs import means, offtarget
from fairseq_vhm.language_pairs.offtarget import OffTarget
from fairseq_vhm.language_pairs.results import PairScores, counted
from fairseq_vhm.tables import Table

COLUMNS = {"rouge2": "ROUGE-2", "lase": "LaSE", "lase_source": "LaSE by source"}
"""What tables show of a pair; ``lase_source`` is against the article's summary in its own language."""
OTHER_ROUGE = {"rouge1": "ROUGE-1", "rougeL": "ROUGE-L"}
WORST = 20
NOTHING = "-"


def off_target_tables(pairs: Sequence[PairScores], system: str = "") -> list[Table]:
    """Outputs in wrong languages by target, and by pair of those that have the most; none where unknown."""
    everything, known = offtarget.over_all(pairs), offtarget.told(pairs)
    if not known:
        return []
    title = f"Wrong language: {everything.share:.1f} % of outputs{f', {system}' if system else ''}"
    rows = [_off_row(one) for one in (everything, *offtarget.by_target(pairs))]
    notes = [_OFF_NOTE]
    if unknown := offtarget.not_told(pairs):
        notes.append(f"Not told, as the identifier does not know them: {', '.join(unknown)}.")
    tables = [Table(title, ["target", *_OFF_COLUMNS], rows, notes)]
    worst = [one for one in offtarget.by_pair(pairs) if one.off]
    if len(known) > 1 and worst:
        shown = worst[:WORST]
        more = [f"{len(worst) - WORST} more pairs have some."] * (len(worst) > WORST)
        name = f"Pairs with most outputs in a wrong language{f', {system}' if system else ''}"
        tables.append(Table(name, ["pair", *_OFF_COLUMNS], [_off_row(one) for one in shown], more))
    return tables


def language_table(pairs: Sequence[PairScores], least: int, system: str = "") -> Table | None:
    """Means of each language as target, as source and as either; ``None`` where no pair is large enough."""
    large = counted(pairs, least)
    metrics = {name: shown for name, shown in COLUMNS.items() if any(name in pair.metric for pair in large)}
    if not metrics:
        return None
    found = means.by_language(large, list(metrics))
    languages = sorted({language for by_side in found.values() for language in by_side})
    columns = [f"{head} {shown}" for head in _HEADS.values() for shown in ("pairs", *metrics.values())]
    rows = [
        [language, *(cell for side in _HEADS for cell in _cells(found[side].get(language), metrics))]
        for language in languages
    ]
    title = f"Means by language{f', {system}' if system else ''}"
    notes = [f"{_MEANS_NOTE} {_BOTH_NOTE}", size_note(pairs, least)]
    return Table(title, ["language", *columns], rows, notes)


def overall_table(systems: Sequence[tuple[str, Sequence[PairScores], int]]) -> Table:
    """Means and counts over all pairs of each system (its name, its pairs, the least size that counts)."""
    metrics = _shown([pair for _, pairs, _ in systems for pair in pairs])
    rows, notes = [], [_MEANS_NOTE]
    for name, pairs, least in systems:
        overall = means.mean(counted(pairs, least), list(metrics))
        off = [f"{offtarget.over_all(pairs).share:.1f}" if offtarget.told(pairs) else NOTHING]
        examples = f"{sum(pair.count for pair in pairs):,}"
        counts = [f"{overall.pairs:,} of {len(pairs):,}", examples]
        rows.append([name, *counts, *_values(overall, metrics), *off])
        notes.append(f"{name}: {size_note(pairs, least)}" if len(systems) > 1 else size_note(pairs, least))
    columns = ["system", "pairs", "examples", *metrics.values(), "wrong language %"]
    return Table("Pairs of languages", columns, rows, notes)


def pair_table(pairs: Sequence[PairScores], least: int) -> Table:
    """Every pair with its count; those below ``least`` are marked."""
    metrics = _shown(pairs)
    off = {one.name: one for one in offtarget.by_pair(pairs)}
    rows = []
    for pair in pairs:
        values = [_number(pair.headline(metric)) for metric in metrics]
        wrong = off.get(pair.name)
        shown = [f"{wrong.share:.1f}", wrong.languages() or NOTHING] if wrong else [NOTHING, NOTHING]
        small = " *" if pair.count < least else ""
        rows.append([f"{pair.name}{small}", f"{pair.count:,}", *values, *shown])
    columns = ["pair", "examples", *metrics.values(), "wrong language %", "written instead"]
    return Table("Every pair", columns, rows, [f"*: {size_note(pairs, least)}"])


def size_note(pairs: Sequence[PairScores], least: int) -> str:
    """How many pairs are too small for the means."""
    small = [pair for pair in pairs if pair.count < least]
    if not small:
        return f"All pairs have {least} examples or more and count."
    share = sum(pair.count for pair in small)
    return (
        f"{len(small):,} of {len(pairs):,} pairs have fewer than {least} examples ({share:,} together) and do"
        " not enter the means (--min-pair-size); wrong languages are counted in all."
    )


_OFF_COLUMNS = ("wrong language %", "of references %", "outputs", "not told", "written instead")
_OFF_NOTE = "In % of the outputs whose language can be told; of references: what the identifier gets wrong."
_HEADS = {"target": "to:", "source": "from:", "pivot": "both:"}
_MEANS_NOTE = "Means over pairs, each counted once."
_BOTH_NOTE = "both: to and from a language, without that into itself."


def _shown(pairs: Sequence[PairScores]) -> dict[str, str]:
    """The metrics that some pair has, with their names in tables."""
    there = {metric for pair in pairs for metric in pair.metric}
    return {name: shown for name, shown in {**COLUMNS, **OTHER_ROUGE}.items() if name in there}


def _off_row(one: OffTarget) -> list[str]:
    counts = [f"{one.identified:,}", f"{one.untold:,}", one.languages() or NOTHING]
    return [one.name, f"{one.share:.1f}", f"{one.references:.1f}", *counts]


def _cells(found: means.Mean | None, metrics: Collection[str]) -> list[str]:
    return [NOTHING] * (1 + len(metrics)) if found is None else [str(found.pairs), *_values(found, metrics)]


def _values(found: means.Mean, metrics: Collection[str]) -> list[str]:
    return [_number(found.values.get(metric)) for metric in metrics]


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
