"""The criterion: what it sums, what it divides by, what it logs."""

import math

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics
from tiny import make_batch, make_dictionary, make_model

from fairseq_vhm.criterions.collapse import WINDOW, WINDOWS, CollapseWatch
from fairseq_vhm.criterions.elbo import ElboCriterion
from fairseq_vhm.errors import UserError

DICTIONARY = make_dictionary()
TASKS = ("cls", "mt", "ms")


class _Task:
    source_dictionary = target_dictionary = DICTIONARY


def elbo(**settings) -> ElboCriterion:
    defaults = {
        "sentence_avg": False,
        "label_smoothing": 0.0,
        "ignore_prefix_size": 0,
        "report_accuracy": False,
        "kl_schedule": "linear",
        "kl_anneal_steps": 100,
        "kl_max_weight": 1.0,
        "free_bits": 0.0,
        "local_kl": False,
        "kl_normalization": "sum",
        "loss_chunk": 5,
    }
    return ElboCriterion(_Task(), **{**defaults, **settings})


def loss_of(criterion, model, batch) -> tuple[float, int, dict]:
    torch.manual_seed(5)
    loss, size, log = criterion(model, batch)
    return loss.item(), size, log


@pytest.mark.parametrize("task", TASKS)
def test_loss_is_token_nll_plus_weighted_kl_of_the_tasks_own_latent(task):
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY, task)
    model.set_num_updates(25)
    loss, size, log = loss_of(elbo(), model, batch)
    assert size == batch["ntokens"]
    assert log["kl_weight"] == 0.25
    assert loss == pytest.approx(log["nll_loss"].item() + 0.25 * log[f"kl_{task}"].item(), rel=1e-6)
    assert all(log[f"kl_{other}_sentences"] == (3 if other == task else 0) for other in TASKS)


def test_kl_logged_is_the_closed_form_of_the_models_distributions():
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY, "mt")
    _, _, log = loss_of(elbo(), model, batch)
    torch.manual_seed(5)
    variable = model(**batch["net_input"], target=batch["target"])[1]["latents"]["mt"]
    peer = torch.distributions.kl_divergence(
        torch.distributions.Normal(variable.posterior.mean, variable.posterior.std),
        torch.distributions.Normal(variable.prior.mean, variable.prior.std),
    ).sum()
    torch.testing.assert_close(log["kl_mt"], peer.detach())


def test_without_latents_the_loss_is_fairseqs_own():
    model, batch = make_model(DICTIONARY, latents="none"), make_batch(DICTIONARY)
    fairseqs = loss_of(LabelSmoothedCrossEntropyCriterion(_Task(), False, 0.1), model, batch)
    assert loss_of(elbo(label_smoothing=0.1, loss_chunk=0), model, batch)[:2] == fairseqs[:2]
    in_chunks = loss_of(elbo(label_smoothing=0.1), model, batch)[:2]
    assert in_chunks == pytest.approx(fairseqs[:2], rel=1e-6)


def test_local_kl_charges_z_mt_and_z_ms_on_cls_batches_too():
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY)
    plain, charged = elbo(), elbo(local_kl=True)
    model.set_num_updates(100)
    loss, _, log = loss_of(charged, model, batch)
    assert loss_of(plain, model, batch)[2]["kl_mt_sentences"] == 0
    kls = sum(log[f"kl_{name}"].item() for name in TASKS)
    assert loss == pytest.approx(log["nll_loss"].item() + kls, rel=1e-6)


@pytest.mark.parametrize("flags", [{"latents": "mt,ms"}, {"no_hierarchy": True}])
def test_latents_that_enter_the_decoder_of_cls_are_charged_there(flags):
    """Else a posterior draw would carry the summary into its own decoder free of charge."""
    model = make_model(DICTIONARY, **flags)
    _, _, log = loss_of(elbo(), model, make_batch(DICTIONARY))
    assert log["kl_mt_sentences"] == log["kl_ms_sentences"] == 3


def test_released_normalisation_weighs_mean_kl_a_sentence_against_mean_nll_a_token():
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY)
    model.set_num_updates(100)
    loss, size, log = loss_of(elbo(kl_normalization="released"), model, batch)
    per_token, per_sentence = log["nll_loss"].item() / batch["ntokens"], log["kl_cls"].item() / 3
    assert loss / size == pytest.approx(per_token + per_sentence, rel=1e-6)


def test_sentence_average_divides_both_by_sentences():
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY)
    _, size, log = loss_of(elbo(sentence_avg=True), model, batch)
    assert size == log["nsentences"] == 3


def test_released_normalisation_with_sentence_average_is_refused():
    with pytest.raises(UserError, match="--sentence-avg"):
        elbo(kl_normalization="released", sentence_avg=True)


@pytest.mark.parametrize(
    ("flag", "named"),
    [("loss_chunk", "--loss-chunk -1"), ("free_bits", "--free-bits"), ("kl_max_weight", "--kl-max-weight")],
)
def test_negative_settings_are_refused(flag, named):
    with pytest.raises(UserError, match=f"{named}.* must not be negative"):
        elbo(**{flag: -1})


def test_free_bits_replace_a_small_kl_by_their_floor():
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY, "ms")
    model.set_num_updates(100)
    loss, _, log = loss_of(elbo(free_bits=1000.0), model, batch)
    assert loss == pytest.approx(log["nll_loss"].item() + 3 * 1000.0, rel=1e-6)


def test_validation_uses_the_maximum_weight_whatever_the_update():
    model, batch = make_model(DICTIONARY).eval(), make_batch(DICTIONARY)
    criterion = elbo().eval()
    assert loss_of(criterion, model, batch)[2]["kl_weight"] == 1.0


def test_every_rank_logs_the_same_keys_whatever_its_task():
    model, criterion = make_model(DICTIONARY).eval(), elbo().eval()
    logs = [loss_of(criterion, model, make_batch(DICTIONARY, task))[2] for task in TASKS]
    for log in logs:
        assert log.keys() == logs[0].keys()
        for key, value in log.items():
            assert torch.is_tensor(value) == torch.is_tensor(logs[0][key]), key
            assert torch.as_tensor(value).shape == torch.as_tensor(logs[0][key]).shape, key


def test_a_loss_that_is_nan_stays_with_its_task():
    """Validation with --non-finite skip goes on, and what it says of the other tasks is to be read."""
    model, criterion = make_model(DICTIONARY).eval(), elbo().eval()
    logs = [loss_of(criterion, model, make_batch(DICTIONARY, task))[2] for task in ("mt", "ms")]
    with torch.no_grad():
        model.encoder.hierarchy.prior["cls"].mean[-1].bias.fill_(math.nan)
    logs.append(loss_of(criterion, model, make_batch(DICTIONARY, "cls"))[2])
    with metrics.aggregate(new_root=True) as aggregate:
        ElboCriterion.reduce_metrics(logs)
    values = aggregate.get_smoothed_values()
    assert math.isnan(values["loss_cls"]) and math.isfinite(values["nll_loss_cls"])
    assert math.isfinite(values["loss_mt"]) and math.isfinite(values["loss_ms"])


def test_logged_means_are_a_token_a_sentence_and_over_all_batches():
    model, criterion = make_model(DICTIONARY).eval(), elbo().eval()
    batches = [make_batch(DICTIONARY, "mt"), make_batch(DICTIONARY, "mt", ((4, 4),), seed=2)]
    logs = [loss_of(criterion, model, batch)[2] for batch in batches]
    with metrics.aggregate(new_root=True) as together:
        ElboCriterion.reduce_metrics(logs)
    with metrics.aggregate(new_root=True) as one_by_one:
        for log in logs:
            ElboCriterion.reduce_metrics([log])
    for values in (together.get_smoothed_values(), one_by_one.get_smoothed_values()):
        kl = sum(log["kl_mt"].item() for log in logs) / 4
        nll = sum(log["nll_loss"].item() for log in logs) / sum(b["ntokens"] for b in batches)
        assert float(values["kl_mt"]) == pytest.approx(kl, abs=1e-4)
        assert float(values["nll_loss_mt"]) == pytest.approx(nll / math.log(2), abs=1e-3)
        loss = sum(log["loss"].item() for log in logs) / sum(log["sample_size"] for log in logs)
        assert float(values["loss_mt"]) == pytest.approx(loss / math.log(2), abs=1e-3)
        named = {"loss_mt", "nll_loss_mt", "kl_mt", "kl_weight", "au_mt"}  # and of no task or latent besides
        assert set(values) - {"loss", "nll_loss", "ppl"} == named


def test_active_units_are_the_dimensions_whose_posterior_mean_varies():
    """Against the variance of the means of all sentences, taken at once."""
    model, criterion = make_model(DICTIONARY).eval(), elbo().eval()
    with torch.no_grad():
        for network in model.encoder.hierarchy.posterior.values():
            network.mean[-1].weight[3:] = 0.0  # five of eight dimensions no longer vary
            network.mean[-1].weight[:3] *= 10
    batches = [make_batch(DICTIONARY, "ms", seed=s) for s in range(4)]
    with metrics.aggregate(new_root=True) as aggregate:
        for batch in batches:
            ElboCriterion.reduce_metrics([loss_of(criterion, model, batch)[2]])
    means = [model.encoder(b["net_input"]["src_tokens"], task="ms", target=b["target"]) for b in batches]
    means = torch.cat([m["bundle"]["ms"].posterior.mean for m in means])
    expected = int((means.double().var(dim=0, unbiased=False) > 0.01).sum())
    assert aggregate.get_smoothed_values()["au_ms"] == expected <= 3
    assert expected > 0


def test_collapse_is_reported_for_the_latent_whose_kl_stays_near_0_and_no_other(caplog):
    watch, warned = CollapseWatch(), []
    log = {"kl_mt": 0.01, "kl_mt_sentences": 1, "kl_cls": 5.0, "kl_cls_sentences": 1}
    for _ in range(WINDOW * WINDOWS):
        warned += watch.update([log])
    assert warned == ["mt"]
    assert "z_mt" in caplog.text and "--free-bits" in caplog.text and "z_cls" not in caplog.text


def test_collapse_is_reported_by_one_rank_of_several(caplog, rank_1_of_2):
    watch = CollapseWatch()
    for _ in range(WINDOW * WINDOWS):
        warned = watch.update([{"kl_mt": 0.01, "kl_mt_sentences": 1}])
    assert warned == ["mt"] and "z_mt" not in caplog.text


def test_a_kl_that_recovers_is_not_reported():
    watch, warned = CollapseWatch(), []
    for update in range(4 * WINDOW):
        kl = 0.01 if (update // WINDOW) % 2 == 0 else 1.0
        warned += watch.update([{"kl_mt": kl, "kl_mt_sentences": 1}])
    assert warned == []
