"""Links: which summary is the match of which (CrossSum, section 3.1), by cosine over a threshold.

The match of a summary in another language is the nearest of those that qualify: cosine at or over the
threshold, or over the lower one where the two pages share content.  A link is *mutual* where each is the
other's match.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.search import Searches
from fairseq_vhm.align.settings import Pairing


@dataclass(frozen=True)
class Links:
    """L links between nodes.

    Args:
        nodes: (L, 2), the lower number first, so of the first language in order.
        cosine: (L).
        mutual: (L) whether each node is the other's match.
        lowered: (L) whether the cosine is below the threshold, and the pages share content.
    """

    nodes: np.ndarray
    cosine: np.ndarray
    mutual: np.ndarray
    lowered: np.ndarray

    def __len__(self) -> int:
        return len(self.nodes)

    def select(self, kept: np.ndarray) -> "Links":
        return Links(self.nodes[kept], self.cosine[kept], self.mutual[kept], self.lowered[kept])


@dataclass(frozen=True)
class _Candidates:
    """Ordered pairs of nodes that qualify, of one ordered pair of languages."""

    source: np.ndarray
    target: np.ndarray
    cosine: np.ndarray

    def best(self) -> "_Candidates":
        """Of each source the one of the greatest cosine; of equal ones the first target."""
        order = np.lexsort((self.target, -self.cosine, self.source))
        first = order[np.unique(self.source[order], return_index=True)[1]]
        return _Candidates(self.source[first], self.target[first], self.cosine[first])


def find_links(
    nodes: Nodes, searches: Searches, shared: tuple[np.ndarray, np.ndarray], pairing: Pairing
) -> Links:
    """The links of all pairs of languages.

    ``shared`` are the pairs of nodes (n, 2) that share content, and their cosines.
    """
    pairs, cosines = shared
    kept = cosines >= pairing.shared_threshold
    lower = _Grouped(nodes, pairs[kept], cosines[kept])
    both = combinations(range(len(nodes.languages)), 2)
    found = [_between(nodes, searches, lower, pair, pairing) for pair in both]
    columns = [np.concatenate([getattr(links, name) for links in found]) for name in Links.__annotations__]
    return Links(*columns)


def chosen(links: Links, match: str) -> Links:
    """The links that are pairs under ``--match``."""
    return links.select(links.mutual if match == "mutual" else np.ones(len(links), dtype=bool))


class _Grouped:
    """Pairs of nodes that share content, by pair of languages."""

    def __init__(self, nodes: Nodes, pairs: np.ndarray, cosines: np.ndarray) -> None:
        self._pairs, self._cosines, self._size = pairs, cosines, len(nodes.languages)
        self._codes = nodes.language[pairs[:, 0]] * self._size + nodes.language[pairs[:, 1]]
        self._order = np.argsort(self._codes, kind="stable")

    def of(self, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (n, 2) of two languages, ``first`` < ``second``, and their cosines."""
        code = first * self._size + second
        start, end = np.searchsorted(self._codes, [code, code + 1], sorter=self._order)
        rows = self._order[start:end]
        return self._pairs[rows], self._cosines[rows]


def _between(
    nodes: Nodes, searches: Searches, lower: _Grouped, pair: tuple[int, int], pairing: Pairing
) -> Links:
    pairs, cosines = lower.of(*pair)
    matches = []
    for source, target in (pair, pair[::-1]):
        near = _near(nodes, searches, source, target, pairing.threshold)
        mine, other = pairs.T if source < target else pairs.T[::-1]
        both = (np.concatenate(both) for both in zip(near, (mine, other, cosines), strict=True))
        matches.append(_Candidates(*both).best())
    return _join(matches[0], matches[1], len(nodes.key), pairing.threshold)


def _near(nodes: Nodes, searches: Searches, source: int, target: int, threshold: float) -> tuple:
    """Nodes of ``source``, their nearest ones of ``target`` over the threshold, and the cosines."""
    names = [nodes.languages[number].language for number in (source, target)]
    found = searches.read(*names)
    assert found is not None, "searched before"
    rows = np.flatnonzero((found.target >= 0) & (found.cosine >= threshold))
    return rows + nodes.offsets[source], found.target[rows] + nodes.offsets[target], found.cosine[rows]


def _join(forward: _Candidates, backward: _Candidates, size: int, threshold: float) -> Links:
    there, back = forward.source * size + forward.target, backward.target * size + backward.source
    codes, first = np.unique(np.concatenate([there, back]), return_index=True)
    cosine = np.concatenate([forward.cosine, backward.cosine])[first]
    pairs = np.stack([codes // size, codes % size], axis=1)
    return Links(pairs, cosine, np.isin(codes, there) & np.isin(codes, back), cosine < threshold)
