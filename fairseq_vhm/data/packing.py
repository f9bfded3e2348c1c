"""Mini-batches of examples whose lengths differ on both sides.

Sorted by source, examples have targets of all lengths side by side, and the other way round.  So the
examples, by source, are cut into strips of equal number, and each strip is sorted by target, every other one
from the longest.  One strip is the order by target, a strip for each mini-batch that by source; the number
of strips that leaves the least padding is found by trying powers of two.
"""

import numpy as np
from fairseq.data import data_utils

from fairseq_vhm.data.pairs import Batching


def pack(sizes: np.ndarray, batching: Batching) -> list[np.ndarray]:
    """Mini-batches within fairseq's limits, each an array of rows of ``sizes``.

    Args:
        sizes: (N x 2), tokens of sources and targets.
        batching: limits of a mini-batch.
    """
    by_target = _cut(sizes, in_strips(sizes, 1), batching)
    most = len(by_target)
    numbers = sorted({min(2**k, most) for k in range(1, most.bit_length() + 1)} - {1})
    tried = [by_target, *(_cut(sizes, in_strips(sizes, strips), batching) for strips in numbers)]
    return min(tried, key=lambda batches: padded_size(sizes, batches))


def in_strips(sizes: np.ndarray, strips: int) -> np.ndarray:
    """An order of the rows of ``sizes``; see the module."""
    sources, targets = sizes.T
    parts = np.array_split(np.lexsort((targets, sources)), strips)
    ordered = [part[np.argsort(targets[part], kind="stable")] for part in parts]
    return np.concatenate([part[:: (-1) ** number] for number, part in enumerate(ordered)])


def padded_size(sizes: np.ndarray, batches: list[np.ndarray]) -> int:
    """Tokens of source and target that the batches take, pads included."""
    counts = np.array([len(batch) for batch in batches])
    longest = np.maximum.reduceat(sizes[np.concatenate(batches)], np.cumsum(counts) - counts, axis=0)
    return int((counts * longest.sum(axis=1, dtype=np.int64)).sum())


def _cut(sizes: np.ndarray, order: np.ndarray, batching: Batching) -> list[np.ndarray]:
    longer = sizes.max(axis=1).astype(np.int64)
    return data_utils.batch_by_size(
        order,
        num_tokens_fn=longer.__getitem__,
        num_tokens_vec=longer[order],
        max_tokens=batching.max_tokens,
        max_sentences=batching.max_sentences,
        required_batch_size_multiple=batching.multiple,
    )
