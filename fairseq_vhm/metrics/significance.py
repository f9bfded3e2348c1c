"""Is the difference between two systems more than chance?  Paired tests over the outputs.

* ``bootstrap``: the outputs are resampled with replacement, the same ones for both systems, and the
  metric's difference is taken anew for each resample (Koehn, EMNLP 2004).  The interval is that of
  its percentiles.  Koehn takes a system for better at 95 % where it is so in 95 % of the resamples,
  which is one-sided; p here is two-sided: twice the share of the resamples on the rarer side of
  zero, counted as (b + 1) / (B + 1) so that it is never 0 (Davison and Hinkley, 1997, chapter 4).
* ``t-test``: Student's paired t-test, two-sided, on the differences of the outputs' scores.

Metrics whose value is no mean over outputs (:class:`~.base.CorpusScore`: BLEU, chrF, length) are
made anew from their counts in each resample; a t-test does not apply to them.  Correction for
several comparisons is by ``statsmodels``; its family is all comparisons of one metric by one test.
A Wilcoxon test is not offered: it asks after the ranks of differences, not their mean, and does not
agree with the two others on the scores of summaries.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, zip_longest
from typing import Any, Literal, NamedTuple

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.base import Better, CorpusScore, Score, Track

Test = Literal["bootstrap", "t-test"]
Tests = Literal["bootstrap", "t-test", "both"]
Correction = Literal["none", "bonferroni", "holm", "fdr_bh"]

RESAMPLES = 10_000
SEED = 1
ALPHA = 0.05
CORRECTION: Correction = "holm"

FEWEST_PAIRS = 2
CELLS_AT_ONCE = 1 << 20
DECIMALS = 9  # of a difference in points: what is left below is rounding, not a side of zero


@dataclass(frozen=True)
class Comparison:
    """What one test says of two systems' outputs for the same ``n`` sources.

    ``value`` and ``baseline_value`` are the scores as :class:`Score` has them.  ``difference``
    (``system`` less ``baseline``, of the means over outputs or of the corpus scores) has the
    interval from ``low`` to ``high``; all in the metric's points.  ``p_corrected`` is ``p``
    corrected for the other comparisons of this metric by this test; the interval is not.
    ``signature`` states the test's settings, ``metric_signature`` the metric's.
    """

    metric: str
    system: str
    baseline: str
    value: float
    baseline_value: float
    difference: float
    low: float
    high: float
    p: float
    p_corrected: float
    test: Test
    n: int
    signature: str
    metric_signature: str
    better: Better = "higher"

    @property
    def is_gain(self) -> bool:
        """Whether ``system`` lies on the better side of ``baseline``."""
        return {"higher": self.difference > 0, "lower": self.difference < 0, "neither": False}[self.better]


class Verdict(NamedTuple):
    """A difference with its interval, and the two-sided p of there being none."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Settings:
    """How to test: which tests, at which level, corrected how."""

    test: Tests = "both"
    correction: Correction = CORRECTION
    resamples: int = RESAMPLES
    seed: int = SEED
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise UserError(f"--resamples {self.resamples}: give 1 or more; {RESAMPLES} is usual")
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: give 0 or more")
        if not 0 < self.alpha < 1:
            raise UserError(f"--alpha {self.alpha}: a level lies between 0 and 1, such as {ALPHA}")

    def tests_of(self, score: Score) -> list[Test]:
        """The tests that apply to a metric.

        Raises:
            UserError: where a t-test alone is wanted of a metric that has no mean over outputs.
        """
        if self.test == "both":
            return ["bootstrap"] if isinstance(score, CorpusScore) else ["bootstrap", "t-test"]
        if self.test == "t-test" and isinstance(score, CorpusScore):
            raise UserError(
                f"--test t-test: {score.name} is a figure of the whole corpus, no mean over outputs;"
                " choose bootstrap, or leave it out of --metrics"
            )
        return [self.test]

    def signature(self, test: Test, family: int) -> str:
        """All that a verdict depends on, as ``key:value`` pairs in sacreBLEU's manner."""
        level = f"{100 * (1 - self.alpha):g}"
        how = {
            "bootstrap": f"paired-bootstrap|resamples:{self.resamples}|seed:{self.seed}"
            f"|interval:percentile-{level}",
            "t-test": f"paired-t-test|interval:{level}",
        }
        return f"{how[test]}|p:two-sided|correction:{self.correction}|family:{family}"


def compare(
    systems: Mapping[str, Sequence[Score]],
    baseline: str,
    settings: Settings | None = None,
    all_pairs: bool = False,
    track: Track = iter,
) -> list[Comparison]:
    """Every system against ``baseline``, for every metric and test, in that order of nesting.

    Args:
        systems: scores by the name of their system; the same metrics of the same N outputs each.
        baseline: one of those names.
        settings: the tests and their level; by default both, corrected by Holm's method.
        all_pairs: also each two of the other systems, the later one against the earlier.
        track: wraps the iteration over metrics and pairs, to show progress.

    Raises:
        UserError: for fewer than two systems or outputs, an unknown baseline, or scores that do
            not compare: other metrics, other numbers of outputs, other signatures.
    """
    settings = settings or Settings()
    check_systems(systems, baseline)
    _check_scores(systems, baseline)
    pairs = _pairs(list(systems), baseline, all_pairs)
    metrics = range(len(systems[baseline]))
    jobs = [(systems[one][row], systems[two][row], one, two) for row in metrics for one, two in pairs]
    found = [
        _comparison(test, settings, system, against, one, two, len(pairs))
        for system, against, one, two in track(jobs)
        for test in settings.tests_of(system)
    ]
    return _with_correction(found, settings.correction)


def check_systems(names: Iterable[str], baseline: str) -> None:
    """Refuse what cannot be compared, before anything is scored."""
    names = list(names)
    if baseline not in names:
        raise UserError(f"--baseline {baseline}: no output of that name; there are {', '.join(names)}")
    if len(names) < 2:
        raise UserError("--hyp: give two outputs or more to compare, each with its own --hyp")


def bootstrap_test(system: Score, baseline: Score, settings: Settings) -> Verdict:
    """Paired bootstrap of the difference of two scores of the same outputs."""
    from scipy.stats import bootstrap

    count = len(system.per_segment)

    def difference(outputs: np.ndarray, axis: int = -1) -> np.ndarray:
        times = np.stack([np.bincount(row, minlength=count) for row in outputs])
        return (_figures(system, times) - _figures(baseline, times)).round(DECIMALS)

    drawn = bootstrap(
        (np.arange(count),),
        difference,
        n_resamples=settings.resamples,
        batch=max(1, CELLS_AT_ONCE // count),
        vectorized=True,
        confidence_level=1 - settings.alpha,
        method="percentile",
        rng=np.random.default_rng(settings.seed),
    )
    observed = difference(np.arange(count)[None])[0]
    low, high = map(float, drawn.confidence_interval)
    return Verdict(float(observed), low, high, _two_sided(drawn))


def paired_t_test(system: Score, baseline: Score, settings: Settings) -> Verdict:
    """Student's paired t-test; of outputs that all score alike, p is 1."""
    from scipy.stats import ttest_rel

    differences = np.subtract(system.per_segment, baseline.per_segment)
    if not differences.any():
        return Verdict(0.0, 0.0, 0.0, 1.0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of differences that are all the same
        result = ttest_rel(system.per_segment, baseline.per_segment)
        interval = result.confidence_interval(1 - settings.alpha)
    low, high = map(float, interval)
    return Verdict(float(differences.mean()), low, high, float(result.pvalue))


def corrected(p_values: Sequence[float], correction: Correction) -> list[float]:
    """``p_values`` of one family, corrected for their number."""
    if correction == "none" or len(p_values) < 2:
        return list(p_values)
    from statsmodels.stats.multitest import multipletests

    return multipletests(p_values, method=correction)[1].tolist()


TESTS: dict[Test, Callable[[Score, Score, Settings], Verdict]] = {
    "bootstrap": bootstrap_test,
    "t-test": paired_t_test,
}


def _comparison(
    test: Test, settings: Settings, system: Score, baseline: Score, name: str, other: str, family: int
) -> Comparison:
    verdict = TESTS[test](system, baseline, settings)
    return Comparison(
        metric=system.name,
        system=name,
        baseline=other,
        value=system.value,
        baseline_value=baseline.value,
        **verdict._asdict(),
        p_corrected=verdict.p,
        test=test,
        n=len(system.per_segment),
        signature=settings.signature(test, family),
        metric_signature=system.signature,
        better=system.better,
    )


def _with_correction(comparisons: Sequence[Comparison], correction: Correction) -> list[Comparison]:
    families: dict[tuple[str, Test], list[int]] = {}
    for place, comparison in enumerate(comparisons):
        families.setdefault((comparison.metric, comparison.test), []).append(place)
    changed = list(comparisons)
    for places in families.values():
        values = corrected([comparisons[place].p for place in places], correction)
        for place, value in zip(places, values, strict=True):
            changed[place] = replace(comparisons[place], p_corrected=value)
    return changed


def _figures(score: Score, times: np.ndarray) -> np.ndarray:
    """The score of each resample (B), in which output i stands ``times[b, i]`` times (B x N)."""
    if isinstance(score, CorpusScore):
        return np.array([score.figure(row) for row in times.astype(float) @ score.statistics])
    return times @ np.asarray(score.per_segment, dtype=float) / len(score.per_segment)


def _two_sided(drawn: Any) -> float:
    differences = drawn.bootstrap_distribution
    rarer = min(np.sum(differences <= 0), np.sum(differences >= 0))
    return min(1.0, float(2 * (rarer + 1) / (len(differences) + 1)))


def _pairs(names: Sequence[str], baseline: str, all_pairs: bool) -> list[tuple[str, str]]:
    others = [name for name in names if name != baseline]
    pairs = [(name, baseline) for name in others]
    return pairs + [(later, earlier) for earlier, later in combinations(others, 2) if all_pairs]


def _check_scores(systems: Mapping[str, Sequence[Score]], baseline: str) -> None:
    count = len(systems[baseline][0].per_segment)
    if count < FEWEST_PAIRS:
        raise UserError(f"--ref: {count} output cannot be tested; give {FEWEST_PAIRS} or more")
    expected = _identities(systems[baseline])
    for name, scores in systems.items():
        for found, wanted in zip_longest(_identities(scores), expected, fillvalue="no such metric"):
            if found != wanted:
                raise UserError(
                    f"{name} and {baseline} do not compare: {found} against {wanted};"
                    " score the same outputs in the same way"
                )


def _identities(scores: Sequence[Score]) -> list[str]:
    return [f"{score.name}|n:{len(score.per_segment)}|{score.signature}" for score in scores]
