"""What a model hands out of its latents."""

import torch

from fairseq_vhm.latent import DiagonalGaussian, ExtraLoss, LatentBundle, LatentVariable, kl_divergence

Z = torch.zeros(2, 3)
Q = DiagonalGaussian(Z + 1, Z + 2)
P = DiagonalGaussian(Z, Z + 1)


def test_a_kl_can_be_taken_of_those_with_both_distributions():
    latents = {
        "mt": LatentVariable(Z, prior=P),
        "ms": LatentVariable(Z, posterior=Q),
        "cls": LatentVariable(Z, prior=P, posterior=Q),
    }
    assert list(LatentBundle(latents).with_kl()) == ["cls"]


def test_the_kl_of_a_latent_is_that_of_its_posterior_from_its_prior():
    kl = LatentVariable(Z, prior=P, posterior=Q).kl()
    assert torch.equal(kl, kl_divergence(Q, P)) and not torch.allclose(kl, kl_divergence(P, Q))


def test_an_extra_loss_is_weighted_and_summed_over_sentences():
    assert ExtraLoss(torch.tensor([1.0, 2.0]), 0.25).weighted() == 0.75
