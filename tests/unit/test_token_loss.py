"""Output projection and loss in chunks, against fairseq's loss on all logits at once."""

import pytest
import torch
import torch.nn.functional as F
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from tiny import make_batch, make_dictionary, make_model

from fairseq_vhm.criterions.elbo import ElboCriterion
from fairseq_vhm.modules.token_loss import TokenLoss, _ChunkedLoss
from fairseq_vhm.names import TASKS

PAD, WIDTH, SYMBOLS = 1, 6, 29
DICTIONARY = make_dictionary()


def make(dtype=torch.float64, scale: float = 1.0, seed: int = 1, symbols: int = SYMBOLS):
    """Features (3 x 5 x C), weight, bias, and targets of 5, 3 and 0 tokens."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (3, 5, WIDTH), (symbols, WIDTH), (symbols,)
    tensors = [
        (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()
        for shape in shapes
    ]
    target = torch.randint(4, symbols, (3, 5), generator=generator)
    target[1, 3:], target[2] = PAD, PAD
    return tensors, target


def of_fairseq(tensors, target, smoothing: float, prefix: int = 0):
    """Loss and NLL by fairseq's function, in the precision of ``tensors``."""
    features, weight, bias = tensors
    logits = F.linear(features, weight, bias)[:, prefix:]
    log_p = F.log_softmax(logits, dim=-1).flatten(0, 1)
    return label_smoothed_nll_loss(log_p, target[:, prefix:].flatten(), smoothing, ignore_index=PAD)


def gradients(loss, tensors):
    return torch.autograd.grad(loss, tensors)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 3, 8, 100])
@pytest.mark.parametrize("prefix", [0, 2])
def test_loss_nll_and_gradients_are_fairseqs(smoothing, chunk, prefix):
    tensors, target = make()
    found = TokenLoss(smoothing, PAD, chunk, prefix)(*tensors, target)
    expected = of_fairseq(tensors, target, smoothing, prefix)
    torch.testing.assert_close(found, tuple(expected))
    for mine, theirs in zip(
        gradients(7 * found.loss, tensors), gradients(7 * expected[0], tensors), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_without_the_choice_of_tokens_that_other_devices_go_without_it_is_the_same():
    tensors, target = make()
    rows = tensors[0].flatten(0, 1), *tensors[1:]
    target = target.flatten()
    loss, nll = _ChunkedLoss.apply(*rows, target, target != PAD, 0.1, 4, True)
    expected = of_fairseq((rows[0].unsqueeze(0), *rows[1:]), target.unsqueeze(0), 0.1)
    torch.testing.assert_close((loss, nll), tuple(expected))
    for mine, theirs in zip(gradients(loss, rows), gradients(expected[0], rows), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_on_other_devices_nothing_waits_for_what_the_tensors_hold():
    """Tensors that hold nothing stand in for those of a device that would have to be waited for."""
    tensors = [tensor.detach().to("meta").requires_grad_() for tensor in make()[0]]
    tensors[0] = tensors[0].flatten(0, 1)
    target = torch.zeros(15, dtype=torch.long, device="meta")
    loss, nll = _ChunkedLoss.apply(*tensors, target, target != PAD, 0.1, 4, True)
    assert loss.shape == nll.shape == ()
    assert [one.shape for one in gradients(2 * loss, tensors)] == [one.shape for one in tensors]


def test_an_output_layer_without_bias():
    (features, weight, bias), target = make()
    found = TokenLoss(0.1, PAD, 4)(features, weight, None, target)
    expected = of_fairseq((features, weight, torch.zeros_like(bias)), target, 0.1)
    torch.testing.assert_close(found, tuple(expected))
    mine, theirs = (gradients(loss, (features, weight)) for loss in (found.loss, expected[0]))
    torch.testing.assert_close(mine, theirs)


def test_logits_of_hundreds_neither_overflow_nor_vanish():
    tensors, target = make(torch.float32, scale=12.0)
    exact, _ = make(torch.float64, scale=12.0)
    loss, nll = TokenLoss(0.1, PAD, 4)(*tensors, target)
    assert nll.item() > 1000
    torch.testing.assert_close(nll.double(), of_fairseq(exact, target, 0.1)[1], rtol=1e-6, atol=0)
    assert all(gradient.isfinite().all() for gradient in gradients(loss, tensors))


@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 2**-6), (torch.float16, 2**-9)])
def test_in_half_precision_it_is_within_its_rounding_of_the_exact_loss(dtype, bound):
    """With 2,000 symbols most gradients of logits are below 1e-4; their sum must not be lost."""
    tensors, target = make(dtype, scale=0.5, symbols=2000)
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    found = TokenLoss(0.1, PAD, 4)(*tensors, target)
    expected = of_fairseq(exact, target, 0.1)
    torch.testing.assert_close(found.nll.double(), expected[1].detach(), rtol=bound, atol=0)
    for mine, theirs in zip(gradients(found.loss, tensors), gradients(expected[0], exact), strict=True):
        assert mine.dtype == dtype
        assert (mine.double() - theirs).norm() < bound * theirs.norm()


def test_a_second_backward_pass_is_refused():
    tensors, target = make()
    loss, _ = TokenLoss(0.1, PAD, 4)(*tensors, target)
    torch.autograd.grad(loss, tensors, retain_graph=True)
    with pytest.raises(RuntimeError, match="serve one backward pass"):
        torch.autograd.grad(loss, tensors)


def test_a_batch_of_padding_alone_costs_nothing():
    tensors, target = make()
    loss, nll = TokenLoss(0.1, PAD, 4)(*tensors, torch.full_like(target, PAD))
    assert loss == nll == 0
    assert not any(gradient.any() for gradient in gradients(loss, tensors))


@pytest.mark.parametrize("learns", [True, False])
def test_gradients_are_taken_where_something_learns_and_nowhere_else(learns):
    """In validation the parameters want gradients too, but nobody asks for them."""
    tensors, target = make()
    with torch.set_grad_enabled(learns), torch.profiler.profile() as profiled:
        loss, nll = TokenLoss(0.1, PAD, 4)(*tensors, target)
    assert loss.requires_grad == learns
    torch.testing.assert_close((loss, nll), tuple(of_fairseq(tensors, target, 0.1)))
    operations = {event.name for event in profiled.events()}
    assert "aten::softmax" in operations and ("aten::scatter_add_" in operations) == learns


def elbo(**settings) -> ElboCriterion:
    class Task:
        source_dictionary = target_dictionary = DICTIONARY

    defaults = {
        "sentence_avg": False,
        "label_smoothing": 0.1,
        "ignore_prefix_size": 0,
        "report_accuracy": False,
        "kl_schedule": "constant",
        "kl_anneal_steps": 0,
        "kl_max_weight": 1.0,
        "free_bits": 0.0,
        "local_kl": False,
        "kl_normalization": "sum",
    }
    return ElboCriterion(Task(), **{**defaults, **settings})


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"biases": "fairseq"},
        {"share_all_embeddings": True},
        {"decoders": "task", "latents": "none"},
        {"latent_projection": "states", "bag_of_words_weight": 0.5},
    ],
    ids=str,
)
def test_the_criterion_takes_the_same_loss_and_gradients_in_chunks(task, flags):
    found = []
    for settings in ({"loss_chunk": 3}, {"loss_chunk": 0}, {"loss_chunk": 3, "report_accuracy": True}):
        model, batch = make_model(DICTIONARY, **flags), make_batch(DICTIONARY, task)
        torch.manual_seed(5)
        loss, _, log = elbo(**settings)(model, batch)
        loss.backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append((loss.detach(), log["nll_loss"], grads))
    for other in found[1:]:
        torch.testing.assert_close(found[0], other)


def test_accuracy_is_told_when_it_is_asked_for():
    _, _, log = elbo(loss_chunk=3, report_accuracy=True)(make_model(DICTIONARY), make_batch(DICTIONARY))
    assert log["total"] == make_batch(DICTIONARY)["ntokens"]


def test_under_autocast_it_computes_in_the_precision_that_is_asked_for():
    tensors, target = make(torch.float32, scale=0.5)
    exact = of_fairseq(tensors, target, 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = TokenLoss(0.1, PAD, 4)(*tensors, target)
    assert found.nll != exact[1]
    torch.testing.assert_close(found.nll, exact[1].detach(), rtol=2**-6, atol=0)
    for mine, theirs in zip(gradients(found.loss, tensors), gradients(exact[0], tensors), strict=True):
        assert mine.dtype == torch.float32
        assert (mine - theirs).norm() < 2**-6 * theirs.norm()
