"""Eq. 8: ``o_t = tanh(W_p [h_dec_t; z] + b_p)``, between the decoder and its output projection."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "none": nn.Identity()}
"""``none``: as in the released code."""

PROJECTION_STARTS = ("xavier", "identity")
"""``identity``: ``W_p = [I; 0]``, so that what feeds on the states finds them as it was trained on them."""

PROJECTIONS = ("task", "states", "shared")
"""What tasks share of ``W_p = [W_h; W_z]``: nothing; ``W_h``, which meets the decoder's states, also those of
tasks that decode without latents; all of it."""


class LatentFusion(nn.Module):
    """Joins a sentence's latents to each of its decoder states.

    Args:
        width: C.
        inputs: for each task that decodes with latents, the joint width of these latents.
        sharing: one of :data:`PROJECTIONS`; ``shared`` needs equal widths.
        activation: a key of :data:`ACTIVATIONS`.
        start: one of :data:`PROJECTION_STARTS`.
    """

    def __init__(
        self, width: int, inputs: dict[str, int], sharing: str, activation: str, start: str = "xavier"
    ):
        super().__init__()
        self.tasks = tuple(inputs)
        self.activation = ACTIVATIONS[activation]
        self.width, self.sharing = width, sharing
        if sharing == "states":
            matrices = {task: nn.Linear(size, width, bias=False) for task, size in inputs.items()}
            self.of_latents = nn.ModuleDict(matrices)
            inputs = {"shared": 0}
        elif sharing == "shared":
            inputs = {"shared": next(iter(inputs.values()))}
        self.projections = nn.ModuleDict(
            {name: nn.Linear(width + size, width) for name, size in inputs.items()}
        )
        self.reset_parameters(start)

    def reset_parameters(self, start: str) -> None:
        """Set all weights as at the ``start``; biases are zero."""
        for matrix in (parameter for parameter in self.parameters() if parameter.dim() == 2):
            nn.init.xavier_uniform_(matrix) if start == "xavier" else nn.init.zeros_(matrix)
        projection: Any
        for projection in self.projections.values():
            nn.init.zeros_(projection.bias)
            if start == "identity":
                nn.init.eye_(projection.weight)

    def forward(self, states: Tensor, z: Tensor | None, task: str) -> Tensor:
        """Decoder states (B x T x C) and joined latents (B x D, or ``None``) to features (B x T x C).

        The latent's share of the product is the same at every position and computed once.
        """
        if z is None and self.sharing != "states":
            return states
        projection: Any = self.projections[task if self.sharing == "task" else "shared"]
        of_states = F.linear(states, projection.weight[:, : self.width])
        if z is None:
            return self.activation(of_states + projection.bias)
        of_z = projection.weight[:, self.width :]
        if self.sharing == "states":
            of_latents: Any = self.of_latents[task]
            of_z = of_latents.weight
        of_latent = F.linear(z.to(states.dtype), of_z, projection.bias)
        return self.activation(of_states + of_latent.unsqueeze(1))
