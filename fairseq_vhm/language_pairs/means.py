"""Means over pairs of languages, each pair counted once: all, by target, by source, by pivot."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from fairseq_vhm.language_pairs.results import PairScores

SIDES = ("target", "source", "pivot")


@dataclass(frozen=True)
class Mean:
    """Means of metrics over ``pairs`` pairs; a metric that no pair has is not there."""

    pairs: int
    values: dict[str, float]

    def as_json(self) -> dict:
        return {"pairs": self.pairs, **{name: round(value, 5) for name, value in self.values.items()}}


def mean(pairs: Sequence[PairScores], metrics: Sequence[str]) -> Mean:
    """Over the pairs that have a metric."""
    found = {metric: [v for pair in pairs if (v := pair.headline(metric)) is not None] for metric in metrics}
    return Mean(len(pairs), {metric: fmean(values) for metric, values in found.items() if values})


def by_language(pairs: Sequence[PairScores], metrics: Sequence[str]) -> dict[str, dict[str, Mean]]:
    """Side -> language -> mean: of the pairs into it (``target``), out of it (``source``), and of both
    together without that from it into itself (``pivot``)."""
    languages = sorted({language for pair in pairs for language in (pair.source, pair.target)})
    sides = {
        side: {language: [pair for pair in pairs if _has(pair, side, language)] for language in languages}
        for side in SIDES
    }
    return {
        side: {language: mean(group, metrics) for language, group in groups.items() if group}
        for side, groups in sides.items()
    }


def _has(pair: PairScores, side: str, language: str) -> bool:
    if side == "pivot":
        return pair.source != pair.target and language in (pair.source, pair.target)
    return getattr(pair, side) == language
