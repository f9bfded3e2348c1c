"""One gradient of an embedding for all lookups of a mini-batch.

torch makes a gradient as large as the table, (V x C) and mostly zeros, for every lookup: source, target and
decoder input of each mini-batch.  On a CPU, with many symbols and small mini-batches, that is a large part of
an update.  Within :func:`one_gradient` the lookups of a table add to one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING_GRADIENTS = ("one", "each")


class Embedding(nn.Embedding):
    """torch's, whose lookups within :func:`one_gradient` share their gradient."""

    gathering: "_Gathering | None" = None

    def forward(self, tokens: Tensor) -> Tensor:
        if self.gathering is None or not torch.is_grad_enabled():
            return super().forward(tokens)
        return _Lookup.apply(self.gathering.handle, tokens, self.gathering)


@contextmanager
def one_gradient(*tables: nn.Module) -> Iterator[None]:
    """In it each of the tables that is an :class:`Embedding` on a CPU, and learns, gets one gradient."""
    chosen = {table for table in tables if isinstance(table, Embedding)}
    chosen = {table for table in chosen if table.weight.device.type == "cpu" and table.weight.requires_grad}
    gatherings = {table: _Gathering(table) for table in chosen}
    for table, gathering in gatherings.items():
        table.gathering = gathering
    try:
        yield
    finally:  # the graph keeps what it needs
        for table, gathering in gatherings.items():
            table.gathering = gathering.handle = None


def use_one_gradient(model: nn.Module) -> None:
    """Make :class:`Embedding` of the plain embeddings of a model."""
    for module in model.modules():
        if type(module) is nn.Embedding and not module.sparse and module.max_norm is None:
            module.__class__ = Embedding


class _Gathering:
    """The gradient of a table, as far as the backward pass has come.

    ``handle`` is a number without meaning, between the table and its lookups in the graph: its gradient is
    asked for when all lookups have added theirs.
    """

    def __init__(self, table: nn.Embedding):
        self.weight, self.padding = table.weight.detach(), table.padding_idx
        self.gradient: Tensor | None = None
        self.handle: Any = _Table.apply(table.weight, self)

    def add(self, tokens: Tensor, gradient: Tensor) -> None:
        if self.gradient is None:
            self.gradient = torch.zeros_like(self.weight)
        self.gradient.index_add_(0, tokens.flatten(), gradient.flatten(0, -2).to(self.gradient))

    def finished(self) -> Tensor:
        gradient, self.gradient = self.gradient, None
        assert gradient is not None, "the handle has a gradient where a lookup has one"
        if self.padding is not None:
            gradient[self.padding] = 0
        return gradient


class _Table(torch.autograd.Function):
    """From a table to its handle."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, gathering: "_Gathering") -> Tensor:
        ctx.gathering = gathering
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx: Any, _of_handle: Tensor) -> tuple:
        return ctx.gathering.finished(), None


class _Lookup(torch.autograd.Function):
    """The rows of some tokens."""

    @staticmethod
    def forward(ctx: Any, handle: Tensor, tokens: Tensor, gathering: "_Gathering") -> Tensor:
        ctx.gathering = gathering
        ctx.save_for_backward(tokens)
        return F.embedding(tokens, gathering.weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple:
        (tokens,) = ctx.saved_tensors
        ctx.gathering.add(tokens, gradient)
        return gradient.new_zeros(()), None, None
