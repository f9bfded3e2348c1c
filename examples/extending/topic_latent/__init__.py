"""A new latent: z_topic, drawn before z_cls and conditioning it, with a prior that sees no document.

    fairseq-train DATA --user-dir examples/extending/topic_latent --latents mt,ms,topic,cls ...

N(0, I) as the prior is that of a plain VAE (Kingma and Welling, 2014); the posterior is ours.  The log has
kl_topic and au_topic, and its KL is charged on CLS, the task that it is the latent of.
"""

import torch
from torch import Tensor, nn

from fairseq_vhm.latent import DiagonalGaussian, Latent, register_latent


class StandardNormal(nn.Module):
    """p(z_topic) = N(0, I) for every document."""

    def __init__(self, input_dim: int, latent_dim: int, **_):
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, h_x: Tensor, *given: Tensor) -> DiagonalGaussian:
        """The same distribution (B x D) whatever the pooled document ``h_x`` (B x C)."""
        zeros = h_x.new_zeros(len(h_x), self.latent_dim, dtype=torch.float32)
        return DiagonalGaussian(mean=zeros, std=torch.ones_like(zeros))


register_latent(Latent("topic", task="cls", feeds=("cls",), prior=StandardNormal))
