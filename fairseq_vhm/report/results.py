"""Systems with their figures: runs put together, spread over seeds, and tested against a baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.significance import (
    CORRECTION,
    FEWEST_PAIRS,
    Comparison,
    Correction,
    Settings,
    Test,
    compare,
    corrected,
)
from fairseq_vhm.report.scoring import Scored
from fairseq_vhm.report.systems import BASELINE, System, group
from fairseq_vhm.report.texts import TestSet


@dataclass(frozen=True)
class Mean:
    """A figure of a system over its ``count`` runs, and how far they spread (``None`` for one)."""

    value: float
    spread: float | None
    count: int

    def __str__(self) -> str:
        return f"{self.value:.2f}" if self.spread is None else f"{self.value:.2f} ± {self.spread:.2f}"


def mean_of(values: Sequence[float]) -> Mean | None:
    """Mean and sample standard deviation; ``None`` of nothing."""
    if not values:
        return None
    return Mean(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Result:
    """A system on a test set, with its scored runs."""

    system: System
    scored: Sequence[Scored]

    @property
    def label(self) -> str:
        return self.system.label

    def mean(self, metric: str) -> Mean | None:
        """A metric over those runs that have it."""
        return mean_of(self.of_runs(metric))

    def of_runs(self, metric: str) -> list[float]:
        """A metric of each run that has it."""
        return [one.figures[metric] for one in self.scored if metric in one.figures]

    @property
    def parameters(self) -> int | None:
        """Of its first run that tells."""
        runs = self.system.runs
        counted = [run.checkpoint.parameters for run in runs if run.checkpoint]
        logged = [run.log.parameters for run in runs if run.log and run.log.parameters]
        return next(iter(counted + logged), None)

    @property
    def timing(self) -> Mean | None:
        """Seconds for 100 updates."""
        timings = [run.log.timing() for run in self.system.runs if run.log]
        return mean_of([timing.seconds for timing in timings if timing])

    def rouge(self) -> list[Score]:
        """ROUGE of every sentence, of several runs their mean; nothing where no run has it."""
        with_rouge = [one.rouge for one in self.scored if one.rouge]
        return [_mean_score([rouge[name] for rouge in with_rouge]) for name in (with_rouge or [{}])[0]]


@dataclass
class TestResults:
    """All systems on one test set, and how they compare with ``baseline`` where it is among them.

    ``comparisons`` ask whether the runs that there are would differ on other sentences,
    ``over_seeds`` (corrected p by label and metric) whether other runs would differ on these.
    """

    __test__ = False  # no test of pytest's

    test: TestSet
    results: list[Result]
    baseline: str | None = None
    comparisons: list[Comparison] = field(default_factory=list)
    over_seeds: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """All metrics that any run has, in the order met."""
        return list(dict.fromkeys(m for one in self.results for run in one.scored for m in run.figures))

    def few_shot(self) -> list[Result]:
        """Results of the systems trained on several shares of the CLS pairs, or on a part, by system."""
        shares: dict[str, set[float]] = {}
        for one in self.results:
            shares.setdefault(one.system.name, set()).add(one.system.fraction)
        found = [one for one in self.results if shares[one.system.name] != {1.0}]
        order = list(dict.fromkeys(one.system.name for one in found))
        return sorted(found, key=lambda one: (order.index(one.system.name), one.system.fraction))

    def p_values(self, metric: str) -> Mapping[str, Comparison]:
        """Comparisons of a metric by system."""
        return {one.system: one for one in self.comparisons if one.metric == metric}

    def p_of_gain(self, label: str, metric: str) -> float:
        """The larger p of both questions, for a system that is better than the baseline; else 1."""
        comparison = self.p_values(metric).get(label)
        if comparison is None or comparison.difference <= 0:
            return 1.0
        return max(comparison.p_corrected, self.over_seeds.get((label, metric), 0.0))


@dataclass(frozen=True)
class Testing:
    """How systems are tested; against the first of ``baselines`` that a test set has."""

    __test__ = False

    baselines: tuple[str, ...] = (BASELINE,)
    test: Test = "t-test"
    correction: Correction = CORRECTION


def collect(test: TestSet, scored: Mapping[str, Scored], testing: Testing) -> TestResults:
    """Results of one test set; ``scored`` by the names of runs."""
    results = [Result(system, [scored[run.name] for run in system.runs]) for system in group(test.runs)]
    for one in results:
        _say_equal_seeds(one)
    found = TestResults(test, results)
    names = {one.system.name for one in results}
    found.baseline = next((name for name in testing.baselines if name in names), None)
    for share in dict.fromkeys(one.system.fraction for one in results):
        alike = [one for one in results if one.system.fraction == share]
        found.comparisons += _against_baseline(alike, found.baseline, testing)
        found.over_seeds |= _over_seeds(alike, found.baseline, testing)
    return found


def _say_equal_seeds(result: Result) -> None:
    """Runs of one seed, such as a copy, are counted, but their spread is not that over seeds."""
    first: dict[tuple, str] = {}
    for run in (one.run for one in result.scored if one.figures and one.run.checkpoint):
        seeds = tuple(run.settings.get(name) for name in ("seed", "fraction_seed"))
        if (name := first.setdefault(seeds, run.name)) != run.name:
            run.missing.append(f"has the seed of {name}; both count as runs of {result.label}")


def check_baseline(all_results: Sequence[TestResults], testing: Testing) -> None:
    """Refuse a baseline that no test set has, unless it is the one that is looked for by default."""
    names = dict.fromkeys(result.system.name for one in all_results for result in one.results)
    for name in testing.baselines:
        if name != BASELINE and name not in names:
            raise UserError(f"--baseline {name}: no such system; there are {', '.join(names)}")


def _against_baseline(
    results: Sequence[Result], baseline: str | None, testing: Testing
) -> list[Comparison]:
    """Paired tests on the ROUGE of sentences, of systems trained on one share of the CLS pairs; none
    where the baseline, or all others, have no such figures."""
    systems = {one.label: rouge for one in results if (rouge := one.rouge())}
    label = next((one.label for one in results if one.system.name == baseline), None)
    if label not in systems or len(systems) < 2 or len(systems[label][0].per_segment) < FEWEST_PAIRS:
        return []
    return compare(systems, label, Settings(test=testing.test, correction=testing.correction))


def _over_seeds(
    results: Sequence[Result], baseline: str | None, testing: Testing
) -> dict[tuple[str, str], float]:
    """Welch's t-test of the figures of runs, for systems of several runs as the baseline is one."""
    base = next((one for one in results if one.system.name == baseline), None)
    found: dict[tuple[str, str], float] = {}
    for metric in [score.name for score in base.rouge()] if base else []:
        runs = {one.label: one.of_runs(metric) for one in results if len(one.of_runs(metric)) > 1}
        if base and (against := runs.pop(base.label, None)):
            p = [_welch(own, against) for own in runs.values()]
            labels = [(label, metric) for label in runs]
            found |= zip(labels, corrected(p, testing.correction), strict=True)
    return found


def _welch(own: Sequence[float], against: Sequence[float]) -> float:
    """p of Welch's t-test; 1 of runs that are all alike, as decodings of one checkpoint."""
    from scipy.stats import ttest_ind

    if len({*own, *against}) == 1:
        return 1.0
    return float(ttest_ind(own, against, equal_var=False).pvalue)


def _mean_score(scores: Sequence[Score]) -> Score:
    """A score's mean over runs, sentence by sentence."""
    if len(scores) == 1:
        return scores[0]
    per_segment = np.mean([score.per_segment for score in scores], axis=0).tolist()
    return Score(scores[0].name, fmean(score.value for score in scores), per_segment, scores[0].signature)
