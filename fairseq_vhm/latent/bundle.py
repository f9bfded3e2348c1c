"""What the model hands out about its latents: the one contract between model, criterion and generation."""

from dataclasses import dataclass, field

from torch import Tensor

from fairseq_vhm.latent.gaussian import DiagonalGaussian, kl_divergence


@dataclass(frozen=True)
class LatentVariable:
    """One latent of a batch: what is known of it and the draw that was used.

    ``posterior`` is there in training only; ``prior`` may be missing for a latent that merely feeds
    another one in training.
    """

    z: Tensor  # B x D
    prior: DiagonalGaussian | None = None
    posterior: DiagonalGaussian | None = None

    def kl(self) -> Tensor:
        """KL(posterior || prior) in nats a sentence: (B)."""
        assert self.posterior is not None and self.prior is not None, "see LatentBundle.with_kl"
        return kl_divergence(self.posterior, self.prior)


@dataclass(frozen=True)
class LatentBundle:
    """The latents of one batch.

    Args:
        latents: from name (``mt``, ``ms``, ``cls``) to variable, in the order they were drawn.
        decoder_latents: the names whose draws enter the decoder (Eq. 8), in the order they are joined.
    """

    latents: dict[str, LatentVariable] = field(default_factory=dict)
    decoder_latents: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> LatentVariable:
        return self.latents[name]

    def with_kl(self) -> dict[str, LatentVariable]:
        """The latents that have both a prior and a posterior, so that a KL can be taken."""
        return {n: v for n, v in self.latents.items() if v.prior and v.posterior}
