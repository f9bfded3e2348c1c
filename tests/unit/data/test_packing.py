"""Mini-batches of few examples with little padding."""

import numpy as np
import pytest

from fairseq_vhm.data.packing import in_strips, pack, padded_size
from fairseq_vhm.data.pairs import Batching


def some_sizes(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(5, 60, count), rng.integers(3, 25, count)], axis=1)


def sentences(limit: int) -> Batching:
    return Batching(None, limit, 1, seed=1)


@pytest.mark.parametrize("count", [1, 2, 7, 64, 200])
@pytest.mark.parametrize("batching", [sentences(8), Batching(120, None, 1, 1), Batching(300, 10, 8, 1)])
def test_each_example_is_in_one_mini_batch_within_the_limits(count, batching):
    sizes = some_sizes(count, seed=count)
    batches = pack(sizes, batching)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    for batch in batches:
        assert batching.max_tokens is None or len(batch) * sizes[batch].max() <= batching.max_tokens
        assert batching.max_sentences is None or len(batch) <= batching.max_sentences


def test_lengths_that_go_together_in_pairs_leave_no_padding():
    """Neither the order by source nor that by target alone would do."""
    sizes = np.array([[40, 10], [20, 20], [40, 20], [20, 10]] * 3)
    batches = pack(sizes, sentences(3))
    assert padded_size(sizes, batches) == sizes.sum()


@pytest.mark.parametrize("seed", range(5))
def test_it_pads_no_more_than_either_order_alone(seed):
    sizes = some_sizes(64, seed)
    found = padded_size(sizes, pack(sizes, sentences(8)))
    for order in (in_strips(sizes, 1), in_strips(sizes, len(sizes))):
        alone = np.split(order, 8)
        assert found <= padded_size(sizes, alone)


def test_strips_are_by_source_and_within_by_target():
    sizes = some_sizes(60, seed=3)
    strips = np.split(in_strips(sizes, 4), 4)
    ends = [(sizes[strip, 0].min(), sizes[strip, 0].max()) for strip in strips]
    assert all(before[1] <= after[0] for before, after in zip(ends, ends[1:], strict=False))
    steps = [np.sign(np.diff(sizes[strip, 1])) for strip in strips]
    assert [set(step) <= {0, (-1) ** number} for number, step in enumerate(steps)] == [True] * 4
