"""Results as tables in the paper's form and as JSON."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from fairseq_vhm.human_eval.agreement import Agreement
from fairseq_vhm.human_eval.criteria import CRITERIA, KEYS
from fairseq_vhm.human_eval.material import LABELS
from fairseq_vhm.human_eval.results import Average, Results
from fairseq_vhm.metrics.significance import Comparison
from fairseq_vhm.tables import DAGGER, DOUBLE_DAGGER, Table

MARKING_TEST = "t-test"
SHORT = {criterion.key: criterion.short for criterion in CRITERIA}
NOTHING = "-"
SMALLEST_P = 0.0001
KEYED = ("system", "criterion")


def tables(results: Results) -> list[Table]:
    """Averages (Tables 6 and 7 of VHM), differences where systems were compared, agreement."""
    differences = [_differences(results)] if results.comparisons else []
    return [_averages(results), *differences, _agreement(results)]


def as_json(results: Results) -> dict[str, Any]:
    """See ``docs/human_eval.md``; ratings and differences on the scale from 1 to 5."""
    key = results.key
    return {
        "study": key.study,
        "n": results.count,
        "samples": len(key.samples),
        "annotators": [one.annotator for one in results.read],
        "average": {
            name: {one.criterion: _figures(one, *KEYED) for one in results.averages if one.system == name}
            for name in key.systems
        },
        "agreement": {one.criterion: _figures(one, *KEYED) for one in results.agreement},
        "baseline": results.baseline,
        "alpha": results.settings.alpha,
        "comparisons": [_figures(one) for one in results.comparisons],
        "findings": results.findings,
        "ratings": list(_ratings(results)),
        "comments": list(_comments(results)),
    }


def _averages(results: Results) -> Table:
    marks = {(one.system, one.metric): _mark(one, results) for one in results.comparisons}
    means = {(one.system, one.criterion): f"{one.mean:.2f}" for one in results.averages}
    rows = [
        [name, *(means[name, key] + marks.get((name, key), "") for key in KEYS)]
        for name in results.key.systems
    ]
    title = f"Human evaluation: mean ratings from 1 to 5 of {_count(results)}"
    names = ", ".join(f"{criterion.short}: {criterion.name.lower()}" for criterion in CRITERIA)
    notes = [f"{names}.", *_notes_on_marks(results), *(f"{finding}." for finding in results.findings)]
    return Table(title, ["System", *SHORT.values()], rows, notes)


def _count(results: Results) -> str:
    who = len(results.read)
    return f"{results.count} samples by {who} annotator{'s' if who != 1 else ''}"


def _notes_on_marks(results: Results) -> Iterator[str]:
    if not results.comparisons:
        yield "No test between systems: it takes two systems and two samples."
        return
    test = next(one.signature for one in results.comparisons if one.test == MARKING_TEST)
    yield (
        f"{DAGGER} better, {DOUBLE_DAGGER} worse than {results.baseline} by a paired t-test over"
        f" samples, p < {results.settings.alpha:g} ({test})."
    )


def _mark(one: Comparison, results: Results) -> str:
    if one.test != MARKING_TEST or not one.p_corrected < results.settings.alpha:
        return ""
    return DAGGER if one.difference > 0 else DOUBLE_DAGGER


def _differences(results: Results) -> Table:
    level = f"{100 * (1 - results.settings.alpha):g}%"
    pairs: dict[tuple[str, str], dict[str, Comparison]] = {}
    for one in results.comparisons:
        pairs.setdefault((one.system, one.metric), {})[one.test] = one
    rows = [
        [
            f"{system} {SHORT[criterion]}",
            f"{_shown(by_test[MARKING_TEST].difference):+.2f}",
            _interval(by_test[MARKING_TEST]),
            *(_p(by_test[test].p_corrected) for test in (MARKING_TEST, "bootstrap")),
        ]
        for (system, criterion), by_test in sorted(pairs.items(), key=lambda pair: _place(pair, results))
    ]
    columns = ["System", "Difference", f"{level} interval", "p t-test", "p bootstrap"]
    note = f"p is corrected within a criterion and test: {results.settings.correction}; intervals are not."
    return Table(f"Differences from {results.baseline}", columns, rows, [note])


def _place(pair: tuple[tuple[str, str], object], results: Results) -> tuple[int, int]:
    (system, criterion), _ = pair
    return results.key.systems.index(system), KEYS.index(criterion)


def _p(p: float) -> str:
    return f"{p:.4f}" if p >= SMALLEST_P else f"< {SMALLEST_P:.4f}"


def _interval(one: Average | Comparison) -> str:
    return f"{_shown(one.low):.2f} to {_shown(one.high):.2f}"


def _shown(figure: float | None) -> float:
    """``figure`` to two decimals, and no zero with a minus sign."""
    return round(figure or 0.0, 2) + 0.0


def _agreement(results: Results) -> Table:
    rows = [
        [
            SHORT[one.criterion],
            *(NOTHING if figure is None else f"{figure:.3f}" for figure in (one.alpha, one.kappa)),
            *(NOTHING if share is None else f"{share:.0%}" for share in (one.equal, one.within_one)),
            str(one.texts),
        ]
        for one in results.agreement
    ]
    columns = ["Criterion", "alpha", "kappa", "equal", "within 1", "texts"]
    notes = ["alpha: Krippendorff's, ordinal; kappa: Fleiss', nominal; equal: pairs of ratings of one text."]
    notes += [f"{SHORT[one.criterion]}: none ({one.reason})." for one in results.agreement if one.reason]
    return Table("Agreement of annotators", columns, rows, notes)


def _figures(one: Average | Agreement | Comparison, *left_out: str) -> dict[str, Any]:
    """Fields by name, what is not a number as ``None``; a comparison's metric is a criterion."""
    named = {"criterion" if name == "metric" else name: value for name, value in asdict(one).items()}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in named.items()
        if name not in left_out
    }


def _ratings(results: Results) -> Iterator[dict[str, Any]]:
    """Every rating with the system behind it: what other statistics programs read."""
    for one in results.read:
        for sample in results.key.samples:
            for item, systems in sample["items"].items():
                rated: Mapping[str, int] = one.ratings.get(item, {})
                for system in systems if rated else ():
                    yield {"annotator": one.annotator, "line": sample["line"], "system": system, **rated}


def _comments(results: Results) -> Iterator[dict[str, Any]]:
    """Comments with the systems behind the labels that they speak of."""
    items = results.key.items
    for one in results.read:
        for number, text in one.comments.items():
            sample = next(each for each in results.key.samples if each["number"] == number)
            order = next(shown for shown in results.key.orders[one.annotator] if shown[0] in sample["items"])
            labels = {label: items[item] for label, item in zip(LABELS, order, strict=False)}
            yield {"annotator": one.annotator, "line": sample["line"], "labels": labels, "text": text}
