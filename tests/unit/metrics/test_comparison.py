"""Comparisons as tables and JSON: marks, notes, and figures that agree."""

import json

import pytest

from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.comparison import (
    as_latex,
    comparison_json,
    differences_table,
    mark,
    oddities,
    scores_table,
    shown_p,
    signed,
)
from fairseq_vhm.metrics.significance import Comparison, Settings, compare


def compared(p: float, difference: float = 1.0, test: str = "bootstrap", **changes) -> Comparison:
    usual = dict(metric="rouge1", system="b", baseline="a", value=31.0, baseline_value=30.0)
    interval = dict(difference=difference, low=difference - 1, high=difference + 1)
    settings = dict(p=p / 2, p_corrected=p, test=test, n=40, signature=test, metric_signature="tok")
    return Comparison(**usual | interval | settings | changes)


@pytest.mark.parametrize(
    ("made", "alpha", "expected"),
    [
        ([compared(0.04)], 0.05, "†"),
        ([compared(0.05)], 0.05, ""),
        ([compared(0.009)], 0.05, "‡"),
        ([compared(0.009, difference=-1.0)], 0.05, ""),
        ([compared(0.009), compared(0.04, test="t-test")], 0.05, "†"),
        ([compared(0.001), compared(0.06, test="t-test")], 0.05, ""),
        ([compared(0.009)], 0.01, "†"),
        ([compared(0.08)], 0.1, "†"),
        ([compared(0.001, metric="bleu"), compared(0.001, baseline="c")], 0.05, ""),
        ([], 0.05, ""),
    ],
)
def test_a_dagger_needs_every_test_and_a_higher_score(made, alpha, expected):
    assert mark(made, "b", "rouge1", "a", Settings(alpha=alpha)) == expected


def test_small_p_and_signs_are_shown_as_papers_do():
    assert [shown_p(p) for p in (1.0, 0.0499, 0.0001, 0.00002, 0.0)] == [
        "1.0000",
        "0.0499",
        "0.0001",
        "<0.0001",
        "<0.0001",
    ]
    assert [signed(points) for points in (1.234, -0.5, 0.0)] == ["+1.23", "−0.50", "+0.00"]


def scored(*columns: list[float]) -> list[Score]:
    return [Score(f"m{n}", sum(one) / len(one), one, f"tok:{n}") for n, one in enumerate(columns)]


SYSTEMS = {
    "a_1": scored([1.0, 2.0, 4.0] * 20, [5.0, 5.5, 5.0] * 20),
    "b": scored([2.0, 3.5, 4.5] * 20, [4.0, 6.0, 5.0] * 20),
    "c": scored([1.0, 2.5, 3.5] * 20, [5.0, 5.0, 5.1] * 20),
}
SETTINGS = Settings(resamples=200)


def test_all_forms_hold_the_same_figures():
    found = compare(SYSTEMS, "a_1", SETTINGS)
    tables = scores_table(SYSTEMS, found, "a_1", SETTINGS), differences_table(found, SETTINGS)
    document = comparison_json(SYSTEMS, found, "a_1", SETTINGS)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert [row[0] for row in tables[0].rows] == list(SYSTEMS) == list(document["systems"])
    for row, one in zip(tables[1].rows, document["comparisons"], strict=True):
        assert row[:3] == [one["metric"], one["system"], one["baseline"]]
        assert row[3] == signed(one["difference"]) and row[-1] == shown_p(one["p_corrected"])
    latex = as_latex(tables, found)
    assert latex.count(r"\begin{table}") == 2 and r"a\_1" in latex
    assert all(f"% m{n}: tok:{n}" in latex for n in (0, 1))
    assert not any(char in latex for char in "†‡−")


def test_p_corrected_has_a_column_where_it_differs():
    pairs = {name: SYSTEMS[name] for name in ("a_1", "b")}
    assert differences_table(compare(pairs, "b", SETTINGS), SETTINGS).columns[-1] == "p"
    assert differences_table(compare(SYSTEMS, "b", SETTINGS), SETTINGS).columns[-1] == "p corrected"


def test_a_gain_is_a_difference_to_the_better_side():
    sides = {"higher": [True, False, False], "lower": [False, False, True], "neither": [False] * 3}
    for better, gains in sides.items():
        differences = [compared(0.01, difference=points, better=better) for points in (0.5, 0.0, -0.5)]
        assert [one.is_gain for one in differences] == gains


@pytest.mark.parametrize(
    ("names", "correction", "said"),
    [
        (["a_1", "b"], "holm", "one comparison of each metric, so p needs no correction"),
        (["a_1", "b", "c"], "holm", "p corrected by Holm for 2 comparisons of each metric"),
        (["a_1", "b", "c"], "none", "p not corrected for 2 comparisons of each metric"),
    ],
)
def test_the_note_on_marks_says_how_p_was_corrected(names, correction, said):
    settings = Settings(test="t-test", correction=correction)
    systems = {name: SYSTEMS[name] for name in names}
    [note] = scores_table(systems, compare(systems, "a_1", settings), "a_1", settings).notes
    assert note.endswith(f"by the paired t-test; {said}")


def test_scores_that_are_no_means_of_their_outputs_get_a_note():
    [note] = differences_table([compared(0.01, difference=1.02)], SETTINGS).notes
    assert "a score that is a mean over resamples" in note
    assert differences_table([compared(0.01)], SETTINGS).notes == []


def test_oddities_name_the_systems_that_have_them():
    outputs = {"a": ["x", "", "z"], "b": ["x", "y", "z"], "c": ["x", "y", "z"]}
    assert list(oddities(outputs, [["p"], ["q"], ["r"]], "en")) == [
        "a: 1 of 3 (first: line 2) outputs are empty and score 0",
        "b and c hold the same outputs",
        "3 outputs are few for a test; 30 or more make its p believable",
    ]
    references = [["p"], [""], *[["r"]] * 30]
    outputs = {"a": ["x"] * 32, "b": ["y"] * 32}
    assert list(oddities(outputs, references, "en")) == [
        "1 of 32 (first: line 2) references are empty and score 0"
    ]
