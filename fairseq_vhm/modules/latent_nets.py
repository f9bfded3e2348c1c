"""Prior and recognition networks: from vectors of a sentence to a diagonal Gaussian (Eq. 2-7)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_vhm.latent import DiagonalGaussian

HEADS = ("separate", "tied", "released")
"""``separate``: mu and sigma each have a network (Eq. 2: MLP and MLP'); ``tied``: they share all layers
but the last; ``released``: one network, and the softplus of its mean is taken as the log-variance."""

STD_FLOOR = 1e-4  # keeps the KL finite where softplus underflows


class Float32Linear(nn.Linear):
    """A linear layer that computes in float32, whatever the precision of its parameters."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.float(), self.weight.float(), self.bias.float())


def mlp(input_dim: int, hidden: int, output_dim: int, layers: int) -> nn.Sequential:
    """``layers`` linear layers with tanh between them."""
    sizes = [input_dim] + [hidden] * (layers - 1) + [output_dim]
    parts: list[nn.Module] = []
    for size_in, size_out in zip(sizes, sizes[1:], strict=False):
        parts += [Float32Linear(size_in, size_out), nn.Tanh()]
    return nn.Sequential(*parts[:-1])


class LatentNetwork(nn.Module):
    """N(mu, sigma^2 I) with ``mu = MLP(x)`` and ``sigma = softplus(MLP'(x))``, in float32.

    Args:
        input_dim: width of x, which is the concatenation of what the equation puts in brackets.
        latent_dim: D.
        layers, hidden: depth and width of each MLP (1 layer: linear).
        head: one of :data:`HEADS`.
    """

    trunk: nn.Module
    mean: nn.Module
    std: nn.Module | None

    def __init__(self, input_dim: int, latent_dim: int, layers: int, hidden: int, head: str):
        super().__init__()
        self.head = head
        if head == "tied":
            trunk = [*mlp(input_dim, hidden, hidden, layers - 1), nn.Tanh()] if layers > 1 else []
            self.trunk = nn.Sequential(*trunk)
            self.mean = Float32Linear(hidden if layers > 1 else input_dim, latent_dim)
            self.std = Float32Linear(hidden if layers > 1 else input_dim, latent_dim)
            return
        self.trunk = nn.Identity()
        self.mean = mlp(input_dim, hidden, latent_dim, layers)
        self.std = mlp(input_dim, hidden, latent_dim, layers) if head == "separate" else None

    def forward(self, *inputs: Tensor) -> DiagonalGaussian:
        """The distribution given the concatenation of ``inputs``, each (B x something)."""
        with torch.autocast(inputs[0].device.type, enabled=False):
            x = self.trunk(torch.cat([i.float() for i in inputs], dim=-1))
            mean = self.mean(x)
            if self.std is None:
                return DiagonalGaussian(mean, torch.exp(0.5 * F.softplus(mean)))
            return DiagonalGaussian(mean, F.softplus(self.std(x)) + STD_FLOOR)
