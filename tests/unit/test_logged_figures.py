"""What the criterion logs, in closed form from the sums of mini-batches, and what it sums."""

import math
from copy import deepcopy

import pytest
import torch
from fairseq.logging import metrics
from test_ats import make_ats
from test_elbo import elbo
from tiny import make_batch, make_dictionary, make_model

from fairseq_vhm.criterions.elbo import ElboCriterion, ElboCriterionConfig
from fairseq_vhm.criterions.faults import first_fault
from fairseq_vhm.errors import UserError
from fairseq_vhm.latent import DiagonalGaussian, LatentBundle
from fairseq_vhm.latent.bundle import LatentVariable

DICTIONARY = make_dictionary()


def reduced(*logs: dict) -> dict:
    with metrics.aggregate(new_root=True) as aggregate:
        ElboCriterion.reduce_metrics(list(logs))
    return aggregate.get_smoothed_values()


def log_of(**figures) -> dict:
    """A mini-batch's sums; those of fairseq's own are of 4 tokens."""
    usual = {"loss": torch.tensor(8.0), "nll_loss": torch.tensor(6.0), "ntokens": 4, "sample_size": 4}
    return usual | {"nsentences": 2, "kl_weight": 0.5, "batches": 1} | figures


def test_the_weight_of_the_kl_is_the_mean_over_mini_batches():
    found = reduced(log_of(kl_weight=0.2), log_of(kl_weight=0.4), log_of(kl_weight=0.9))
    assert float(found["kl_weight"]) == 0.5


def test_a_mini_batch_is_one_in_the_mean_of_the_weights():
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY, "ms")
    model.set_num_updates(25)
    assert float(reduced(elbo()(model, batch)[2])["kl_weight"]) == 0.25


def test_a_loss_of_the_models_is_a_mean_over_the_sentences_that_have_it():
    found = reduced(
        log_of(extra_loss_cycle=torch.tensor(6.0), extra_loss_cycle_sentences=2, extra_loss_idle_sentences=0),
        log_of(extra_loss_cycle=torch.tensor(1.5), extra_loss_cycle_sentences=1, extra_loss_idle_sentences=0),
    )
    assert float(found["cycle"]) == 2.5 and "idle" not in found


def test_losses_are_a_token_in_base_2_of_each_task_apart():
    cls, mt = (
        {f"loss_{task}": torch.tensor(loss), f"nll_loss_{task}": torch.tensor(nll)}
        | {f"ntokens_{task}": tokens, f"sample_size_{task}": size}
        for task, loss, nll, tokens, size in (("cls", 8.0, 6.0, 4, 2), ("mt", 5.0, 3.0, 10, 10))
    )
    found = {name: float(value) for name, value in reduced(log_of(**cls), log_of(**mt)).items()}
    expected = {"loss_cls": 4.0, "nll_loss_cls": 1.5, "loss_mt": 0.5, "nll_loss_mt": 0.3}
    assert {name: found[name] for name in expected} == pytest.approx(
        {name: value / math.log(2) for name, value in expected.items()}, abs=5e-4
    )


class _LogsMore(ElboCriterion):
    @classmethod
    def reduce_metrics(cls, logging_outputs):
        """As a plugin's criterion may."""


def test_what_validation_will_log_is_told_beforehand_unless_a_plugin_may_log_more():
    criterion = elbo()
    criterion.report_accuracy = False
    assert "accuracy" not in criterion.logged() and {"nll_loss", "kl_weight"} <= set(criterion.logged())
    criterion.report_accuracy = True
    assert "accuracy" in criterion.logged()
    criterion.__class__ = _LogsMore
    assert criterion.logged() is None


def test_active_units_are_those_of_a_variance_above_a_hundredth_whatever_their_mean():
    """Over both mini-batches; within each of them nothing of the last dimension varies."""
    spread = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.double)
    widths = torch.tensor([0.0, 0.09, 0.099, 0.101, 0.11, 2.0], dtype=torch.double)
    means = torch.cat([3.0 + spread * widths, torch.tensor([[0.0], [0.0], [0.3], [0.3]])], dim=1)
    logs = [
        log_of(
            kl_ms=torch.tensor(1.0),
            kl_ms_sentences=2,
            au_ms_sum=rows.sum(dim=0),
            au_ms_squares=(rows**2).sum(dim=0),
        )
        for rows in means.split(2)
    ]
    assert reduced(*logs)["au_ms"] == 4
    assert "au_ms" not in reduced(log_of(kl_ms=torch.tensor(1.0), kl_ms_sentences=2))


@pytest.mark.parametrize("chunk", [0, 5])
def test_two_tasks_in_one_pass_have_the_sums_of_two_passes(chunk):
    model, criterion = make_model(DICTIONARY), elbo(loss_chunk=chunk)
    model.set_num_updates(30)
    ms, mt = make_batch(DICTIONARY, "ms"), make_batch(DICTIONARY, "mt", ((7, 2), (5, 8), (3, 3)))
    mt["net_input"] |= {name: ms["net_input"][name] for name in ("src_tokens", "src_lengths")}
    torch.manual_seed(5)
    loss, size, log = criterion(model, {**ms, "partner": mt})
    torch.manual_seed(5)
    alone = [criterion(model, ms), criterion(model, mt)]
    torch.testing.assert_close(loss, alone[0][0] + alone[1][0])
    assert size == alone[0][1] + alone[1][1] == ms["ntokens"] + mt["ntokens"]
    assert log.keys() == alone[0][2].keys()
    for key, value in log.items():
        both = alone[0][2][key] + alone[1][2][key]
        torch.testing.assert_close(torch.as_tensor(value), torch.as_tensor(both))


def test_a_kl_that_is_not_charged_has_a_gradient_of_0():
    """torch's DDP waits for one of everything that is put out."""
    model = make_model(DICTIONARY)
    elbo()(model, make_batch(DICTIONARY, "cls"))[0].backward()
    priors = [(name, one.grad) for name, one in model.named_parameters() if ".prior.m" in name]
    assert priors and all(gradient is not None for _, gradient in priors)
    assert not any(gradient.any() for name, gradient in priors if ".std." in name)


def test_the_usual_settings_are_the_papers():
    """Section 4.3 of Liang et al. (2022): a weight that rises from 0 to 1 over 400,000 updates."""
    usual = ElboCriterionConfig()
    assert (str(usual.kl_schedule), usual.kl_anneal_steps, usual.kl_max_weight) == ("linear", 400_000, 1.0)
    assert (usual.free_bits, usual.local_kl, str(usual.kl_normalization)) == (0.0, False, "sum")


@pytest.mark.parametrize("name", ["kl_anneal_steps", "kl_max_weight", "free_bits"])
def test_a_negative_setting_of_the_kl_is_refused(name):
    with pytest.raises(UserError, match="--kl-anneal-steps, --kl-max-weight and --free-bits must not be"):
        elbo(**{name: -1})
    elbo(**{name: 0})


@pytest.mark.parametrize("make", [make_model, make_ats])
def test_the_sentence_and_the_module_are_found_where_the_decoder_reads_one_word_wrong(make):
    """Also of a model whose output is a mixture, which puts out all of it."""
    model, batch = make(), make_batch(DICTIONARY, "cls")
    assert elbo().fault(model, batch) is None
    decoder, read, word = model.decoder, batch["net_input"]["prev_output_tokens"], 7
    read[read == word] = 8
    read[1, 2] = word
    decoder.embed_tokens = deepcopy(decoder.embed_tokens)  # the encoder's stays as it is
    with torch.no_grad():
        decoder.embed_tokens.weight[word] = math.nan
    _, fault = elbo().fault(model, batch)
    assert fault.rows == (1,)
    assert fault.term.startswith("the NLL is nan") and "(first in decoder.embed_tokens)" in fault.term


def test_a_latent_without_a_prior_has_no_kl_to_be_at_fault():
    posterior = DiagonalGaussian(torch.zeros(2, 3), torch.ones(2, 3))
    latents = LatentBundle({"mt": LatentVariable(torch.zeros(2, 3), posterior=posterior)})
    assert first_fault(latents, torch.ones(2), {}) is None
