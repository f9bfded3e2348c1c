"""The one kind of result that every metric returns.

Tables, significance tests and curves are made from :class:`Score` alone, as in sacreBLEU
(Post, 2018), from where the idea of a signature comes too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Score:
    """What one metric says about a set of outputs.

    ``value`` is the headline figure in points (0-100) and ``per_segment`` holds one figure for each
    output, in the order of the reference.  ``signature`` states all that the figures depend on.
    ``parts`` are the named figures of the JSON output: ``f, p, r, low, high`` for ROUGE (F1,
    precision, recall and the F's 95% bootstrap interval, in points); by default the value alone.
    """

    name: str
    value: float
    per_segment: list[float]
    signature: str
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.parts:
            object.__setattr__(self, "parts", {"value": self.value})
