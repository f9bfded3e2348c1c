"""fp16 and bf16 stay within the bounds of docs/numbers.md on a small model."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from precision import BOUNDS, PRECISIONS, largest  # noqa: E402  (found by the line above)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_loss_kl_and_gradient_stay_within_the_bound_of_a_precision(precision):
    found = largest(precision, rounds=1, shape={"encoder_layers": 1, "decoder_layers": 1})
    assert all(0 < found[name] < bound for name, bound in BOUNDS[precision].items()), found
