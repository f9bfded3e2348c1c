"""Splits without leaks (CrossSum, section 3.3): articles that are joined are in one split, in every language.

Two articles are joined by a link that passes the threshold, mutual or not; by equal texts or summaries (but
for case, blanks and punctuation, and also a text that is the other's summary); by equal addresses within a
language; and by chains of these.  What is joined is a *unit* and has one split:

1. test, if one of its articles is in test already; else valid, if one is there; else train, if one is.
2. Where none has a split, it is drawn by the shares, from a digest of the unit's addresses.

An article whose own split is another than that of its unit is left out, with its pairs (``drop``: no article
is ever where it was not), or taken along (``move``).
"""

from dataclasses import dataclass

import numpy as np

from fairseq_vhm.align.articles import NO_SPLIT
from fairseq_vhm.align.groups import components
from fairseq_vhm.align.keys import KEY, key_of
from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.pairing import Links
from fairseq_vhm.align.settings import SPLITS, Splitting

TRAIN, VALID, TEST = range(len(SPLITS))


@dataclass(frozen=True)
class Assignment:
    """The split of each article.

    Args:
        split: (N) number in ``SPLITS``, or ``NO_SPLIT`` for what is left out.
        given: (N) that of its file, or ``NO_SPLIT``.
        unit: (N) number of its unit.
    """

    split: np.ndarray
    given: np.ndarray
    unit: np.ndarray

    @property
    def left_out(self) -> np.ndarray:
        return self.split == NO_SPLIT

    @property
    def moved(self) -> np.ndarray:
        return (self.given != NO_SPLIT) & (self.split != self.given) & ~self.left_out

    def split_of(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The split of pairs of articles; ``NO_SPLIT`` where one of the two is left out."""
        same = self.split[first] == self.split[second]
        return np.where(same, self.split[first], NO_SPLIT)


def assign_splits(nodes: Nodes, links: Links, splitting: Splitting) -> Assignment:
    """A split for every article; ``links`` are all, not only those that ``--match`` takes for pairs."""
    addresses = np.array([key_of(f"{a.language} {url}") for a in nodes.languages for url in a.urls], KEY)
    edges = np.concatenate([nodes.article[links.nodes], *_identities(nodes, addresses)])
    given = nodes.column("split")
    unit = components(len(given), edges)
    wanted = _drawn(unit, addresses, splitting)
    for split in range(len(SPLITS)):  # test is last, and wins
        wanted[unit[given == split]] = split
    splits = wanted[unit]
    if splitting.conflict == "drop":
        splits = np.where((given == NO_SPLIT) | (given == splits), splits, NO_SPLIT)
    return Assignment(splits.astype(np.int8), given, unit)


def _identities(nodes: Nodes, addresses: np.ndarray) -> list[np.ndarray]:
    """Edges between articles that have a text or summary, or an address in a language, in common."""
    texts = np.concatenate([nodes.column("folded"), nodes.column("text")])
    return [_equal(texts) % len(addresses), _equal(addresses)]


def _equal(keys: np.ndarray) -> np.ndarray:
    """Edges (E, 2) that join all places of one key in a chain."""
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    return np.stack([order[:-1][same], order[1:][same]], axis=1)


def _drawn(unit: np.ndarray, addresses: np.ndarray, splitting: Splitting) -> np.ndarray:
    """(U) the split of each unit as the shares would have it, by a digest of its least address key."""
    least = np.full(unit.max() + 1, np.iinfo(KEY).max, dtype=KEY)
    np.minimum.at(least, unit, addresses)
    share = np.array([key_of(f"split {key}") for key in least], dtype=KEY) / 2.0**64
    drawn = np.full(len(least), TRAIN)
    drawn[share < splitting.test_share + splitting.valid_share] = VALID
    drawn[share < splitting.test_share] = TEST
    return drawn
