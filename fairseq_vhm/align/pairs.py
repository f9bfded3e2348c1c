"""The aligned pairs: of articles, with how each was found and the split that it is in."""

from dataclasses import dataclass

import numpy as np

from fairseq_vhm.align.articles import NO_SPLIT
from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.pairing import Links
from fairseq_vhm.align.splits import Assignment

FOUND = ("mutual", "best", "induced")


@dataclass(frozen=True)
class Pairs:
    """P pairs of articles, each once, in the order of their numbers.

    Args:
        articles: (P, 2), the lower number first, so of the first language in order.
        languages: (P, 2) numbers of their languages.
        cosine: (P).
        found: (P) number in ``FOUND``.
        lowered: (P) whether the pages share content and only the lower threshold is reached.
        split: (P) number in ``SPLITS``, or ``NO_SPLIT`` where one of the two is left out.
    """

    articles: np.ndarray
    languages: np.ndarray
    cosine: np.ndarray
    found: np.ndarray
    lowered: np.ndarray
    split: np.ndarray

    def __len__(self) -> int:
        return len(self.articles)

    @property
    def dropped(self) -> np.ndarray:
        return self.split == NO_SPLIT


def make_pairs(nodes: Nodes, links: Links, induced: np.ndarray, assignment: Assignment) -> Pairs:
    """The pairs of ``links``; ``induced`` (L) says which of them only a chain joins."""
    articles = nodes.article[links.nodes]
    found = np.where(induced, FOUND.index("induced"), np.where(links.mutual, 0, FOUND.index("best")))
    return Pairs(
        articles,
        nodes.article_language[articles],
        links.cosine,
        found,
        links.lowered,
        assignment.split_of(*articles.T),
    )
