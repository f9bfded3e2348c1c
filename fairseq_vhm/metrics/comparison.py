"""Comparisons of systems as tables for people and papers, and as JSON for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations

from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.display import as_json, names_by_signature
from fairseq_vhm.metrics.oddities import findings
from fairseq_vhm.metrics.significance import Comparison, Settings
from fairseq_vhm.tables import DAGGER, DOUBLE_DAGGER, Table

STRICTER = 0.01
LEAST_SHOWN = 0.0001
FEW = 30
TESTS_NAMED = {"both": "both tests", "bootstrap": "the paired bootstrap", "t-test": "the paired t-test"}
CORRECTIONS = {"bonferroni": "Bonferroni", "holm": "Holm", "fdr_bh": "Benjamini and Hochberg"}
SHOWN = 0.005  # a smaller difference in points does not show in two decimals
MEANS_NOTE = (
    "difference: of the means over outputs; a score that is a mean over resamples, as ROUGE-1.5.5's, is"
    " not quite that mean"
)


def comparison_json(
    systems: Mapping[str, Sequence[Score]],
    comparisons: Sequence[Comparison],
    baseline: str,
    settings: Settings,
) -> dict:
    """``{"n", "baseline", "settings", "systems": {NAME: as vhm score's}, "comparisons": [{…}]}``."""
    count = comparisons[0].n
    return {
        "n": count,
        "baseline": baseline,
        "settings": asdict(settings),
        "systems": {name: as_json(scores, count) for name, scores in systems.items()},
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }


def oddities(
    outputs: Mapping[str, Sequence[str]], references: Sequence[Sequence[str]], lang: str
) -> Iterator[str]:
    """What looks wrong with the texts of some systems or of all, a line each."""
    found: dict[str, list[str]] = {}
    for name, texts in outputs.items():
        for finding in findings(texts, references, lang):
            found.setdefault(finding, []).append(name)
    for finding, names in found.items():
        yield finding if len(names) == len(outputs) else f"{', '.join(names)}: {finding}"
    for one, other in combinations(outputs, 2):
        if outputs[one] == outputs[other]:
            yield f"{one} and {other} hold the same outputs"
    if len(references) < FEW:
        yield f"{len(references)} outputs are few for a test; {FEW} or more make its p believable"


def scores_table(
    systems: Mapping[str, Sequence[Score]],
    comparisons: Sequence[Comparison],
    baseline: str,
    settings: Settings,
) -> Table:
    """Systems by metrics, with a mark where a score is higher than the baseline's beyond chance."""
    rows = [
        (name, *(f"{one.value:.2f}{mark(comparisons, name, one.name, baseline, settings)}" for one in scores))
        for name, scores in systems.items()
    ]
    columns = ("system", *(score.name for score in systems[baseline]))
    notes = _legend(comparisons, baseline, settings)
    return Table(f"Scores of {comparisons[0].n} outputs", columns, rows, notes)


def differences_table(comparisons: Sequence[Comparison], settings: Settings) -> Table:
    """One row for each metric, pair of systems and test, with the interval of their difference."""
    several = any(comparison.p != comparison.p_corrected for comparison in comparisons)
    columns = ["metric", "system", "against", "difference", _level(settings), "test", "p"]
    rows = [
        [
            comparison.metric,
            comparison.system,
            comparison.baseline,
            signed(comparison.difference),
            f"{signed(comparison.low)} to {signed(comparison.high)}",
            comparison.test,
            shown_p(comparison.p),
            *([shown_p(comparison.p_corrected)] if several else []),
        ]
        for comparison in comparisons
    ]
    if several:
        columns.append("p corrected")
    apart = [abs(one.value - one.baseline_value - one.difference) for one in comparisons]
    notes = [MEANS_NOTE] if max(apart) > SHOWN else []
    return Table("Differences and their significance", columns, rows, notes)


def signatures(comparisons: Sequence[Comparison]) -> list[str]:
    """All that the figures depend on, a line for each test and each kind of metric."""
    tests = dict.fromkeys(f"{one.test}: {one.signature}" for one in comparisons)
    metrics = names_by_signature(dict.fromkeys((one.metric, one.metric_signature) for one in comparisons))
    return [*tests, *(f"{', '.join(names)}: {signature}" for signature, names in metrics.items())]


def as_latex(tables: Sequence[Table], comparisons: Sequence[Comparison]) -> str:
    """The tables for a paper, below the signatures as comments."""
    comments = [f"% {line}" for line in signatures(comparisons)]
    return "\n\n".join(["\n".join(comments), *(table.latex() for table in tables)]) + "\n"


def mark(
    comparisons: Sequence[Comparison], system: str, metric: str, baseline: str, settings: Settings
) -> str:
    """A dagger where every test made finds ``system`` better than ``baseline`` at its corrected p."""
    wanted = (metric, system, baseline)
    made = [one for one in comparisons if (one.metric, one.system, one.baseline) == wanted]
    p = max((one.p_corrected for one in made), default=1.0)
    if p >= settings.alpha or not made[0].is_gain:
        return ""
    return DOUBLE_DAGGER if p < STRICTER < settings.alpha else DAGGER


def shown_p(p: float) -> str:
    return f"{p:.4f}" if p >= LEAST_SHOWN else f"<{LEAST_SHOWN}"


def signed(points: float) -> str:
    """Points with their sign, two decimals; the minus is a minus, not a hyphen."""
    return f"{points:+.2f}".replace("-", "−")


def _level(settings: Settings) -> str:
    return f"{100 * (1 - settings.alpha):g}% interval"


def _legend(comparisons: Sequence[Comparison], baseline: str, settings: Settings) -> list[str]:
    stricter = f", {DOUBLE_DAGGER} p < {STRICTER}" if settings.alpha > STRICTER else ""
    meaning = f"{DAGGER} better than {baseline} at p < {settings.alpha:g}{stricter}"
    tests = {one.metric: {two.test for two in comparisons if two.metric == one.metric} for one in comparisons}
    alone = [metric for metric, made in tests.items() if made == {"bootstrap"}]
    notes = [f"{meaning}, by {TESTS_NAMED[settings.test]}; {_corrected(comparisons, settings)}"]
    if settings.test == "both" and alone:
        notes.append(f"{', '.join(alone)}: figures of the whole corpus, tested by the bootstrap alone")
    return notes


def _corrected(comparisons: Sequence[Comparison], settings: Settings) -> str:
    first = comparisons[0]
    family = sum((one.metric, one.test) == (first.metric, first.test) for one in comparisons)
    if family == 1:
        return "one comparison of each metric, so p needs no correction"
    if settings.correction == "none":
        return f"p not corrected for {family} comparisons of each metric"
    return f"p corrected by {CORRECTIONS[settings.correction]} for {family} comparisons of each metric"

