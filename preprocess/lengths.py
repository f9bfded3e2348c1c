"""Lengths of texts in symbols, kept as a histogram: exact, and bounded by the longest text."""

from collections import Counter


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
        wanted = share * self._counts.total()
        seen = 0
        for length in sorted(self._counts):
            seen += self._counts[length]
            if seen >= wanted:
                return length
        return max(self._counts)
