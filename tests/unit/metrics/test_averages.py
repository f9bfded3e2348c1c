"""Several references to one figure, means with intervals, and notes."""

import numpy as np
import pytest

from fairseq_vhm.metrics.averages import flat_pairs, mean_score, over_references, references_field

REFERENCES = [["a"], ["b", "c"], ["d", "e", "f"]]
SCORES = np.array([[0.5, 1], [0.2, 2], [0.4, 3], [0.9, 4], [0.1, 5], [0.8, 6]])


def test_every_output_is_paired_with_each_of_its_references_in_order():
    pairs = flat_pairs(["x", "y", "z"], REFERENCES)
    assert pairs == [("x", "a"), ("y", "b"), ("y", "c"), ("z", "d"), ("z", "e"), ("z", "f")]
    with pytest.raises(ValueError):
        flat_pairs(["x"], REFERENCES)


def test_the_best_reference_is_one_row_and_the_mean_is_of_all_rows():
    assert over_references(SCORES, REFERENCES, "best").tolist() == [[0.5, 1], [0.4, 3], [0.9, 4]]
    assert over_references(SCORES, REFERENCES, "best", by=1).tolist() == [[0.5, 1], [0.4, 3], [0.8, 6]]
    assert over_references(SCORES, REFERENCES, "mean") == pytest.approx(
        np.array([[0.5, 1], [0.3, 2.5], [0.6, 5]])
    )


def test_a_mean_lies_in_its_interval_which_narrows_with_more_outputs():
    draw = np.random.default_rng(0)
    few, many = (mean_score("m", draw.random(count), "s") for count in (20, 2000))
    for score in (few, many):
        assert score.parts["low"] <= score.value == score.parts["value"] <= score.parts["high"]
        assert score.value == pytest.approx(np.mean(score.per_segment))
    assert many.parts["high"] - many.parts["low"] < few.parts["high"] - few.parts["low"]


def test_the_interval_is_that_of_the_normal_approximation_where_outputs_are_many():
    figures = np.random.default_rng(1).random(2000)
    score = mean_score("m", figures, "s")
    half = 100 * 1.96 * figures.std() / len(figures) ** 0.5
    assert score.parts["low"] == pytest.approx(score.value - half, abs=0.2)
    assert score.parts["high"] == pytest.approx(score.value + half, abs=0.2)


def test_equal_figures_have_an_interval_without_width():
    score = mean_score("m", np.full(7, 1 / 3), "s")
    assert score.parts["low"] == pytest.approx(score.parts["high"], abs=1e-2)
    assert score.parts["low"] <= score.value <= score.parts["high"]


def test_a_mean_over_some_outputs_keeps_a_figure_for_each():
    score = mean_score(
        "m", np.array([1.0, 0, 0, 0]), "s", counted=np.array([True, True, False, False]), seen=2.0
    )
    assert score.value == 50 and score.per_segment == [100, 0, 0, 0] and score.parts["seen"] == 2
    nothing = mean_score("m", np.zeros(2), "s", counted=np.zeros(2, bool))
    assert nothing.parts == {"value": 0, "low": 0, "high": 0} and nothing.value == 0


def test_signatures_say_how_many_references_there_are_and_how_they_are_combined():
    assert references_field([["a"], ["b"]], "best") == "refs:1"
    assert references_field([["a", "b"], ["c", "d"]], "mean") == "refs:2|multi:mean"
    assert references_field(REFERENCES[:2], "best") == "refs:1-2|multi:best"
    assert references_field(REFERENCES, "best") == "refs:1-3|multi:best"
