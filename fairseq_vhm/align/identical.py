"""Pages of two languages that share an image or other identical content: for the lower threshold."""

from dataclasses import dataclass

import numpy as np

from fairseq_vhm.align.keys import KEY
from fairseq_vhm.align.nodes import Nodes


@dataclass(frozen=True)
class Shared:
    """Pairs of nodes (P, 2), of two languages and each once, the lower number first.

    ``contents`` are how many images and the like there are, ``common`` those of them left out as logos.
    """

    pairs: np.ndarray
    contents: int
    common: int


def shared_content(nodes: Nodes, common_image: int) -> Shared:
    """The pairs of nodes with some content in common that no language has on more than some pages."""
    node, content = _owners(nodes)
    values, content = np.unique(content, return_inverse=True)
    common = _common(content, nodes.language[node], len(values), common_image)
    kept = ~common[content]
    order = np.flatnonzero(kept)[np.lexsort((node[kept], content[kept]))]
    node, content = node[order], content[order]
    groups = np.split(node, np.flatnonzero(np.diff(content)) + 1)
    found = [np.empty((0, 2), dtype=np.int64), *(nodes.crossing(group) for group in groups if len(group) > 1)]
    return Shared(np.unique(np.concatenate(found), axis=0), len(values), int(common.sum()))


def _owners(nodes: Nodes) -> tuple[np.ndarray, np.ndarray]:
    """Node and content of each line of what articles have, no line twice."""
    rows = [np.empty((0, 2), dtype=KEY)]
    for articles, offset in zip(nodes.languages, nodes.article_offsets, strict=False):
        article = articles.content[:, 0].astype(np.int64) + offset
        rows.append(np.stack([nodes.of_article[article].astype(KEY), articles.content[:, 1]], axis=1))
    unique = np.unique(np.concatenate(rows), axis=0)
    return unique[:, 0].astype(np.int64), unique[:, 1]


def _common(content: np.ndarray, language: np.ndarray, size: int, most: int) -> np.ndarray:
    """(size) whether a content is on more than ``most`` pages of a language."""
    width = int(language.max(initial=0)) + 1
    cells, pages = np.unique(content * width + language, return_counts=True)
    common = np.zeros(size, dtype=bool)
    common[cells[pages > most] // width] = True
    return common
