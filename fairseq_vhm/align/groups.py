"""Groups of articles joined across languages: connected components, and the pairs that they induce."""

import numpy as np

from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.pairing import Links
from fairseq_vhm.align.settings import Pairing
from fairseq_vhm.align.store import VectorStore


def components(size: int, edges: np.ndarray) -> np.ndarray:
    """Number of each node's component (size); ``edges`` (E, 2)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(edges), dtype=bool)
    graph = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1]


def members(labels: np.ndarray) -> list[np.ndarray]:
    """The components of more than one node, each as its nodes in order."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    ends = np.cumsum(sizes)
    return [order[end - size : end] for end, size in zip(ends, sizes, strict=True) if size > 1]


def with_induced(
    links: Links, nodes: Nodes, store: VectorStore, pairing: Pairing
) -> tuple[Links, np.ndarray, int]:
    """The links and the pairs that they induce: all others of two languages within a group.

    Returns:
        the links of both kinds in the order of their nodes, which of them are induced (L), and the number
        of groups that are too large to induce any.
    """
    groups = members(components(len(nodes.key), links.nodes))
    small = [group for group in groups if len(group) <= pairing.largest_group]
    pairs = np.concatenate([np.empty((0, 2), dtype=np.int64), *map(nodes.crossing, small)])
    size = len(nodes.key)
    known = links.nodes[:, 0] * size + links.nodes[:, 1]
    pairs = pairs[~np.isin(pairs[:, 0] * size + pairs[:, 1], known)]
    cosine = store.cosines(*nodes.key[pairs].T)
    pairs, cosine = pairs[cosine >= pairing.induced_threshold], cosine[cosine >= pairing.induced_threshold]
    no = np.zeros(len(pairs), dtype=bool)
    both = Links(
        np.concatenate([links.nodes, pairs]),
        np.concatenate([links.cosine, cosine]),
        np.concatenate([links.mutual, no]),
        np.concatenate([links.lowered, no]),
    )
    order = np.lexsort((both.nodes[:, 1], both.nodes[:, 0]))
    return both.select(order), (np.arange(len(both)) >= len(links))[order], len(groups) - len(small)
