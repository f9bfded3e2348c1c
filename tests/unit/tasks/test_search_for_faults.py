"""What the search for the cause of a bad update finds where no term of a loss is at fault."""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fairseq_vhm.errors import UserError
from fairseq_vhm.tasks.non_finite import NonFinite, Search

HUGE = 3e38
BATCH = {"id": torch.tensor([3, 8]), "task": "mt", "net_input": {}}
NAMED = "for the mt mini-batch with id 3, 8"


def search(loss_of, *weights: float, dummy: bool = False) -> str:
    """The finding of an update of one mini-batch, for a loss of a model that is its weights alone."""
    model = nn.ParameterDict({f"w{n}": nn.Parameter(torch.tensor([w, w])) for n, w in enumerate(weights)})
    trainer = SimpleNamespace(
        get_model=lambda: model,
        get_criterion=lambda: lambda model, batch: (loss_of(model), 1, {}),
        zero_grad=model.zero_grad,
        optimizer=None,
        _prepare_sample=lambda sample: (sample, dummy),
    )
    found = Search(trainer, lambda batch, optimizer: nullcontext()).result([{"mini_batches": [BATCH]}])
    assert all(weight.grad is None for weight in model.values())
    return found


def test_parameters_come_before_what_follows_from_them():
    found = search(lambda model: model["w0"].sum() * model["w1"].sum(), math.nan, 1.0)
    assert found == "w0 of the model is NaN or infinite"


def test_a_gradient_that_is_infinite_though_the_loss_is_not_is_named():
    """The root of 0."""
    found = search(lambda model: model["w0"].sqrt().sum() + model["w1"].sum(), 0.0, 1.0)
    assert found == f"the gradient of w0 (of a loss of 2) {NAMED}"


def test_large_gradients_that_are_finite_are_not_blamed():
    """Each of 3e38; their sum is not finite, and no gradient of the update."""
    assert search(lambda model: (model["w0"] * HUGE).sum(), 1e-9) == ""


def test_a_loss_that_is_infinite_by_a_constant_is_named():
    found = search(lambda model: model["w0"].sum() + math.inf, 1.0)
    assert found == "the loss is inf on the mt mini-batch with id 3, 8"


def test_what_a_rank_computes_for_show_is_not_searched():
    assert search(lambda model: model["w0"].sum() + math.nan, 1.0, dummy=True) == ""


def validation(policy: str, **sums: float) -> NonFinite:
    follows = NonFinite(policy, 3, lambda batch, optimizer: nullcontext())
    follows.remember({"id": torch.tensor([3]), "net_input": {"task": "cls"}}, {"ntokens": 4, **sums})
    return follows


def test_a_validation_that_failed_on_another_rank_is_said_to_have():
    with pytest.raises(UserError, match="^validation: the validation loss is not finite on another rank: "):
        validation("stop", loss=1.0, kl_mt=2.0).in_validation(math.nan)


def test_a_validation_names_the_cause_and_forgets_it(caplog):
    follows = validation("skip", loss=math.nan, nll_loss=math.nan, kl_mt=2.0)
    assert follows.in_validation(math.nan)
    assert "nll_loss is nan on the cls mini-batch with id 3: counted as the worst" in caplog.text
    assert follows.validated == [] and not follows.in_validation(1.0)
