"""The latents at the edges of float32, against the same formulae in float64; texts of one token."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from test_elbo import elbo, loss_of
from tiny import make_batch, make_dictionary, make_model

from fairseq_vhm.latent import DiagonalGaussian, kl_divergence
from fairseq_vhm.modules.latent_nets import STD_FLOOR, LatentNetwork
from fairseq_vhm.modules.pooling import POOLING
from fairseq_vhm.names import TASKS

DICTIONARY = make_dictionary()
STDS = (1e-30, STD_FLOOR, 0.5, 1.0, 1.001, 1e4, 1e18, 1e30)
DISTANCES = (0.0, 1e-20, 1e-3, 1.0, 1e4, 1e18)
LARGEST = torch.finfo(torch.float32).max
ROUNDING = 2e-5  # relative; of a logarithm of 140 in float32, and its exponential


def exact_kl(q_std: float, p_std: float, distance: float) -> float:
    """KL(N(distance, q^2) || N(0, p^2)) in Python's float64, no power beyond its range here."""
    x = 2 * (math.log(q_std) - math.log(p_std))
    return 0.5 * (math.expm1(x) - x + (distance / p_std) ** 2)


def column(values: list[float]) -> torch.Tensor:
    return torch.tensor(values).unsqueeze(1)


def test_kl_is_that_of_float64_or_infinite_where_float32_ends():
    cases = list(product(STDS, STDS, DISTANCES))
    q, p, distance = (column(list(values)) for values in zip(*cases, strict=True))
    found = kl_divergence(DiagonalGaussian(distance, q), DiagonalGaussian(torch.zeros_like(p), p))
    for kl, case in zip(found.tolist(), cases, strict=True):
        rounded = [torch.tensor(value).item() for value in case]  # what float32 holds of them
        exact = exact_kl(*rounded)
        if exact > LARGEST:
            assert kl == math.inf, case
        elif exact < LARGEST / 10:
            assert kl == pytest.approx(exact, rel=ROUNDING, abs=1e-9), case


@pytest.mark.parametrize("share", [1e-2, 1e-3, 1e-4])
def test_a_kl_near_0_keeps_its_digits(share):
    """1e-8 of a nat is the difference of numbers near 1, whose rounding is 1e-7, if it is taken so."""
    q, p = torch.tensor([[1.0 + share]]), torch.ones(1, 1)
    zero = torch.zeros(1, 1)
    kl = kl_divergence(DiagonalGaussian(zero, q), DiagonalGaussian(zero, p)).item()
    assert kl == pytest.approx(exact_kl(q.item(), 1.0, 0.0), rel=2e-2)


def network(head: str, pre_activation: float) -> LatentNetwork:
    """One that puts out ``pre_activation`` before its softplus, whatever it reads."""
    net = LatentNetwork(3, 2, layers=1, hidden=3, head=head)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        (net.std if head == "separate" else net.mean)[-1].bias.fill_(pre_activation)
    return net


@pytest.mark.parametrize("x", [-1e30, -1e4, -104.0, -80.0, -20.0, 0.0, 19.9, 20.1, 1e4, 1e30])
def test_a_standard_deviation_is_softplus_above_its_floor_and_has_a_finite_gradient(x):
    net = network("separate", x)
    std = net(torch.ones(1, 3)).std
    exact = STD_FLOOR + (max(x, 0.0) + math.log1p(math.exp(-abs(x))))
    assert std.tolist() == [pytest.approx([exact] * 2, rel=1e-6)]
    prior = DiagonalGaussian(torch.zeros(1, 2), torch.ones(1, 2))
    posterior = net(torch.ones(1, 3))
    if x <= 1e4:  # beyond, the KL itself is too large
        kl_divergence(posterior, prior).sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize(("mean", "finite"), [(-1e4, True), (170.0, True), (180.0, False)])
def test_the_released_codes_variance_overflows_beyond_a_mean_of_177(mean, finite):
    """exp(softplus(mean) / 2), which docs/numbers.md says of --released-code-compat."""
    std = network("released", mean)(torch.ones(1, 3)).std
    assert bool(torch.isfinite(std).all()) == finite
    if finite:
        exact = math.exp(0.5 * (max(mean, 0.0) + math.log1p(math.exp(-abs(mean)))))
        assert std[0, 0].item() == pytest.approx(exact, rel=1e-5)


def test_a_variance_near_0_draws_the_mean_and_a_huge_one_stays_finite():
    noise = torch.tensor([[-5.0, 5.0]])
    mean = torch.tensor([[1.0, -2.0]])
    assert DiagonalGaussian(mean, torch.full((1, 2), 1e-38)).rsample(noise).tolist() == mean.tolist()
    draw = DiagonalGaussian(mean, torch.full((1, 2), 6e37)).rsample(noise)
    assert draw.tolist() == [pytest.approx([-3e38, 3e38], rel=1e-6)]


@pytest.mark.parametrize("pooling", POOLING)
@pytest.mark.parametrize("task", TASKS)
def test_texts_of_one_token_have_a_finite_loss_and_gradient(task, pooling):
    model = make_model(DICTIONARY, latent_pooling=pooling)
    loss, _, _ = elbo()(model, make_batch(DICTIONARY, task, lengths=((1, 1), (1, 0))))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_text_of_one_token_reads_the_same_alone_as_beside_long_ones():
    model, both = make_model(DICTIONARY), make_batch(DICTIONARY, "mt", lengths=((1, 1), (30, 20)))
    for network in model.encoder.hierarchy.posterior.values():  # draws are means
        network.register_forward_hook(lambda _module, _input, out: DiagonalGaussian(out.mean, out.std * 0))
    inputs, target = both["net_input"], both["target"]
    alone = {"src_tokens": inputs["src_tokens"][:1, -3:], "src_lengths": inputs["src_lengths"][:1]}
    logits = model(**inputs, target=target)[0]
    short = model(
        **alone, prev_output_tokens=inputs["prev_output_tokens"][:1, :2], task="mt", target=target[:1, :2]
    )[0]
    torch.testing.assert_close(short, logits[:1, :2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e30])
def test_logits_far_apart_have_the_loss_of_float64(scale):
    """log Z of logits near +-scale; the exponentials alone would be infinite."""
    model, batch = make_model(DICTIONARY, latents="none"), make_batch(DICTIONARY)
    with torch.no_grad():
        model.decoder.output_projection.weight.mul_(scale)
    loss, _, log = loss_of(elbo(label_smoothing=0.1), model, batch)
    logits = model(**batch["net_input"])[0].double()
    nll = F.cross_entropy(logits.flatten(0, 1), batch["target"].flatten(), ignore_index=1, reduction="sum")
    assert log["nll_loss"].item() == pytest.approx(nll.item(), rel=1e-5)
    assert math.isfinite(loss)
