"""MS-CLS-Rec: the mappers, the losses that tie the two languages, and where each of them reaches."""

import argparse
from types import SimpleNamespace

import pytest
import torch
from test_elbo import elbo
from tiny import SMALL, make_batch, make_dictionary

from fairseq_vhm.errors import UserError
from fairseq_vhm.models.architectures import ms_cls_rec_transformer
from fairseq_vhm.models.ms_cls_rec import Discriminator, MSCLSRecModel, Reconstruction

DICTIONARY = make_dictionary()
WEIGHTS = {"rec_mapping": 1.0, "rec_cycle": 1.0}
WIDTH = 16


def make(seed: int = 1, **flags) -> MSCLSRecModel:
    args = argparse.Namespace(**{**SMALL, **flags})
    ms_cls_rec_transformer(args)
    torch.manual_seed(seed)
    return MSCLSRecModel.build_model(
        args, SimpleNamespace(source_dictionary=DICTIONARY, target_dictionary=DICTIONARY)
    )


def losses_of(model, batch) -> dict:
    return model(**batch["net_input"], target=batch["target"])[1]["losses"]


def states(*lengths: int, seed: int = 1):
    """Random states (T x B x C) and the mask (B x T) of sentences of these lengths."""
    torch.manual_seed(seed)
    longest = max(lengths)
    return torch.randn(longest, len(lengths), WIDTH), torch.arange(longest) < torch.tensor(lengths)[:, None]


def disturb(module: torch.nn.Module) -> None:
    """Move parameters away from where they start."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn_like(parameter)


def test_identity_mappers_and_equal_representations_cost_nothing():
    x, mask = states(4, 2)
    for name, loss in Reconstruction(WIDTH, WEIGHTS)(x, mask, x, mask).items():
        assert torch.equal(loss.values, torch.zeros(2)), name


def test_a_mapper_and_its_inverse_cost_nothing_whatever_the_map():
    reconstruction, (x, mask) = Reconstruction(WIDTH, WEIGHTS), states(4, 2)
    there = torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0]
    with torch.no_grad():
        reconstruction.to_target.weight.copy_(there)
        reconstruction.to_source.weight.copy_(there.t())
        for loss in reconstruction(x, mask, x @ there.t(), mask).values():
            torch.testing.assert_close(loss.values, torch.zeros(2), atol=1e-5, rtol=0)


def test_losses_are_half_squared_distances_of_means_and_of_each_position():
    """Against a loop over sentences and positions."""
    reconstruction = Reconstruction(WIDTH, WEIGHTS)
    disturb(reconstruction)
    (x, x_mask), (y, y_mask) = states(4, 2), states(3, 3, seed=2)
    to_y, to_x = reconstruction.to_target.weight, reconstruction.to_source.weight
    losses = reconstruction(x, x_mask, y, y_mask)
    for b, (n, m) in enumerate([(4, 3), (2, 3)]):
        xs, ys = x[:n, b], y[:m, b]
        mapping = sum((to_y @ xs.mean(0) - ys.mean(0)) ** 2) + sum((to_x @ ys.mean(0) - xs.mean(0)) ** 2)
        cycle = sum(sum((to_x @ (to_y @ v) - v) ** 2) for v in xs) / n
        cycle = cycle + sum(sum((to_y @ (to_x @ v) - v) ** 2) for v in ys) / m
        torch.testing.assert_close(losses["rec_mapping"].values[b], mapping / 2)
        torch.testing.assert_close(losses["rec_cycle"].values[b], cycle / 2)


def test_padding_does_not_change_a_sentences_losses():
    model = make().eval()
    disturb(model.encoder.reconstruction)
    batch = make_batch(DICTIONARY, lengths=((3, 2), (7, 4)))
    together = losses_of(model, batch)
    net_input = {"src_tokens": batch["net_input"]["src_tokens"][:1, 4:], "task": "cls"}
    alone = model.encoder(**net_input, target=batch["target"][:1, :3])["losses"]
    for name in WEIGHTS:
        torch.testing.assert_close(together[name].values[:1], alone[name].values)


@pytest.mark.parametrize("target_encoder", ["shared", "own"])
def test_each_loss_alone_reaches_both_mappers_and_the_encoder_of_each_side(target_encoder):
    for name in WEIGHTS:
        model = make(target_encoder=target_encoder)
        disturb(model.encoder.reconstruction)
        losses_of(model, make_batch(DICTIONARY))[name].weighted().backward()
        reached = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert {f"encoder.reconstruction.to_{side}.weight" for side in ("target", "source")} <= reached
        assert "encoder.layers.0.fc1.weight" in reached
        assert ("encoder.target_encoder.layers.0.fc1.weight" in reached) == (target_encoder == "own")
        assert not any(n.startswith("decoder.") for n in reached - {"decoder.embed_tokens.weight"})


def test_the_criterion_adds_each_loss_by_its_weight_and_logs_it_without():
    batch, model = make_batch(DICTIONARY), make(rec_mapping_weight=0.3, rec_cycle_weight=5.0)
    disturb(model.encoder.reconstruction)
    loss, _, log = elbo()(model, batch)
    assert log["extra_loss_rec_mapping_sentences"] == log["extra_loss_rec_cycle_sentences"] == 3
    mapping, cycle = log["extra_loss_rec_mapping"], log["extra_loss_rec_cycle"]
    torch.testing.assert_close(loss.data, log["nll_loss"] + 0.3 * mapping + 5.0 * cycle)
    assert mapping > 0 and cycle > 0


def test_weights_scale_the_gradient_of_the_losses_exactly():
    def gradient(weight: float) -> torch.Tensor:
        model = make(rec_mapping_weight=weight, rec_cycle_weight=0.0)
        losses_of(model, make_batch(DICTIONARY))["rec_mapping"].weighted().backward()
        return model.encoder.reconstruction.to_source.weight.grad

    assert torch.equal(gradient(4.0), 4.0 * gradient(1.0))


def test_a_weight_of_zero_removes_a_loss_and_all_zero_leave_ms_cls_with_a_mapper():
    model = make(rec_mapping_weight=0.0, rec_cycle_weight=0.0)
    assert model.extra_losses == () and losses_of(model, make_batch(DICTIONARY)) == {}
    assert make(rec_mapping_weight=0.0).extra_losses == ("rec_cycle",)


def test_every_task_logs_the_same_keys_and_ms_none_of_the_losses():
    criterion, model = elbo(), make()
    logs = {task: criterion(model, make_batch(DICTIONARY, task))[2] for task in ("cls", "mt", "ms")}
    assert logs["cls"].keys() == logs["mt"].keys() == logs["ms"].keys()
    assert logs["ms"]["extra_loss_rec_cycle_sentences"] == 0 == logs["ms"]["extra_loss_rec_cycle"]
    assert logs["mt"]["extra_loss_rec_cycle_sentences"] == 3


def test_ms_reads_the_encoders_states_and_cls_their_image_under_the_mapper():
    model = make().eval()
    before = {t: model(**make_batch(DICTIONARY, t)["net_input"])[0] for t in ("cls", "ms")}
    disturb(model.encoder.reconstruction)
    after = {t: model(**make_batch(DICTIONARY, t)["net_input"])[0] for t in ("cls", "ms")}
    assert torch.equal(before["ms"], after["ms"])
    assert not torch.allclose(before["cls"], after["cls"], atol=1e-3)


def test_incremental_decoding_equals_the_full_pass():
    model = make().eval()
    disturb(model.encoder.reconstruction)
    for task in ("cls", "ms"):
        batch = make_batch(DICTIONARY, task, lengths=((7, 4), (5, 4)))
        tokens, state = batch["net_input"]["prev_output_tokens"], {}
        full = model(**batch["net_input"])[0]
        encoder_out = model.encoder(batch["net_input"]["src_tokens"], task=task)
        for step in range(tokens.size(1)):
            one, _ = model.decoder(tokens[:, : step + 1], encoder_out=encoder_out, incremental_state=state)
            torch.testing.assert_close(one[:, 0], full[:, step], atol=1e-5, rtol=1e-4)


def test_a_discriminator_learns_to_tell_while_what_it_reads_learns_to_deceive():
    """At a logit of zero for both, the loss is 2 log 2 and the gradients of both readings are known."""
    discriminator = Discriminator(WIDTH)
    with torch.no_grad():
        discriminator.output.weight.zero_()
        discriminator.output.bias.zero_()
    real, mapped = torch.randn(3, WIDTH), torch.randn(3, WIDTH)
    loss = discriminator(real, mapped)
    torch.testing.assert_close(loss, torch.full((3,), 2 * torch.tensor(2.0).log()))
    disturb(discriminator)
    mapped.requires_grad_()
    logit = discriminator.output(torch.nn.functional.leaky_relu(discriminator.hidden(mapped), 0.2)).sum()
    (uphill,) = torch.autograd.grad(logit, mapped)
    (given,) = torch.autograd.grad(discriminator(real, mapped).sum(), mapped)
    assert (uphill * given).sum() < 0  # descending on what is given raises the logit: taken for real


def test_adversarial_losses_train_discriminators_where_they_are_asked_for():
    model = make(rec_adversarial_weight=0.5)
    losses_of(model, make_batch(DICTIONARY))["rec_adversarial"].weighted().backward()
    for side in ("source", "target"):
        discriminator = getattr(model.encoder.reconstruction, f"{side}_discriminator")
        assert discriminator.hidden.weight.grad.any()
    assert not any("discriminator" in name for name in make().state_dict())


def test_mappers_cost_two_square_matrices_beside_ms_cls():
    mappers = [p for n, p in make(tasks="cls,ms").named_parameters() if "reconstruction" in n]
    assert [tuple(p.shape) for p in mappers] == [(WIDTH, WIDTH)] * 2


def test_half_precision_keeps_the_losses_in_full():
    model = make(rec_adversarial_weight=1.0).bfloat16()
    for loss in losses_of(model, make_batch(DICTIONARY)).values():
        assert loss.values.dtype == torch.float32 and loss.values.isfinite().all()


@pytest.mark.parametrize(
    ("flags", "named"),
    [({"latents": "cls"}, "--latents cls"), ({"rec_cycle_weight": -1.0}, "--rec-cycle-weight")],
)
def test_settings_that_make_no_sense_are_refused(flags, named):
    with pytest.raises(UserError, match=named):
        make(**flags)
