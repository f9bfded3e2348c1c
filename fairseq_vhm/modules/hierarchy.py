"""The graph of the latents at work: z_mt and z_ms from X and Y, z_cls from them (Liang et al. 2022, Eq. 2-7).

:data:`~fairseq_vhm.latent.LATENTS` says which feeds which; this file alone knows what follows from it and
from its switches (Table 5's ablations).
"""

import torch
from torch import Tensor, nn

from fairseq_vhm.latent import LATENTS, DiagonalGaussian, LatentBundle, LatentVariable
from fairseq_vhm.modules.latent_nets import LatentNetwork

NOISE = ("normal", "uniform")
"""``uniform``: on [0, 1), as the released code draws; its mean is not 0."""

Noise = dict[str, Tensor]
Views = dict[str, tuple[Tensor, Tensor]]


class LatentHierarchy(nn.Module):
    """The latents of a model: their networks, and their draws in training and at inference.

    Args:
        width: C, the width of the pooled sentence vectors h.
        latent_dim: D.
        latents: names of the latents there are, keys of :data:`~fairseq_vhm.latent.LATENTS`.
        hierarchical: whether latents condition those that they feed (z_mt and z_ms z_cls); without it
            (Table 5, row 5) each depends on the document alone and all enter the decoder on CLS.
        network: settings of each :class:`LatentNetwork` (``layers``, ``hidden``, ``head``).
        noise: one of :data:`NOISE`, for training.
        cls_prior_locals: ``posterior``: a prior sees the same posterior draws of what feeds it (z_mt,
            z_ms) as its posterior does; ``prior``: it sees prior draws, as the released code.
        local_decoder_latents: whether MT and MS decode with their latents.
    """

    def __init__(
        self,
        width: int,
        latent_dim: int,
        latents: tuple[str, ...],
        hierarchical: bool,
        network: dict,
        noise: str = "normal",
        cls_prior_locals: str = "posterior",
        local_decoder_latents: bool = True,
    ):
        super().__init__()
        self.latent_dim = latent_dim
        self.names = tuple(n for n in LATENTS if n in latents)
        self.feeding = {
            name: tuple(n for n in self.names if hierarchical and name in LATENTS[n].feeds)
            for name in self.names
        }
        self.parents = tuple(n for n in self.names if any(n in given for given in self.feeding.values()))
        self.noise = noise
        self.cls_prior_locals = cls_prior_locals
        self.local_decoder_latents = local_decoder_latents
        self.prior, self.posterior = nn.ModuleDict(), nn.ModuleDict()
        for name in self.names:
            latent, parents = LATENTS[name], len(self.feeding[name]) * latent_dim
            prior, posterior = latent.prior or LatentNetwork, latent.posterior or LatentNetwork
            self.prior[name] = prior(width + parents, latent_dim, **network)
            self.posterior[name] = posterior(2 * width + parents, latent_dim, **network)

    def decoder_latents(self, task: str) -> tuple[str, ...]:
        """The latents that enter the decoder (Eq. 8) on this task.

        MT and MS: their own.  CLS: those that feed no other, which is z_cls; where there is none, or where
        the hierarchy is cut, all.
        """
        if task != "cls":
            return self._own(task) if self.local_decoder_latents else ()
        return tuple(n for n in self.names if n not in self.parents)

    def required(self, task: str) -> tuple[str, ...]:
        """The latents that have to be drawn on this task, parents first."""
        needed = set(self.names if task == "cls" else self._own(task))
        for name in reversed(self.names):
            needed |= {*self.feeding[name]} if name in needed else set()
        return tuple(n for n in self.names if n in needed)

    def _own(self, task: str) -> tuple[str, ...]:
        return tuple(n for n in self.names if LATENTS[n].task == task)

    def infer(self, h_x: Tensor, task: str, noise: Noise | None = None) -> LatentBundle:
        """Latents from the priors alone, as at test time.

        Args:
            h_x: pooled document (B x C).
            noise: name -> standard normal noise (B x at least D) for a draw; ``None`` for the mean.  A
                model trained with uniform noise gets the uniform one at the same quantile, 1/2 for the mean.
        """
        drawn: dict[str, LatentVariable] = {}
        for name in self.required(task):
            prior = self.prior[name](h_x, *self._given(name, drawn))
            z = self._infer(prior, None if noise is None else noise[name])
            drawn[name] = LatentVariable(z, prior=prior)
        return LatentBundle(drawn, self.decoder_latents(task))

    def forward(
        self, h_x: Tensor, h_y: Tensor, task: str, views: Views | None = None
    ) -> LatentBundle:
        """Latents of a training batch: draws from the posteriors, with priors for the KL.

        Args:
            h_x, h_y: pooled source and target (B x C).
            views: for a local latent on CLS, another (source, target) pair to infer it from than
                (h_x, h_y): the source-language summary, where the corpus has it.
        """
        drawn: dict[str, LatentVariable] = {}
        from_prior: dict[str, LatentVariable] = {}
        for name in self.required(task):
            x, y = (views or {}).get(name, (h_x, h_y))
            given = self._given(name, drawn)
            posterior = self.posterior[name](x, *given, y)
            prior_given = given if self.cls_prior_locals == "posterior" else self._given(name, from_prior)
            prior = self.prior[name](x, *prior_given)
            drawn[name] = LatentVariable(self._draw(posterior), prior=prior, posterior=posterior)
            if self.cls_prior_locals == "prior" and name in self.parents:
                from_prior[name] = LatentVariable(self._draw(prior))
        return LatentBundle(drawn, self.decoder_latents(task))

    def _infer(self, prior: DiagonalGaussian, noise: Tensor | None) -> Tensor:
        """The mean of the draws of training or, with noise (B x at least D), such a draw."""
        if noise is None:
            noise = torch.zeros_like(prior.mean)
        noise = noise[:, : self.latent_dim]
        return prior.rsample(torch.special.ndtr(noise) if self.noise == "uniform" else noise)

    def _given(self, name: str, drawn: dict[str, LatentVariable]) -> list[Tensor]:
        return [drawn[parent].z for parent in self.feeding[name]]

    def _draw(self, distribution: DiagonalGaussian) -> Tensor:
        if self.noise == "uniform":
            return distribution.rsample(torch.rand_like(distribution.mean))
        return distribution.rsample()
