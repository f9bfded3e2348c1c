"""Losses that a model hands out beside its logits: the contract between models and the criterion.

A model names them, in a fixed order, as ``model.extra_losses``; the extra outputs of its forward pass hold
those that a batch has as ``losses``, from name to :class:`ExtraLoss`.  The criterion adds each, weighted,
to the NLL of the same sentences, and logs it under its name.  A loss that a batch lacks is logged as zero
of zero sentences, so that ranks that meet different tasks send the same keys.
"""

from typing import NamedTuple

from torch import Tensor


class ExtraLoss(NamedTuple):
    """One loss of a batch; it is logged without its weight."""

    values: Tensor  # (B), in nats a sentence
    weight: float

    def weighted(self) -> Tensor:
        """What is added to the batch's NLL: the weighted sum over sentences (a scalar)."""
        return self.weight * self.values.sum()
