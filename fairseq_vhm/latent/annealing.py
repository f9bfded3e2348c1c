"""The weight of the KL as a function of the update, and free bits.

The paper raises the weight linearly from 0 to 1 over 400,000 updates (Liang et al. 2022, section 4.3).
``cyclical`` is Fu et al. (2019), ``sigmoid`` Bowman et al. (2016), free bits Kingma et al. (2016).
"""

import math
from dataclasses import dataclass

from torch import Tensor

KL_SCHEDULES = ("linear", "cyclical", "sigmoid", "constant")
"""How the weight may rise."""

_CYCLES = 4  # Fu et al. (2019), section 4: M = 4 cycles ...
_RISING_SHARE = 0.5  # ... in each of which the weight rises for R = 0.5 of the time
_SIGMOID_SPAN = 10.0  # the logistic's argument runs from -10/2 to 10/2 over the annealing


@dataclass(frozen=True)
class KLSchedule:
    """KL weight = f(number of optimizer updates made).

    Args:
        kind: one of :data:`KL_SCHEDULES`.
        steps: updates until the weight has reached its maximum (``cyclical``: length of all cycles).
        max_weight: the maximum.
    """

    kind: str
    steps: int
    max_weight: float

    def __post_init__(self) -> None:
        if self.kind not in KL_SCHEDULES:
            raise ValueError(f"unknown KL schedule '{self.kind}': choose from {KL_SCHEDULES}")
        if self.steps < 0 or self.max_weight < 0:
            raise ValueError("the KL schedule's steps and maximum weight must not be negative")

    def weight(self, num_updates: int) -> float:
        """The weight at this update, between 0 and ``max_weight``."""
        if self.kind == "constant" or self.steps == 0 or num_updates >= self.steps:
            return self.max_weight
        progress = max(num_updates, 0) / self.steps
        return self.max_weight * getattr(self, f"_{self.kind}")(progress)

    @staticmethod
    def _linear(progress: float) -> float:
        return progress

    @staticmethod
    def _cyclical(progress: float) -> float:
        return min(1.0, (progress * _CYCLES % 1.0) / _RISING_SHARE)

    @staticmethod
    def _sigmoid(progress: float) -> float:
        """A logistic curve, shifted and scaled to run from exactly 0 to exactly 1."""
        low, high = (1 / (1 + math.exp(s * _SIGMOID_SPAN / 2)) for s in (1, -1))
        value = 1 / (1 + math.exp(-_SIGMOID_SPAN * (progress - 0.5)))
        return (value - low) / (high - low)


def free_bits(kl: Tensor, nats: float) -> Tensor:
    """The KL (B) of a latent with the first ``nats`` of each sentence free of charge: max(KL, nats)."""
    return kl.clamp(min=nats) if nats > 0 else kl
