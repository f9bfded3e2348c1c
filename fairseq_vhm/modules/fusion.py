"""Eq. 8: ``o_t = tanh(W_p [h_dec_t; z] + b_p)``, between the decoder and its output projection."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = {"tanh": torch.tanh, "none": nn.Identity()}
"""``none``: as in the released code."""

PROJECTION_STARTS = ("xavier", "identity")
"""``identity``: ``W_p = [I; 0]``, so that what feeds on the states finds them as it was trained on them."""


class LatentFusion(nn.Module):
    """Joins a sentence's latents to each of its decoder states.

    Args:
        width: C.
        inputs: for each task that decodes with latents, the joint width of these latents.
        shared: one projection for all tasks in place of one a task; all widths must then be equal.
        activation: a key of :data:`ACTIVATIONS`.
        start: one of :data:`PROJECTION_STARTS`.
    """

    def __init__(
        self, width: int, inputs: dict[str, int], shared: bool, activation: str, start: str = "xavier"
    ):
        super().__init__()
        self.tasks = tuple(inputs)
        self.activation = ACTIVATIONS[activation]
        if shared:
            projection = self._projection(width, next(iter(inputs.values())), start)
            self.projections = nn.ModuleDict({"shared": projection})
        else:
            self.projections = nn.ModuleDict(
                {task: self._projection(width, size, start) for task, size in inputs.items()}
            )
        self.shared = shared

    @staticmethod
    def _projection(width: int, latent_width: int, start: str) -> nn.Linear:
        projection = nn.Linear(width + latent_width, width)
        if start == "identity":
            nn.init.eye_(projection.weight)
        else:
            nn.init.xavier_uniform_(projection.weight)
        nn.init.zeros_(projection.bias)
        return projection

    def forward(self, states: Tensor, z: Tensor, task: str) -> Tensor:
        """Decoder states (B x T x C) and joined latents (B x D) to features (B x T x C).

        The latent's share of the product is the same at every position and computed once.
        """
        projection = self.projections["shared" if self.shared else task]
        width = states.size(-1)
        of_states = F.linear(states, projection.weight[:, :width])
        of_latent = F.linear(z.to(states.dtype), projection.weight[:, width:], projection.bias)
        return self.activation(of_states + of_latent.unsqueeze(1))
