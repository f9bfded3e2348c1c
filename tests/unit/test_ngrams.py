"""--no-repeat-ngram-size against a slow twin, on buffers as fairseq's generator hands them over."""

import math
import random

import pytest
import torch
from fairseq.ngram_repeat_block import NGramRepeatBlock

PAD, SYMBOLS = 1, 6


def banned_slowly(written: list[int], size: int) -> set[int]:
    """The tokens that would complete an n-gram that is there already; a start token alone is none."""
    written = written[1:] if size == 1 else written
    tail = written[len(written) - size + 1 :]
    places = range(len(written) - size + 1)
    return {written[i + size - 1] for i in places if written[i : i + size - 1] == tail}


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("step", [0, 1, 2, 5, 11])
def test_repeated_n_grams_get_probability_0_and_nothing_else_does(size, step):
    rng = random.Random(step)
    rows = [[rng.randrange(2, SYMBOLS) for _ in range(step + 1)] for _ in range(6)]
    buffer = torch.tensor([row + [PAD] * (20 - step) for row in rows])
    probabilities = NGramRepeatBlock(size)(buffer, torch.zeros(6, SYMBOLS), 2, 3, step)
    for row, found in zip(rows, probabilities, strict=True):
        expected = banned_slowly(row, size)
        assert {i for i, value in enumerate(found.tolist()) if value == -math.inf} == expected
