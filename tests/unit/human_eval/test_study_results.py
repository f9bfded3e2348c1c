"""Averages and tests in closed form; tables and JSON that say the same."""

import json
import math
from dataclasses import replace

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.human_eval.criteria import KEYS
from fairseq_vhm.human_eval.display import as_json, tables
from fairseq_vhm.human_eval.key import read_key
from fairseq_vhm.human_eval.ratings import Ratings, read_all
from fairseq_vhm.human_eval.results import evaluate, scores_of
from fairseq_vhm.human_eval.sheet import make_sheets
from fairseq_vhm.metrics.significance import Settings

MEANS = {"Alpha": 2, "Beta": 3, "Gamma": 4}
QUICK = Settings(resamples=200)  # what is asked here is of means and t-tests


def by_system(line, systems, criterion):
    """2, 3 or 4 by system; where they share a text, 3."""
    return 3 if len(systems) > 1 else MEANS[systems[0]]


def one_to_five(line, systems, criterion):
    return 1 + (line - 1) % 5 if line < 11 and criterion == "fluency" else 3


@pytest.fixture
def results(key, export):
    return evaluate(read_all([export("anna", by_system), export("ben", by_system)], key), key, settings=QUICK)


def test_a_system_s_average_is_that_of_its_own_ratings(results):
    # 11 lines of its own and one text shared by all, rated 3.
    expected = {name: (11 * mean + 3) / 12 for name, mean in MEANS.items()}
    assert {(one.system, round(one.mean, 9)) for one in results.averages} == {
        (name, round(mean, 9)) for name, mean in expected.items()
    }


def test_interval_is_student_s(key, export):
    read = read_all([export("anna", one_to_five)], key)
    [average] = [
        one
        for one in evaluate(read, key, settings=QUICK).averages
        if (one.system, one.criterion) == ("Beta", "fluency")
    ]
    # 1 to 5 twice and 3 twice: sum of squares 20 over 11; t(0.975, 11) = 2.201 (any table).
    sd = math.sqrt(20 / 11)
    assert (average.mean, average.sd) == (3.0, pytest.approx(sd))
    assert average.high - 3 == pytest.approx(2.201 * sd / math.sqrt(12), abs=2e-4)
    assert average.high - 3 == pytest.approx(3 - average.low)


def test_a_sample_s_figure_is_the_mean_over_annotators(key, export):
    paths = [export("anna", lambda *_: 2), export("ben", lambda line, *_: 5 if line < 4 else 4)]
    for scores in scores_of(read_all(paths, key), key).values():
        assert all(score.per_segment == [3.5] * 3 + [3.0] * 9 for score in scores)


def test_an_annotator_s_unfinished_sample_does_not_shift_one_system(key, export):
    """Ben is hard on everybody and lacks one rating of Alpha: Alpha must not gain by it."""

    def hard(line, systems, criterion):
        return None if line == 4 and "Alpha" in systems and criterion == "fluency" else 1

    read = read_all([export("anna", lambda *_: 5), export("ben", hard)], key, lenient=True)
    scores = scores_of(read, key)
    assert {score.value for listed in scores.values() for score in listed} == {(3 * 11 + 5) / 12}


def test_samples_that_nobody_finished_are_left_out_for_all_systems(key, export):
    read = read_all([export("anna", lambda line, *_: 3 if line > 2 else None)], key, lenient=True)
    assert evaluate(read, key, settings=QUICK).count == 10
    nothing = read_all([export("anna", lambda *_: None)], key, lenient=True)
    with pytest.raises(UserError, match="no sample is rated as a whole"):
        evaluate(nothing, key)


def test_the_settings_given_are_those_of_the_tests_and_else_the_usual(results, key, export):
    assert results.settings is QUICK
    alone = read_all([export("anna", lambda line, *_: 3 if line == 5 else None)], key, lenient=True)
    assert evaluate(alone, key).settings == Settings()  # of one sample, so that nothing is tested


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tests_and_spreads_take_two_samples(key, export, count):
    read = read_all([export("anna", lambda line, *_: 2 + line % 2 if line <= count else None)], key, True)
    results = evaluate(read, key, settings=QUICK)
    assert results.count == count == results.averages[0].n
    assert bool(results.comparisons) == (count > 1)
    spreads = {one is None for average in results.averages for one in (average.sd, average.low, average.high)}
    assert spreads == {count == 1}
    notes = tables(results)[0].notes
    assert ("No test between systems: it takes two systems and two samples." in notes) == (count == 1)
    assert len(tables(results)) == (3 if count > 1 else 2)


@pytest.mark.parametrize("names", [("Alpha",), ("Alpha", "Beta")])
def test_one_system_alone_has_averages_and_no_test(settings_of, texts, names):
    hyp = [str(texts / name) for name in names]
    study = read_key(make_sheets(settings_of(hyp=hyp), texts / "few").key_path)
    ratings = {item: dict.fromkeys(KEYS, 4) for item in study.items}
    read = [Ratings(texts, "anna", ratings, {}, edited=False)]
    results = evaluate(read, study, settings=QUICK)
    assert [(one.system, one.mean) for one in results.averages] == [(n, 4.0) for n in names for _ in KEYS]
    assert [one.system for one in results.comparisons] == [*names[1:]] * 6 and results.count == 12


def test_t_is_that_of_the_differences_of_sample_means(key, export):
    def rate(line, systems, criterion):
        return 3 + (line % 3 == 0) if systems == ["Gamma"] else 3

    comparisons = evaluate(read_all([export("anna", rate)], key), key, "Alpha", QUICK).comparisons
    [one] = [
        one
        for one in comparisons
        if (one.system, one.metric, one.test) == ("Gamma", "fluency", "t-test")
    ]
    # Four differences of 1 in twelve: mean 1/3, variance 8/33, t = (1/3) / sqrt(8/33/12) = 2.345;
    # two-sided p with 11 degrees of freedom is 0.0388, doubled by Holm beside Beta's p of 1.
    assert one.difference == pytest.approx(1 / 3)
    assert one.p == pytest.approx(0.0388, abs=5e-5)
    assert one.p_corrected == pytest.approx(2 * one.p)


def test_marks_stand_where_the_corrected_p_is_below_the_level(results):
    rows = {row[0]: row[1:] for row in tables(results)[0].rows}
    assert rows == {"Alpha": ["2.08"] * 3, "Beta": ["3.00†"] * 3, "Gamma": ["3.92†"] * 3}
    assert "better, ‡ worse than Alpha by a paired t-test over samples, p < 0.05 (paired-t-test|" in str(
        tables(results)[0].notes
    )


def test_what_is_worse_than_the_baseline_is_marked_as_worse(key, export):
    uncorrected = replace(QUICK, correction="none")
    results = evaluate(read_all([export("anna", by_system)], key), key, "Beta", uncorrected)
    rows = {row[0]: row[1] for row in tables(results)[0].rows}
    assert rows == {"Alpha": "2.08‡", "Beta": "3.00", "Gamma": "3.92†"}
    assert "one annotator" in tables(results)[2].plain()


def test_json_has_every_figure_rating_and_comment_with_its_systems(key, export):
    order = key.orders["anna"][3]
    sample = next(sample for sample in key.samples if order[0] in sample["items"])
    path = export("anna", by_system, comments={sample["number"]: "B is odd"})
    results = evaluate(read_all([path], key), key, settings=QUICK)
    content = json.loads(json.dumps(as_json(results), allow_nan=False))
    assert content["n"] == 12 and content["annotators"] == ["anna"]
    assert content["average"]["Beta"]["fluency"]["mean"] == 3.0
    ratings = {(one["line"], one["system"]): one["fluency"] for one in content["ratings"]}
    assert len(ratings) == 36
    assert all(rating == (3 if line == 1 else MEANS[name]) for (line, name), rating in ratings.items())
    [comment] = content["comments"]
    assert (comment["text"], comment["line"]) == ("B is odd", sample["line"])
    assert list(comment["labels"].values()) == [sample["items"][item] for item in order]


def test_an_unknown_baseline_is_refused(key, export):
    with pytest.raises(UserError, match="--baseline Delta: no such system; there are Alpha, Beta, Gamma"):
        evaluate(read_all([export("anna", by_system)], key), key, "Delta")
