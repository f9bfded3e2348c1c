"""What of a mini-batch's loss is not finite: the first term, and the sentences."""

import math
from copy import deepcopy

import pytest
import torch
from test_elbo import elbo
from tiny import make_batch, make_dictionary, make_model

from fairseq_vhm.criterions.faults import fault_in, first_fault
from fairseq_vhm.latent import ExtraLoss, LatentBundle, LatentVariable
from fairseq_vhm.latent.gaussian import DiagonalGaussian
from fairseq_vhm.modules.token_loss import TokenLoss
from fairseq_vhm.names import TASKS
from fairseq_vhm.tasks.non_finite import as_nan_where_not_finite

DICTIONARY = make_dictionary()
HUGE = 3e38
ALL = (0, 1, 2)

ALTERED = {
    "a draw": ("encoder.hierarchy.posterior.cls.std.2.bias", HUGE, "the draw of z_cls is "),
    "a prior": ("encoder.hierarchy.prior.ms.mean.2.weight", HUGE, "the mean of z_ms's prior is "),
    "a posterior": ("encoder.hierarchy.posterior.mt.mean.2.bias", math.nan, "the mean of z_mt's posterior"),
    "a KL": ("encoder.hierarchy.prior.mt.mean.2.bias", 1e25, "the KL of z_mt is inf"),
    "the NLL": ("decoder.output_projection.weight", HUGE, "the NLL is "),
}


def altered(name: str, value: float, **flags):
    model = make_model(DICTIONARY, **flags)
    with torch.no_grad():
        model.get_parameter(name).fill_(value)
    return model


@pytest.mark.parametrize("case", ALTERED)
def test_the_first_term_is_named_and_not_what_follows_from_it(case):
    name, value, term = ALTERED[case]
    sample, fault = elbo().fault(altered(name, value), make_batch(DICTIONARY, "cls"))
    assert fault.term.startswith(term)
    assert set(fault.rows) <= set(ALL)


@pytest.mark.parametrize("flags", [{}, {"loss_chunk": 0}, {"label_smoothing": 0.1}])
@pytest.mark.parametrize("task", TASKS)
def test_a_loss_that_is_finite_has_no_fault(task, flags):
    assert elbo(**flags).fault(make_model(DICTIONARY), make_batch(DICTIONARY, task)) is None


def test_the_module_is_named_in_which_it_begins():
    model = altered("encoder.layers.1.fc1.weight", math.nan)
    _, fault = elbo().fault(model, make_batch(DICTIONARY, "mt"))
    assert "(first in encoder.layers.1.fc1)" in fault.term and fault.rows == ALL


def test_the_sentence_is_named_that_has_the_word():
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY, "ms")
    sources, targets = batch["net_input"]["src_tokens"], batch["target"]
    seen = torch.cat([sources, targets], dim=1)
    word = next(int(w) for w in sources[1] if w > 3 and (seen == w).sum() == 1)
    model.encoder.embed_tokens = deepcopy(model.encoder.embed_tokens)  # the decoder's stays as it is
    with torch.no_grad():
        model.encoder.embed_tokens.weight[word] = HUGE
    _, fault = elbo().fault(model, batch)
    assert fault.rows == (1,) and fault.term.startswith("the mean of z_ms's posterior is nan")


def test_a_search_meets_the_random_numbers_of_the_loss_itself():
    """A draw that is infinite for one noise only is found under its seed, and not under another."""
    model = altered("encoder.hierarchy.posterior.mt.std.2.bias", 2e38, latent_dim=1)
    batch, seen = make_batch(DICTIONARY, "mt"), set()
    for seed in range(20):
        torch.manual_seed(seed)
        latent = model(**batch["net_input"], target=batch["target"])[1]["latents"]["mt"]
        torch.manual_seed(seed)
        _, fault = elbo().fault(model, batch)
        wrong = (~torch.isfinite(latent.z)).any(dim=1).nonzero().flatten().tolist()
        seen.add(bool(wrong))
        assert fault.term.startswith("the draw of z_mt") == bool(wrong)
        assert not wrong or list(fault.rows) == wrong
    assert seen == {True, False}


def test_the_partner_in_one_pass_is_searched_too():
    """Of another task, whose latent alone is at fault."""
    model = altered("encoder.hierarchy.prior.mt.mean.2.bias", math.nan)
    ms, mt = make_batch(DICTIONARY, "ms"), make_batch(DICTIONARY, "mt")
    sample, fault = elbo().fault(model, {**ms, "partner": mt})
    assert sample is mt and fault.term.startswith("the mean of z_mt's prior is nan")


def test_an_output_that_is_no_plain_softmax_is_searched_too():
    flags = {"adaptive_softmax_cutoff": "20,30", "share_encoder_decoder_embeddings": False}
    flags["biases"] = "fairseq"
    batch = make_batch(DICTIONARY, "mt")
    assert elbo().fault(make_model(DICTIONARY, **flags), batch) is None
    model = altered("decoder.adaptive_softmax.head.weight", HUGE, **flags)
    _, fault = elbo().fault(model, batch)
    assert fault.term.startswith("the NLL is ") and fault.rows == ALL


def gaussian(**values: float) -> DiagonalGaussian:
    return DiagonalGaussian(torch.full((2, 3), values.get("mean", 0.0)), torch.full((2, 3), 1.0))


def test_a_latent_without_prior_or_posterior_has_no_kl_and_is_searched_for_what_it_has():
    """As one that feeds another in training, and one that is drawn from its prior."""
    draw, nll = torch.zeros(2, 3), torch.zeros(2)
    for side in ("posterior", "prior"):
        fine = LatentBundle({"mt": LatentVariable(draw, **{side: gaussian()})})
        assert first_fault(fine, nll, {}) is None
        wrong = LatentBundle({"mt": LatentVariable(draw, **{side: gaussian(mean=math.nan)})})
        assert first_fault(wrong, nll, {}).term == f"the mean of z_mt's {side} is nan"
    wrong = LatentBundle({"mt": LatentVariable(draw + math.inf, prior=gaussian())})
    assert first_fault(wrong, nll, {}).term == "the draw of z_mt is inf"


def test_a_loss_of_the_models_own_is_named_behind_the_nll():
    losses = {"bag_of_words": ExtraLoss(torch.tensor([0.0, math.nan]), 1.0)}
    fault = first_fault(LatentBundle(), torch.zeros(2), losses)
    assert (fault.term, fault.rows) == ("bag_of_words is nan", (1,))
    assert first_fault(LatentBundle(), torch.tensor([math.inf, 0.0]), losses).term == "the NLL is inf"


def test_rows_and_the_first_value_of_a_term():
    values = torch.tensor([[0.0, 1.0], [2.0, -math.inf], [math.nan, 3.0]])
    assert fault_in("x", values).rows == (1, 2)
    assert fault_in("x", values).term == "x is -inf"
    assert fault_in("x", values[:, 0]).rows == (2,)
    assert fault_in("x", values[:1]) is None


def test_the_loss_of_each_sentence_adds_up_to_that_of_the_batch():
    loss, target = TokenLoss(0.1, 1, 3), torch.tensor([[4, 5, 2], [6, 2, 1]])
    features, weight = torch.randn(2, 3, 4), torch.randn(9, 4)
    whole, single = loss(features, weight, None, target), loss.by_sentence(features, weight, None, target)
    assert single.nll.shape == (2,)
    torch.testing.assert_close(single.loss.sum(), whole.loss)
    torch.testing.assert_close(single.nll.sum(), whole.nll)
    torch.testing.assert_close(single.nll[1], loss(features[1:], weight, None, target[1:]).nll)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_loss_that_is_not_finite_leaves_no_gradient_finite(value):
    x = torch.ones(3, requires_grad=True)
    as_nan_where_not_finite(x.sum() + value).backward()
    assert torch.isnan(x.grad).all()


def test_a_finite_loss_and_its_gradient_stay_as_they_are():
    x = torch.tensor([1e-30, 1e30], requires_grad=True)
    loss = as_nan_where_not_finite((x * 3).sum())
    loss.backward()
    assert loss == (x * 3).sum() and x.grad.tolist() == [3.0, 3.0]
