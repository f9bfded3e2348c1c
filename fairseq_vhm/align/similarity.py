"""The cosines of nearest summaries: their histogram, examples near a threshold, the recall of IVF."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.search import Neighbours, Searches
from fairseq_vhm.align.settings import Pairing

BINS = np.round(np.linspace(-1, 1, 101), 2)
EXAMPLES = 5
"""On either side of each threshold."""
EQUAL = 1e-5
"""Cosines of one pair, computed in two ways, differ by less."""
MAIN, LOWERED = "threshold", "shared threshold"


@dataclass(frozen=True, order=True)
class Near:
    """Two nodes whose cosine is near a threshold; ordered by how near."""

    distance: float
    nodes: tuple[int, int]
    cosine: float
    above: bool
    name: str


@dataclass
class Similarity:
    """Of all ordered pairs of languages together.

    Args:
        counts: summaries by the cosine of their nearest one (``BINS``), those for which IVF found none apart.
        asked, found: sampled queries, and those whose nearest one IVF found; of all, and of those whose
            nearest one is over the threshold.
    """

    pairing: Pairing
    counts: np.ndarray = field(default_factory=lambda: np.zeros(len(BINS) - 1, dtype=np.int64))
    asked: dict[str, int] = field(default_factory=lambda: {"all": 0, "over_threshold": 0})
    found: dict[str, int] = field(default_factory=lambda: {"all": 0, "over_threshold": 0})
    examples: list[Near] = field(default_factory=list)

    def recall(self) -> dict[str, float] | None:
        """Share of sampled queries whose nearest one was found; ``None`` where the search was exact."""
        if not self.asked["all"]:
            return None
        return {which: self.found[which] / asked for which, asked in self.asked.items() if asked}

    def as_json(self) -> dict:
        return {
            "bins": BINS.tolist(),
            "counts": self.counts.tolist(),
            "recall": self.recall(),
            "recall_queries": dict(self.asked),
        }

    def notes(self) -> list[str]:
        """The recall, in words."""
        recall = self.recall()
        if recall is None:
            return []
        shown = ", ".join(
            f"{100 * value:.2f} % of {self.asked[which]:,} queries ({which.replace('_', ' ')})"
            for which, value in recall.items()
        )
        return [f"Nearest summaries that IVF found: {shown}."]

    def take(self, answer: Neighbours) -> None:
        """The answer of one ordered pair of languages."""
        self.counts += np.histogram(np.clip(answer.cosine[answer.target >= 0], -1, 1), BINS)[0]
        right = answer.cosine[answer.sample] >= answer.exact - EQUAL
        over = answer.exact >= self.pairing.threshold
        for which, rows in (("all", np.ones_like(over)), ("over_threshold", over)):
            self.asked[which] += int(rows.sum())
            self.found[which] += int((right & rows).sum())


def measure(
    nodes: Nodes, searches: Searches, lowered: tuple[np.ndarray, np.ndarray], pairing: Pairing
) -> Similarity:
    """Look at every answer; ``lowered`` are the pairs (n, 2) that share content, and their cosines."""
    similarity = Similarity(pairing)
    near: dict[tuple[str, bool], list[Near]] = {}
    _keep(near, *lowered, LOWERED, pairing.shared_threshold)
    for source, target in permutations(range(len(nodes.languages)), 2):
        found = searches.read(nodes.languages[source].language, nodes.languages[target].language)
        assert found is not None, "searched before"
        similarity.take(found)
        rows = np.flatnonzero(found.target >= 0)
        pairs = np.stack([rows + nodes.offsets[source], found.target[rows] + nodes.offsets[target]], axis=1)
        _keep(near, pairs, found.cosine[rows], MAIN, pairing.threshold)
    similarity.examples = sorted(
        (one for kept in near.values() for one in kept), key=lambda one: (one.name, -one.cosine, one.nodes)
    )
    return similarity


def _keep(near: dict, pairs: np.ndarray, cosines: np.ndarray, name: str, threshold: float) -> None:
    """Keep the nearest to a threshold on either side of it, each pair of nodes once."""
    for above in (True, False):
        rows = np.flatnonzero((cosines >= threshold) == above)
        distance = np.abs(cosines[rows].astype(np.float64) - threshold)
        rows = rows[np.argsort(distance, kind="stable")[: 2 * EXAMPLES]]
        new = [_near(pairs[row], float(cosines[row]), above, name, threshold) for row in rows]
        near[name, above] = heapq.nsmallest(EXAMPLES, {*near.get((name, above), ()), *new})


def _near(pair: Sequence[int], cosine: float, above: bool, name: str, threshold: float) -> Near:
    return Near(abs(cosine - threshold), (int(min(pair)), int(max(pair))), cosine, above, name)
