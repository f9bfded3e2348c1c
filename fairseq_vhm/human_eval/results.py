"""Results of a study: averages of systems, tests between them, agreement of annotators, comments.

A system's rating of a sample is the mean over annotators; averages, intervals and tests are over
samples, which are what was drawn.  Ratings on the same sample are paired, so the tests are those of
:mod:`fairseq_vhm.metrics.significance` on the samples' means.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.human_eval.agreement import Agreement, agreement
from fairseq_vhm.human_eval.criteria import KEYS
from fairseq_vhm.human_eval.key import Key
from fairseq_vhm.human_eval.ratings import Ratings, findings, ratings_array
from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.significance import Comparison, Settings, compare

FEWEST = 2


@dataclass(frozen=True)
class Average:
    """Mean rating of a system on a criterion over ``n`` samples.

    ``sd`` is the standard deviation over samples, ``low`` and ``high`` bound the mean's interval by
    Student's t; all three are ``None`` for one sample.
    """

    system: str
    criterion: str
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Results:
    """All that a study says of its ``count`` rated samples.

    ``comparisons`` is empty for one system or one sample; ``findings`` are counted facts about the
    files, a line each.
    """

    key: Key
    read: Sequence[Ratings]
    baseline: str
    settings: Settings
    count: int
    averages: list[Average]
    comparisons: list[Comparison]
    agreement: list[Agreement]
    findings: list[str]


def evaluate(
    read: Sequence[Ratings], key: Key, baseline: str | None = None, settings: Settings | None = None
) -> Results:
    """Averages, comparisons with ``baseline`` (by default the first system) and agreement.

    Raises:
        UserError: for an unknown baseline, or where no sample was rated as a whole.
    """
    baseline, settings = baseline or key.systems[0], settings or Settings()
    if baseline not in key.systems:
        raise UserError(f"--baseline {baseline}: no such system; there are {', '.join(key.systems)}")
    scores = scores_of(read, key)
    count = len(scores[baseline][0].per_segment)
    averages = [_average(name, score, settings) for name, listed in scores.items() for score in listed]
    testable = count >= FEWEST and len(key.systems) >= FEWEST
    return Results(
        key,
        read,
        baseline,
        settings,
        count,
        averages,
        compare(scores, baseline, settings) if testable else [],
        agreement(read, key),
        list(findings(read, key)),
    )


def scores_of(read: Sequence[Ratings], key: Key) -> dict[str, list[Score]]:
    """For each system a score for each criterion; a segment is a sample, its figure the annotators' mean.

    Samples that nobody rated as a whole are left out, for all systems.
    """
    array = ratings_array(read, key)
    rated = ~np.isnan(array).all(axis=(0, 2, 3))
    if not rated.any():
        raise UserError("no sample is rated as a whole by anybody; there is nothing to average")
    means = np.nanmean(array[:, rated], axis=0)
    signature = f"human|scale:1-5|annotators:{len(read)}|study:{key.study}|version:{key.version}"
    return {
        name: [
            Score(criterion, float(column.mean()), column.tolist(), signature)
            for criterion, column in zip(KEYS, means[:, place].T, strict=True)
        ]
        for place, name in enumerate(key.systems)
    }


def _average(system: str, score: Score, settings: Settings) -> Average:
    from scipy.stats import sem, t

    ratings, count = np.asarray(score.per_segment), len(score.per_segment)
    if count < FEWEST:
        return Average(system, score.name, score.value, None, None, None, count)
    half = float(t.ppf(1 - settings.alpha / 2, count - 1) * sem(ratings))
    sd = float(ratings.std(ddof=1))
    return Average(system, score.name, score.value, sd, score.value - half, score.value + half, count)
