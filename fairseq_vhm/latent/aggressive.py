"""Aggressive training of the inference network (He et al., 2019, "Lagging Inference Networks").

Early in training the posteriors lag behind the model's own, so that the decoder learns to do without the
latents.  The remedy: most of the first updates train the posteriors' networks alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

POSTERIOR = "hierarchy.posterior."  # in the names of the posteriors' parameters


@dataclass(frozen=True)
class AggressiveInference:
    """Which updates train the posteriors alone.

    Args:
        every: of so many updates the last one trains everything; 1: all of them do.
        until: from this update on all updates train everything.
    """

    every: int = 1
    until: int = 0

    def posteriors_alone(self, num_updates: int) -> bool:
        """Whether the update after ``num_updates`` others trains nothing but the posteriors."""
        return num_updates < self.until and (num_updates + 1) % self.every != 0

    def keep(self, parameters: Iterable[tuple[str, nn.Parameter]], num_updates: int) -> None:
        """Take away the gradients of what this update leaves as it is; optimizers then pass over it."""
        if self.posteriors_alone(num_updates):
            for name, parameter in parameters:
                if POSTERIOR not in name:
                    parameter.grad = None
