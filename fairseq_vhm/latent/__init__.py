"""The mathematics of the latents, in plain torch: distributions, KL weight, and what a model hands out."""

from fairseq_vhm.latent.aggressive import AggressiveInference
from fairseq_vhm.latent.annealing import KLSchedule, free_bits
from fairseq_vhm.latent.bundle import LatentBundle, LatentVariable
from fairseq_vhm.latent.gaussian import DiagonalGaussian, kl_divergence
from fairseq_vhm.latent.graph import LATENTS, Latent, register_latent
from fairseq_vhm.latent.losses import ExtraLoss

__all__ = [
    "LATENTS",
    "AggressiveInference",
    "DiagonalGaussian",
    "ExtraLoss",
    "KLSchedule",
    "Latent",
    "LatentBundle",
    "LatentVariable",
    "free_bits",
    "kl_divergence",
    "register_latent",
]
