"""Lengths of texts in symbols, kept as a histogram: exact, and bounded by the longest text."""

from bisect import bisect_left
from collections import Counter
from itertools import accumulate


class Lengths:
    """Histogram of lengths; mean, median, 95th percentile and maximum of it."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, length: int) -> None:
        self._counts[length] += 1

    def merge(self, other: "Lengths") -> None:
        self._counts.update(other._counts)

    def summary(self) -> dict:
        """``mean`` (two decimals), ``median``, ``p95`` (nearest rank) and ``max``."""
        total = self._counts.total()
        if not total:
            return {"mean": 0.0, "median": 0, "p95": 0, "max": 0}
        symbols = sum(length * count for length, count in self._counts.items())
        return {
            "mean": round(symbols / total, 2),
            "median": self._rank(0.50),
            "p95": self._rank(0.95),
            "max": max(self._counts),
        }

    def _rank(self, share: float) -> int:
        """The smallest length that at least ``share`` of all texts do not exceed."""
        lengths = sorted(self._counts)
        up_to = list(accumulate(self._counts[length] for length in lengths))
        return lengths[bisect_left(up_to, share * up_to[-1])]
