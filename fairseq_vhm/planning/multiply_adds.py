"""Multiply-adds of matrix products, by torch's counter.

Attention counts by one rule whichever kernel computes it: two products forward and four backward.  What a
kernel computes anew in its backward pass, to save memory, is no work that was asked for.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]
ATEN = torch.ops.aten
KERNELS = ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")


def _forward(query: Shape, key: Shape, value: Shape, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """Operations of one attention; shapes (B x H x T x D)."""
    *batch, length, width = query
    return 2 * prod(batch) * length * key[-2] * (width + value[-1])


def _backward(
    grad: Shape, query: Shape, key: Shape, value: Shape, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    return 2 * _forward(query, key, value)


FORMULAS = {getattr(ATEN, f"_scaled_dot_product_{kernel}"): _forward for kernel in KERNELS} | {
    getattr(ATEN, f"_scaled_dot_product_{kernel}_backward"): _backward for kernel in KERNELS
}


def multiply_adds(work: Callable[[], object]) -> int:
    """Multiply-adds of the matrix products in one call, backward passes in it included."""
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        work()
    return counter.get_total_flops() // 2
