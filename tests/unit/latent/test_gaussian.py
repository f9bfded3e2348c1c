"""Densities and KL against torch.distributions, closed forms, and Monte Carlo."""

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.distributions import kl_divergence as torch_kl

from fairseq_vhm.latent import DiagonalGaussian, kl_divergence


def random_gaussian(seed: int, rows: int = 5, dim: int = 7) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(rows, dim, generator=generator)
    return DiagonalGaussian(mean, torch.rand(rows, dim, generator=generator) * 2 + 0.05)


def peer(gaussian: DiagonalGaussian) -> Independent:
    return Independent(Normal(gaussian.mean, gaussian.std), 1)


@pytest.mark.parametrize("seed", range(3))
def test_log_density_and_kl_agree_with_torch_distributions(seed):
    q, p = random_gaussian(seed), random_gaussian(seed + 100)
    z = q.rsample()
    torch.testing.assert_close(q.log_prob(z), peer(q).log_prob(z))
    torch.testing.assert_close(kl_divergence(q, p), torch_kl(peer(q), peer(p)))


def test_kl_is_zero_when_posterior_equals_prior():
    q = random_gaussian(1)
    assert torch.all(kl_divergence(q, q) == 0)


def test_kl_of_shifted_unit_gaussian_is_half_the_squared_distance():
    ones = torch.ones(1, 4)
    q, p = DiagonalGaussian(3 * ones, ones), DiagonalGaussian(ones, ones)
    torch.testing.assert_close(kl_divergence(q, p), torch.tensor([0.5 * 4 * 2.0**2]))


def test_kl_is_the_expected_log_ratio():
    q, p = random_gaussian(1, rows=1), random_gaussian(2, rows=1)
    draws = q.mean + q.std * torch.randn(200_000, 7, generator=torch.Generator().manual_seed(3))
    estimate = (q.log_prob(draws) - p.log_prob(draws)).mean()
    assert estimate == pytest.approx(kl_divergence(q, p).item(), rel=0.02)


def test_kl_is_finite_and_differentiable_for_tiny_variances():
    mean = torch.zeros(1, 3, requires_grad=True)
    q = DiagonalGaussian(mean, torch.full((1, 3), 1e-4))
    kl = kl_divergence(q, DiagonalGaussian(torch.ones(1, 3), torch.full((1, 3), 1e-4))).sum()
    kl.backward()
    assert torch.isfinite(kl) and torch.isfinite(mean.grad).all()


def test_draw_is_reparameterised():
    mean, std = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    noise = torch.randn(2, 3)
    DiagonalGaussian(mean, std).rsample(noise).sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(2, 3))
    torch.testing.assert_close(std.grad, noise)
