"""The one kind of result that every metric returns.

Tables, significance tests and curves are made from :class:`Score` alone, as in sacreBLEU
(Post, 2018), from where the idea of a signature comes too.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Better = Literal["higher", "lower", "neither"]

MultiReference = Literal["best", "mean"]
"""Of several references: for each output and metric the one that scores it highest, or the mean over them."""

Track = Callable[[Iterable], Iterable]
"""Wraps what is iterated over, to show progress."""


@dataclass(frozen=True)
class Score:
    """What one metric says about a set of outputs.

    ``value`` is the headline figure in points (0-100) and ``per_segment`` holds one figure for each
    output, in the order of the reference.  ``signature`` states all that the figures depend on.
    ``parts`` are the named figures of the JSON output: ``f, p, r, low, high`` for ROUGE (F1,
    precision, recall and the F's 95% bootstrap interval, in points); by default the value alone.
    ``better`` says which way a better output moves the value.
    """

    name: str
    value: float
    per_segment: list[float]
    signature: str
    parts: Mapping[str, float] = field(default_factory=dict)
    better: Better = "higher"

    def __post_init__(self) -> None:
        if not self.parts:
            object.__setattr__(self, "parts", {"value": self.value})


@dataclass(frozen=True, kw_only=True)
class CorpusScore(Score):
    """A score whose value is no mean of its sentences': it is made of counts summed over the corpus.

    ``statistics`` (N x K) are the counts of each output and ``figure`` makes points of their sum
    (K), so that the score of any resample of the outputs can be had.
    """

    statistics: np.ndarray = field(repr=False, compare=False)
    figure: Callable[[np.ndarray], float] = field(repr=False, compare=False)
