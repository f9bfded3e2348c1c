"""Paired tests: agreement with R and sacreBLEU, error rate under the null, degenerate cases."""

from itertools import product

import numpy as np
import pytest
import sacrebleu
from sacrebleu.significance import PairedTest
from scipy.stats import kstest
from texts import english_summaries, rewritten

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.bleu import score_bleu, score_chrf
from fairseq_vhm.metrics.length import score_length
from fairseq_vhm.metrics.significance import (
    Settings,
    bootstrap_test,
    compare,
    corrected,
    paired_t_test,
)

# Made-up scores of 15 outputs by four systems.
A = [41.2, 35.5, 50.1, 28.4, 44.9, 39.3, 47.7, 31.8, 42.6, 36.4, 52.3, 40.7, 33.1, 45.8, 38.9]
B = [39.8, 34.9, 47.2, 29.5, 43.1, 36.6, 48.1, 30.2, 40.3, 36.9, 49.5, 41.2, 31.7, 43.3, 38.2]
C = [40.1, 36.2, 47.0, 27.7, 45.3, 38.0, 46.1, 32.4, 41.1, 35.0, 51.6, 39.2, 33.9, 44.0, 38.1]
D = [38.8, 35.1, 49.0, 26.9, 44.1, 37.7, 47.0, 30.3, 42.0, 34.8, 50.9, 40.9, 32.4, 43.7, 37.5]
# Hours of sleep gained by ten patients with two drugs (Student, 1908), R's data set `sleep`.
SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)


def scored(figures, name="rouge1", signature="tok:en") -> Score:
    return Score(name, float(np.mean(figures)), list(figures), signature)


def verdicts(test, first, second, **settings):
    return test(scored(first), scored(second), Settings(**settings))


@pytest.mark.parametrize(
    ("first", "second", "alpha", "expected"),
    [
        # t.test(x, y, paired = TRUE) of R 4.2.2: estimate, conf.int, p.value
        (A, B, 0.05, (1.21333333333333, 0.466866959807407, 1.95979970685926, 0.0036334134376964)),
        (A, B, 0.01, (1.21333333333333, 0.177280185017655, 2.24938648164901, 0.0036334134376964)),
        (C, B, 0.05, (0.346666666666667, -0.552358704296034, 1.24569203762937, 0.422089856949761)),
        (*SLEEP, 0.05, (-1.58, -2.459885763276982, -0.700114236723018, 0.00283289019738)),
    ],
)
def test_the_t_test_is_that_of_r(first, second, alpha, expected):
    assert verdicts(paired_t_test, first, second, alpha=alpha) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        # p.adjust of R 4.2.2 of the three t-tests against B ("BH" there is fdr_bh here)
        ("none", [0.0036334134376964, 0.422089856949761, 0.909238027451309]),
        ("bonferroni", [0.0109002403130892, 1, 1]),
        ("holm", [0.0109002403130892, 0.844179713899521, 0.909238027451309]),
        ("fdr_bh", [0.0109002403130892, 0.633134785424641, 0.909238027451309]),
    ],
)
def test_corrections_are_those_of_r_over_the_comparisons_of_one_metric(correction, expected):
    systems = {
        name: [scored(figures), scored(figures[::-1], "rouge2")]
        for name, figures in (("b", B), ("a", A), ("c", C), ("d", D))
    }
    found = compare(systems, "b", Settings(test="t-test", correction=correction))
    assert [one.p_corrected for one in found if one.metric == "rouge1"] == pytest.approx(expected)
    assert [(one.metric, one.system) for one in found] == [*product(("rouge1", "rouge2"), "acd")]
    assert all(one.signature.endswith(f"|correction:{correction}|family:3") for one in found)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        # boot 1.3-28.1 of R 4.2.2, 1,000,000 resamples: boot.ci(type = "perc"), and the two-sided
        # share of resamples beyond zero
        (A, (0.540, 1.853, 0.00036)),
        (C, (-0.46, 1.12, 0.3986)),
    ],
)
def test_the_bootstrap_is_that_of_r_within_the_noise_of_its_resamples(first, expected):
    _, low, high, p = verdicts(bootstrap_test, first, B)
    assert (low, high) == pytest.approx(expected[:2], abs=0.03)
    assert p == pytest.approx(expected[2], abs=0.025 if p > 0.1 else 0.001)


def test_the_bootstrap_estimates_the_share_over_all_resamples():
    first, second = [3.0, 1.0, 4.0, 1.0, 5.0], [2.0, 2.5, 1.0, 1.5, 3.0]
    every = np.array([*product(np.subtract(first, second), repeat=5)]).mean(axis=1).round(9)
    exact = 2 * min((every <= 0).mean(), (every >= 0).mean())
    low, high = np.percentile(every, [2.5, 97.5])
    verdict = verdicts(bootstrap_test, first, second)
    assert 0.05 < exact < 0.5
    assert verdict == pytest.approx((0.8, low, high, exact), abs=0.03)


def two_systems(seed: int = 4) -> tuple[list[str], list[str], list[list[str]]]:
    """Outputs of two systems that are as good as each other but for chance, and their references."""
    references = english_summaries(150, seed=3)
    outputs = (rewritten(references, drawn, " ") for drawn in (seed + 7, seed))
    return *outputs, [[text] for text in references]


def metric_of(name: str, references: list[list[str]]):
    if name == "bleu":
        return lambda texts: score_bleu(texts, references, "en")
    return lambda texts: score_chrf(texts, references)


@pytest.mark.parametrize(
    ("make", "public"), [("bleu", sacrebleu.corpus_bleu), ("chrf", sacrebleu.corpus_chrf)]
)
def test_a_resample_of_bleu_and_chrf_is_scored_as_a_corpus(make, public):
    outputs, _, references = two_systems()
    score = metric_of(make, references)(outputs)
    drawn = np.random.default_rng(6).integers(len(outputs), size=len(outputs))
    hypotheses, flat = [outputs[i] for i in drawn], [references[i][0] for i in drawn]
    resampled = score.figure(score.statistics[drawn].sum(axis=0))
    assert resampled == pytest.approx(public(hypotheses, [flat]).score)
    assert score.figure(score.statistics.sum(axis=0)) == score.value


@pytest.mark.parametrize("seed", [4, 6, 7])
@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_p_of_bleu_and_chrf_is_that_of_sacrebleus_randomization_test(metric, seed):
    first, second, references = two_systems(seed)
    verdict, other = ours_and_sacrebleus(metric, first, second, references, "ar")
    assert verdict.p == pytest.approx(other.p_value, abs=0.04)
    assert verdict.difference == pytest.approx(other.score - metric_of(metric, references)(second).value)


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_p_of_sacrebleus_bootstrap_is_one_sided_and_so_half_of_ours(metric):
    verdict, other = ours_and_sacrebleus(metric, *two_systems(seed=4), "bs")
    assert 0.01 < verdict.p < 0.1
    assert verdict.p / 2 == pytest.approx(other.p_value, abs=0.01)


def ours_and_sacrebleus(metric, first, second, references, test_type):
    make = metric_of(metric, references)
    verdict = bootstrap_test(make(first), make(second), Settings())
    kind = {"bleu": sacrebleu.metrics.BLEU(force=True), "chrf": sacrebleu.metrics.CHRF()}[metric]
    flat = [[several[0] for several in references]]
    systems = [("second", second), ("first", first)]
    _, scores = PairedTest(systems, {metric: kind}, flat, test_type=test_type, n_samples=5000)()
    [result] = [results[1] for name, results in scores.items() if name != "System"]
    return verdict, result


def null_p_values(test, sets: int, size: int, **settings) -> list[float]:
    """p of sets of outputs of two systems that do not differ but by chance."""
    draw = np.random.default_rng(8)
    found = []
    for _ in range(sets):
        hardness = draw.normal(40, 15, size)
        first, second = (hardness + draw.gamma(2, 4, size) for _ in range(2))
        found.append(verdicts(test, first, second, **settings).p)
    return found


def test_p_of_the_t_test_is_uniform_where_there_is_no_difference():
    found = null_p_values(paired_t_test, sets=800, size=30)
    assert kstest(found, "uniform").pvalue > 0.001
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.08


def test_the_bootstrap_errs_in_about_one_of_twenty_where_there_is_no_difference():
    found = null_p_values(bootstrap_test, sets=400, size=100, resamples=400)
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09
    assert 0.4 < np.mean(np.array(found) < 0.5) < 0.6


@pytest.mark.parametrize("test", [bootstrap_test, paired_t_test])
def test_the_same_difference_is_surer_on_more_outputs(test):
    p = [verdicts(test, A * times, B * times).p for times in (1, 2, 4)]
    c = [verdicts(test, C * times, B * times).p for times in (1, 4, 16)]
    assert p == sorted(p, reverse=True) and c == sorted(c, reverse=True)
    assert c[0] > 0.3 and c[2] < 0.01


@pytest.mark.parametrize("test", [bootstrap_test, paired_t_test])
def test_exchanged_systems_have_the_opposite_difference_and_the_same_p(test):
    there, back = verdicts(test, A, B), verdicts(test, B, A)
    assert there[:3] == pytest.approx((-back.difference, -back.high, -back.low))
    assert there.p == pytest.approx(back.p)


def test_the_order_of_the_outputs_does_not_matter():
    order = np.random.default_rng(9).permutation(len(C))
    c, b = np.array(C)[order], np.array(B)[order]
    assert verdicts(paired_t_test, c, b) == pytest.approx(verdicts(paired_t_test, C, B))
    assert verdicts(bootstrap_test, c, b) == pytest.approx(verdicts(bootstrap_test, C, B), abs=0.04)


def test_one_seed_gives_one_verdict_and_another_nearly_the_same():
    first, again, other = (verdicts(bootstrap_test, C, B, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first == pytest.approx(other, abs=0.04)


def test_many_outputs_are_resampled_in_parts_with_the_same_result(monkeypatch):
    whole = verdicts(bootstrap_test, A, B, resamples=1000)
    monkeypatch.setattr("fairseq_vhm.metrics.significance.CELLS_AT_ONCE", 100)
    assert verdicts(bootstrap_test, A, B, resamples=1000) == pytest.approx(whole)


@pytest.mark.parametrize("test", [bootstrap_test, paired_t_test])
def test_equal_outputs_do_not_differ(test):
    assert verdicts(test, A, A) == (0.0, 0.0, 0.0, 1.0)


def test_equal_texts_do_not_differ_in_bleu():
    outputs, _, references = two_systems()
    score = score_bleu(outputs, references, "en")
    assert bootstrap_test(score, score, Settings(resamples=100)) == (0.0, 0.0, 0.0, 1.0)


def test_a_difference_that_is_the_same_everywhere_has_an_interval_of_no_width(recwarn):
    higher = [figure + 2 for figure in A]
    assert verdicts(bootstrap_test, higher, A, resamples=999) == pytest.approx((2, 2, 2, 2 / 1000))
    assert verdicts(paired_t_test, higher, A) == pytest.approx((2, 2, 2, 0), abs=1e-6)
    assert not recwarn.list


def test_p_of_a_bootstrap_is_never_0():
    assert verdicts(bootstrap_test, [9.0, 8.0, 9.5] * 30, [1.0, 2.0, 1.5] * 30, resamples=99).p == 2 / 100


def test_two_outputs_are_enough_and_one_is_refused():
    found = compare({"a": [scored([1, 2])], "b": [scored([2, 1])]}, "a")
    assert [one.p for one in found] == [1.0, 1.0]
    with pytest.raises(UserError, match="1 output cannot be tested; give 2 or more"):
        compare({"a": [scored([1])], "b": [scored([2])]}, "a")


def test_the_difference_in_length_is_in_percent_of_the_references():
    references = [["a b c d"], ["e f g h"], ["i j"]] * 10
    short = score_length(["a b", "e f", "i"] * 10, references, "en")
    whole = score_length(["a b c d", "e f g h", "i j"] * 10, references, "en")
    verdict = bootstrap_test(whole, short, Settings(resamples=500))
    assert verdict == pytest.approx((50, 50, 50, 2 / 501))


def three_systems() -> dict[str, list[Score]]:
    better, worse, references = two_systems()
    texts = {"worse": worse, "better": better, "other": worse[::-1]}
    return {
        name: [scored(score_chrf(outputs, references).per_segment), score_bleu(outputs, references, "en")]
        for name, outputs in texts.items()
    }


def test_every_system_is_compared_with_the_baseline_by_the_tests_that_apply():
    found = compare(three_systems(), "worse", Settings(resamples=50))
    assert [(one.metric, one.system, one.baseline, one.test) for one in found] == [
        ("rouge1", "better", "worse", "bootstrap"),
        ("rouge1", "better", "worse", "t-test"),
        ("rouge1", "other", "worse", "bootstrap"),
        ("rouge1", "other", "worse", "t-test"),
        ("bleu", "better", "worse", "bootstrap"),
        ("bleu", "other", "worse", "bootstrap"),
    ]
    first = found[0]
    assert first.difference == pytest.approx(first.value - first.baseline_value)
    assert first.n == 150
    assert first.signature == (
        "paired-bootstrap|resamples:50|seed:1|interval:percentile-95|p:two-sided|correction:holm|family:2"
    )


def test_all_pairs_adds_those_among_the_others():
    found = compare(three_systems(), "better", Settings(test="bootstrap", resamples=50), all_pairs=True)
    pairs = [(one.system, one.baseline) for one in found if one.metric == "bleu"]
    assert pairs == [("worse", "better"), ("other", "better"), ("other", "worse")]
    assert found[0].signature.endswith("family:3")


@pytest.mark.parametrize(
    ("systems", "baseline", "settings", "complaint"),
    [
        (
            {"a": [scored(A)], "b": [scored(B)]},
            "c",
            {},
            "--baseline c: no output of that name; there are a, b",
        ),
        ({"a": [scored(A)]}, "a", {}, "give two outputs or more"),
        ({"a": [scored(A)], "b": [scored(B[:9])]}, "a", {}, "do not compare: rouge1.n:9"),
        (
            {"a": [scored(A)], "b": [scored(B, signature="tok:zh")]},
            "a",
            {},
            "score the same outputs in the same way",
        ),
        ({"a": [scored(A)], "b": [scored(B, "rouge2")]}, "a", {}, "b and a do not compare"),
        ({"a": [scored(A)], "b": [scored(B), scored(B, "rouge2")]}, "a", {}, "rouge2.* against no such"),
        ({"a": [scored(A), scored(A, "rouge2")], "b": [scored(B)]}, "a", {}, "no such metric against rouge2"),
    ],
)
def test_what_does_not_compare_is_refused(systems, baseline, settings, complaint):
    with pytest.raises(UserError, match=complaint):
        compare(systems, baseline, Settings(**settings))


def test_a_t_test_of_a_corpus_figure_is_refused():
    with pytest.raises(UserError, match="--test t-test: bleu is a figure of the whole corpus"):
        compare(three_systems(), "worse", Settings(test="t-test"))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"resamples": 0}, "--resamples 0: give 1 or more"),
        ({"seed": -1}, "--seed -1: give 0 or more"),
        ({"alpha": 1.0}, "--alpha 1.0: a level lies between 0 and 1"),
        ({"alpha": 0.0}, "--alpha 0.0: a level lies between 0 and 1"),
        ({"alpha": float("nan")}, "--alpha nan"),
    ],
)
def test_settings_without_meaning_are_refused(settings, complaint):
    with pytest.raises(UserError, match=complaint):
        Settings(**settings)


def test_the_usual_settings_are_those_that_the_documents_name():
    signatures = [Settings().signature(test, 1) for test in ("bootstrap", "t-test")]
    assert signatures == [
        "paired-bootstrap|resamples:10000|seed:1|interval:percentile-95|p:two-sided|correction:holm|family:1",
        "paired-t-test|interval:95|p:two-sided|correction:holm|family:1",
    ]


@pytest.mark.parametrize("correction", ["none", "bonferroni", "holm", "fdr_bh"])
def test_one_comparison_needs_no_correction(correction):
    assert corrected([0.03], correction) == [0.03] and corrected([], correction) == []


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        ("bonferroni", [0.04, 0.16, 0.12, 1.0]),
        ("holm", [0.04, 0.09, 0.09, 0.5]),  # 4, 3, 2 and 1 times the sorted ones, never falling
        ("fdr_bh", [0.04, 0.16 / 3, 0.16 / 3, 0.5]),  # 4/1, 4/2, 4/3 and 4/4 of them, never rising downwards
    ],
)
def test_corrections_are_those_of_their_definitions_in_the_order_given(correction, expected):
    assert corrected([0.01, 0.04, 0.03, 0.5], correction) == pytest.approx(expected, abs=1e-15)


def test_the_least_settings_that_are_possible_are_taken():
    least = Settings(resamples=1, seed=0, alpha=1e-9)
    assert (least.resamples, least.seed) == (1, 0)
