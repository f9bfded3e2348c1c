"""The bag-of-words loss on the latents (Zhao et al., 2017)."""

import math

import pytest
import torch
from tiny import make_batch, make_dictionary, make_model

from fairseq_vhm.errors import UserError
from fairseq_vhm.modules.bag_of_words import bag_of_words_nll
from fairseq_vhm.names import TASKS


def losses(model, task: str = "cls") -> dict:
    batch = make_batch(make_dictionary(), task)
    torch.manual_seed(5)
    return model(**batch["net_input"], target=batch["target"])[1]["losses"]


def test_a_uniform_prediction_costs_log_v_for_each_word_counted():
    target = torch.tensor([[5, 6, 2], [7, 2, 1]])
    counted = torch.tensor([[True, True, False], [True, False, False]])
    nll = bag_of_words_nll(torch.zeros(2, 11), target, counted)
    assert nll.tolist() == pytest.approx([2 * math.log(11), math.log(11)])


def test_the_order_of_the_words_does_not_matter_and_eos_and_padding_do_not_count():
    model = make_model(bag_of_words_weight=1.0).eval()
    batch = make_batch(make_dictionary(), "cls", lengths=((5, 4), (4, 2)))
    encoder_out = model.encoder(batch["net_input"]["src_tokens"], target=batch["target"])
    special = model.encoder.special_tokens
    nll = model.decoder.predict_words(encoder_out, batch["target"], special)
    shuffled = batch["target"].flip(1)
    torch.testing.assert_close(model.decoder.predict_words(encoder_out, shuffled, special), nll)
    words = batch["target"][:1, :-1]  # without EOS; the first sentence alone
    alone = {**encoder_out, "latent": [encoder_out["latent"][0][:1]]}
    torch.testing.assert_close(model.decoder.predict_words(alone, words, special), nll[:1])


@pytest.mark.parametrize("decoders", ["shared", "task"])
def test_every_task_with_latents_has_the_loss_and_it_trains_its_latent(decoders):
    model = make_model(bag_of_words_weight=0.5, decoders=decoders)
    assert model.extra_losses == ("bag_of_words",)
    for task in TASKS:
        model.zero_grad()
        extra = losses(model, task)["bag_of_words"]
        assert extra.weight == 0.5 and extra.values.shape == (3,)
        extra.weighted().backward()
        trained = {n for n, p in model.encoder.hierarchy.named_parameters() if p.grad is not None}
        assert any(name.startswith(f"posterior.{task}") for name in trained)
        assert not any(name.startswith(f"prior.{task}") for name in trained)


def test_without_a_weight_there_is_neither_a_loss_nor_a_parameter():
    model = make_model()
    assert losses(model) == {} and model.extra_losses == ()
    assert not any("bag_of_words" in name for name, _ in model.named_parameters())


def test_tasks_that_decode_without_latents_have_none():
    model = make_model(bag_of_words_weight=1.0, latent_projection="none")
    assert set(losses(model, "cls")) == {"bag_of_words"} and losses(model, "mt") == {}


@pytest.mark.parametrize(
    "flags", [{"bag_of_words_weight": -1.0}, {"bag_of_words_weight": 1.0, "latents": "none"}]
)
def test_a_weight_that_makes_no_sense_is_refused(flags):
    with pytest.raises(UserError, match="--bag-of-words-weight"):
        make_model(**flags)
