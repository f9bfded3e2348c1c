"""All languages' articles and summaries in one row of numbers.

An *article* is numbered through all languages; a *node* is a distinct summary of a language, and stands for
the first of the articles that have it: what is searched, paired and grouped are nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fairseq_vhm.align.articles import Articles
from fairseq_vhm.align.embed import first_places


@dataclass(frozen=True)
class Nodes:
    """N articles and M nodes of some languages."""

    languages: Sequence[Articles]

    @cached_property
    def _first(self) -> list[np.ndarray]:
        return [first_places(articles.summary) for articles in self.languages]

    @cached_property
    def article_offsets(self) -> np.ndarray:
        """(L + 1): where each language's articles begin."""
        return np.cumsum([0, *map(len, self.languages)])

    @cached_property
    def offsets(self) -> np.ndarray:
        """(L + 1): where each language's nodes begin."""
        return np.cumsum([0, *map(len, self._first)])

    @cached_property
    def article(self) -> np.ndarray:
        """(M): the article that a node stands for."""
        return np.concatenate([f + o for f, o in zip(self._first, self.article_offsets, strict=False)])

    @cached_property
    def key(self) -> np.ndarray:
        """(M): key of each node's summary."""
        return np.concatenate([a.summary[f] for a, f in zip(self.languages, self._first, strict=True)])

    @cached_property
    def language(self) -> np.ndarray:
        """(M): number of each node's language."""
        return np.repeat(np.arange(len(self.languages)), np.diff(self.offsets))

    @cached_property
    def article_language(self) -> np.ndarray:
        """(N): number of each article's language."""
        return np.repeat(np.arange(len(self.languages)), np.diff(self.article_offsets))

    @cached_property
    def of_article(self) -> np.ndarray:
        """(N): the node of each article."""
        found = []
        for articles, first, offset in zip(self.languages, self._first, self.offsets, strict=False):
            order = np.argsort(articles.summary[first])
            at = np.searchsorted(articles.summary[first], articles.summary, sorter=order)
            found.append(order[at] + offset)
        return np.concatenate(found)

    def crossing(self, group: np.ndarray) -> np.ndarray:
        """The pairs (n, 2) of two languages within a group of nodes in order, the lower number first."""
        first, second = np.triu_indices(len(group), k=1)
        pairs = np.stack([group[first], group[second]], axis=1)
        return pairs[self.language[pairs[:, 0]] != self.language[pairs[:, 1]]]

    def keys_of(self, number: int) -> np.ndarray:
        """Keys of the nodes of one language."""
        return self.key[self.offsets[number] : self.offsets[number + 1]]

    def place(self, article: int) -> tuple[Articles, int]:
        """The language of an article and its place there."""
        number = int(self.article_language[article])
        return self.languages[number], int(article - self.article_offsets[number])

    def url(self, article: int) -> str:
        articles, place = self.place(article)
        return articles.urls[place]

    def column(self, name: str) -> np.ndarray:
        """(N): a column of the articles of all languages."""
        return np.concatenate([getattr(articles, name) for articles in self.languages])
