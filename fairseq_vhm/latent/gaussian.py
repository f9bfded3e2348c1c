"""Diagonal Gaussians: the form of every prior and posterior of VHM (Liang et al. 2022, Eq. 2-7).

Everything is in float32, whatever the precision of the model: a variance near zero and a KL of a few
thousandths of a nat do not survive half precision.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, std^2 I), one distribution a row.

    Args:
        mean: (B x D), float32.
        std: standard deviations (B x D), float32, positive.
    """

    mean: Tensor
    std: Tensor

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """A reparameterised draw ``mean + std * noise`` (B x D); ``noise`` is standard normal if absent."""
        if noise is None:
            noise = torch.randn_like(self.mean)
        return self.mean + self.std * noise

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of ``value`` (B x D) in nats a row: (B)."""
        standardised = (value - self.mean) / self.std
        per_dimension = -0.5 * standardised**2 - self.std.log() - 0.5 * math.log(2 * math.pi)
        return per_dimension.sum(dim=-1)


def kl_divergence(q: DiagonalGaussian, p: DiagonalGaussian) -> Tensor:
    """KL(q || p) in nats, summed over dimensions: (B).

    With x the logarithm of the ratio of the variances: half of e^x - 1 - x and of the squared distance of
    the means in units of p.  Too large for float32 it is infinite, never NaN; and x loses nothing where the
    ratio itself would be 0 or infinite.
    """
    log_ratio = 2 * (q.std.log() - p.std.log())
    squared_distance = ((q.mean - p.mean) / p.std) ** 2
    return 0.5 * (torch.expm1(log_ratio) - log_ratio + squared_distance).sum(dim=-1)
