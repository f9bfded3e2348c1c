"""What is known of one pair of languages: the figures of its outputs, as they stand in a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.display import as_json

MIN_PAIR_SIZE = 30
"""Examples that a pair must have to count in a mean.  Of CrossSum's 1,500 pairs many have a handful of test
examples, and their figures are noise.  The published code discards pairs of fewer than 30 examples from
training (csebuetnlp/CrossSum, ``seq2seq/trainer.sh``); it evaluates all."""


@dataclass(frozen=True)
class PairScores:
    """Figures of the outputs of one pair: ``metric`` and ``signature`` as ``vhm score --json`` has them."""

    source: str
    target: str
    count: int
    metric: Mapping[str, Mapping[str, float]]
    signature: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, source: str, target: str, scores: Sequence[Score], count: int) -> "PairScores":
        document = as_json(scores, count)
        return cls(source, target, count, document["metric"], document["signature"])

    @property
    def name(self) -> str:
        """``ar-en``."""
        return f"{self.source}-{self.target}"

    def headline(self, metric: str) -> float | None:
        """The figure of a metric that a table shows: F where there is one, else its value."""
        parts = self.metric.get(metric, {})
        return parts.get("f", parts.get("value"))

    def as_json(self) -> dict:
        """What its file holds."""
        document = {"metric": self.metric, "signature": self.signature, "n": self.count}
        return {"source": self.source, "target": self.target, **document}


def counted(pairs: Sequence[PairScores], least: int) -> list[PairScores]:
    """The pairs of at least ``least`` examples."""
    return [pair for pair in pairs if pair.count >= least]
