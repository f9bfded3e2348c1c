"""The latents in the model: what depends on what, and what must not depend on anything."""

import copy
from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch
from tiny import SMALL, make_batch, make_dictionary, make_model

from fairseq_vhm.errors import UserError
from fairseq_vhm.models import VHMTransformerModel
from fairseq_vhm.models.architectures import vhm_transformer

DICTIONARY = make_dictionary()
PAD = DICTIONARY.pad()
TASKS = ("cls", "mt", "ms")


def run(model, batch, **options):
    return model(**batch["net_input"], **options)


def latents(model, batch, target=True):
    """Encoder output, with the same noise at every call."""
    torch.manual_seed(1)
    net_input = batch["net_input"]
    return model.encoder(
        net_input["src_tokens"], task=net_input["task"], target=batch["target"] if target else None
    )


def parameters(**flags) -> set[str]:
    return {name for name, _ in make_model(DICTIONARY, **flags).named_parameters()}


def padded(batch: dict, amount: int = 6) -> dict:
    """The same batch with more padding on every side that has some."""
    more = copy.deepcopy(batch)
    pads = torch.full((batch["nsentences"], amount), PAD)
    net_input = more["net_input"]
    net_input["src_tokens"] = torch.cat([pads, net_input["src_tokens"]], dim=1)
    more["target"] = torch.cat([more["target"], pads], dim=1)
    return more


def one_of(batch: dict, row: int) -> dict:
    """One sentence of a batch, without padding."""
    net_input = batch["net_input"]
    source = net_input["src_tokens"][row]
    target = batch["target"][row]
    keep = target.ne(PAD)
    single = {
        "src_tokens": source[source.ne(PAD)].unsqueeze(0),
        "src_lengths": net_input["src_lengths"][row : row + 1],
        "prev_output_tokens": net_input["prev_output_tokens"][row][keep].unsqueeze(0),
        "task": net_input["task"],
    }
    return {"net_input": single, "target": target[keep].unsqueeze(0), "nsentences": 1}


@pytest.mark.parametrize("task", TASKS)
def test_padding_changes_neither_latents_nor_logits(task):
    model, batch = make_model(DICTIONARY).eval(), make_batch(DICTIONARY, task)
    plain, more = latents(model, batch), latents(model, padded(batch))
    for name, variable in plain["bundle"].latents.items():
        torch.testing.assert_close(variable.posterior.mean, more["bundle"][name].posterior.mean)
        torch.testing.assert_close(variable.prior.mean, more["bundle"][name].prior.mean)
    torch.testing.assert_close(run(model, batch)[0], run(model, padded(batch))[0])


@pytest.mark.parametrize("task", TASKS)
def test_a_sentence_gets_the_same_logits_alone_as_in_a_batch(task):
    model, batch = make_model(DICTIONARY).eval(), make_batch(DICTIONARY, task)
    together = run(model, batch)[0]
    for row in range(batch["nsentences"]):
        alone = run(model, one_of(batch, row))[0]
        torch.testing.assert_close(alone[0], together[row, : alone.size(1)])


def test_released_pooling_depends_on_padding():
    """The released code's mean counts padding: our option reproduces that, our default does not."""
    model = make_model(DICTIONARY, latent_pooling="all").eval()
    batch = make_batch(DICTIONARY)
    plain, more = latents(model, batch, target=False), latents(model, padded(batch), target=False)
    assert not torch.allclose(plain["latent"][0], more["latent"][0])


@pytest.mark.parametrize("latents_flag", ["mt,ms,cls", "mt,ms", "none"])
def test_incremental_decoding_equals_the_full_pass(latents_flag):
    model, batch = make_model(DICTIONARY, latents=latents_flag).eval(), make_batch(DICTIONARY)
    net_input = batch["net_input"]
    encoder_out = model.encoder(net_input["src_tokens"])
    previous = net_input["prev_output_tokens"]
    full, _ = model.decoder(previous, encoder_out=encoder_out)
    state: dict = {}
    for step in range(previous.size(1)):
        now, _ = model.decoder(
            previous[:, : step + 1], encoder_out=encoder_out, incremental_state=state
        )
        rows = previous[:, step].ne(PAD)
        torch.testing.assert_close(now[rows, 0], full[rows, step])


def test_beams_carry_the_latent_of_their_own_sentence():
    model, batch = make_model(DICTIONARY).eval(), make_batch(DICTIONARY)
    encoder_out = model.encoder(batch["net_input"]["src_tokens"])
    order = torch.tensor([2, 2, 0, 1])
    moved = model.encoder.reorder_encoder_out(encoder_out, order)
    torch.testing.assert_close(moved["latent"][0], encoder_out["latent"][0][order])
    assert moved["task"] == ["cls"]
    assert not torch.allclose(moved["latent"][0][0], moved["latent"][0][2])


def test_the_global_latent_changes_the_output_of_cls():
    model, batch = make_model(DICTIONARY).eval(), make_batch(DICTIONARY)
    mean = run(model, batch)[0]
    noise = {name: torch.ones(3, 8) for name in ("mt", "ms", "cls")}
    assert not torch.allclose(mean, run(model, batch, latent_noise=noise)[0])


@pytest.mark.parametrize("parent", ["mt", "ms"])
def test_noise_of_a_local_latent_reaches_the_global_prior_only_with_the_hierarchy(parent):
    batch = make_batch(DICTIONARY)
    still = {name: torch.zeros(3, 8) for name in ("mt", "ms", "cls")}
    moved = {**still, parent: torch.ones(3, 8)}

    def global_mean(model, noise):
        out = model.encoder(batch["net_input"]["src_tokens"], task="cls", latent_noise=noise)
        return out["bundle"]["cls"].prior.mean

    with_links, without = make_model(DICTIONARY).eval(), make_model(DICTIONARY, no_hierarchy=True).eval()
    assert not torch.allclose(global_mean(with_links, still), global_mean(with_links, moved))
    torch.testing.assert_close(global_mean(without, still), global_mean(without, moved))


def test_posteriors_depend_on_the_target_and_priors_do_not():
    model, batch = make_model(DICTIONARY).eval(), make_batch(DICTIONARY, "mt")
    other = {**batch, "target": batch["target"].flip(0)}
    first = latents(model, batch)["bundle"]["mt"]
    second = latents(model, other)["bundle"]["mt"]
    torch.testing.assert_close(first.prior.mean, second.prior.mean)
    assert not torch.allclose(first.posterior.mean, second.posterior.mean)


def test_prior_and_posterior_of_cls_see_the_same_draws_of_the_locals_by_default():
    """With equal networks the only difference left between both sides of the KL would be h_Y."""
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY)
    seen: dict[str, list] = {"prior": [], "posterior": []}
    for side in seen:
        network = getattr(model.encoder.hierarchy, side)["cls"]
        network.register_forward_pre_hook(lambda _, inputs, side=side: seen[side].append(inputs[1:3]))
    latents(model, batch)
    for prior_input, posterior_input in zip(seen["prior"][0], seen["posterior"][0], strict=True):
        torch.testing.assert_close(prior_input, posterior_input)


def test_released_reading_gives_the_prior_of_cls_prior_draws():
    model = make_model(DICTIONARY, cls_prior_locals="prior")
    seen: dict[str, list] = {"prior": [], "posterior": []}
    for side in seen:
        network = getattr(model.encoder.hierarchy, side)["cls"]
        network.register_forward_pre_hook(lambda _, inputs, side=side: seen[side].append(inputs[1]))
    latents(model, make_batch(DICTIONARY))
    assert not torch.allclose(seen["prior"][0], seen["posterior"][0])


def test_a_summary_stands_for_the_target_of_z_ms_and_for_the_document_of_z_mt():
    model, batch = make_model(DICTIONARY).eval(), make_batch(DICTIONARY)
    source, target, summary = batch["net_input"]["src_tokens"], batch["target"], batch["target"].flip(0)
    on_cls = model.encoder(source, task="cls", target=target, summary=summary)["bundle"]
    as_ms = model.encoder(source, task="ms", target=summary)["bundle"]
    as_mt = model.encoder(summary, task="mt", target=target)["bundle"]
    torch.testing.assert_close(on_cls["ms"].posterior.mean, as_ms["ms"].posterior.mean)
    torch.testing.assert_close(on_cls["mt"].posterior.mean, as_mt["mt"].posterior.mean)


def test_a_pair_without_a_summary_is_inferred_from_document_and_target():
    """A row with a summary gets what a batch of such rows gets, the others what a batch without gets."""
    model, batch = make_model(DICTIONARY).eval(), make_batch(DICTIONARY)
    source, target = batch["net_input"]["src_tokens"], batch["target"]
    summary, with_one = target.flip(0), torch.arange(len(target)) % 2 == 0
    rows = with_one.nonzero().flatten()
    everywhere, nowhere, some = (
        model.encoder(source, task="cls", target=target, **given)["bundle"]
        for given in ({"summary": summary}, {}, {"summary": summary[rows], "summary_rows": rows})
    )
    for name in ("mt", "ms"):
        for side in ("posterior", "prior"):
            found, with_it, without = (getattr(of[name], side).mean for of in (some, everywhere, nowhere))
            torch.testing.assert_close(found, torch.where(with_one.unsqueeze(1), with_it, without))


def test_words_pooling_leaves_out_eos_and_tag():
    model, batch = make_model(DICTIONARY, latent_pooling="words").eval(), make_batch(DICTIONARY)
    pooled = []
    model.encoder.hierarchy.prior["mt"].register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0]))
    out = model.encoder(batch["net_input"]["src_tokens"])
    states = out["encoder_out"][0][1:-1, 0]  # the longest source has no padding: tag and EOS are its ends
    torch.testing.assert_close(pooled[0][0], states.mean(dim=0))


def test_latents_are_float32_in_a_half_precision_model():
    model, batch = make_model(DICTIONARY).bfloat16().eval(), make_batch(DICTIONARY)
    out = latents(model, batch)
    for variable in out["bundle"].latents.values():
        assert variable.posterior.std.dtype == variable.prior.mean.dtype == torch.float32
        assert variable.kl().dtype == torch.float32
    assert run(model, batch)[0].dtype == torch.bfloat16


# ---- ablations remove exactly what they name ---------------------------------------------------

FULL = parameters()


def of_latent(name: str) -> set[str]:
    return {p for p in FULL if f"prior.{name}." in p or f"posterior.{name}." in p}


def test_row_1_removes_z_mt_and_its_projection():
    assert FULL - parameters(latents="ms,cls") == of_latent("mt") | fusion_of("mt")


def test_row_2_removes_z_ms_and_its_projection():
    assert FULL - parameters(latents="mt,cls") == of_latent("ms") | fusion_of("ms")


def test_row_3_leaves_the_global_latent_alone():
    assert FULL - parameters(latents="cls") == (
        of_latent("mt") | of_latent("ms") | fusion_of("mt") | fusion_of("ms")
    )


def test_row_4_removes_the_global_latent_and_joins_the_locals_in_the_decoder():
    assert FULL - parameters(latents="mt,ms") == of_latent("cls")
    model = make_model(DICTIONARY, latents="mt,ms")
    assert model.decoder.fusion.projections["cls"].in_features == 16 + 2 * 8


def test_row_5_keeps_all_latents_cuts_the_links_and_joins_all_three_in_the_decoder():
    assert parameters(no_hierarchy=True) == FULL
    model = make_model(DICTIONARY, no_hierarchy=True)
    assert model.encoder.hierarchy.prior["cls"].mean[0].in_features == 16
    assert model.decoder.fusion.projections["cls"].in_features == 16 + 3 * 8


def test_mt_ms_cls_has_no_latent_parameter_at_all():
    assert not any("hierarchy" in p or "fusion" in p for p in parameters(latents="none"))
    assert parameters(latents="none") < FULL


def fusion_of(task: str) -> set[str]:
    return {p for p in FULL if f"fusion.projections.{task}." in p}


# ---- gradients reach every parameter that they should and no other -----------------------------


def with_gradient(model, batch) -> set[str]:
    from fairseq_vhm.criterions.elbo import ElboCriterion

    criterion = ElboCriterion(
        _Task(), False, 0.0, 0, False, "constant", 0, 1.0, 0.0, False, "sum", 5
    )
    loss, _, _ = criterion(model, batch)
    loss.backward()
    return {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


class _Task:
    source_dictionary = target_dictionary = DICTIONARY


LATENT_PARTS = ("hierarchy.", "fusion.")


def test_without_target_gradient_the_loss_is_the_same_and_a_targets_own_words_move_nothing():
    """A word of the target alone: its input embedding learns from the posterior's pass or not at all."""
    batch = make_batch(DICTIONARY)
    word = next(word for word in range(4, 40) if word not in batch["net_input"]["src_tokens"])
    batch["target"][0, 0] = word
    moved, losses = {}, {}
    for cut in (False, True):
        model = make_model(DICTIONARY, no_target_gradient=cut, share_encoder_decoder_embeddings=False)
        torch.manual_seed(2)
        logits, extra = model(**batch["net_input"], target=batch["target"])
        loss = logits.log_softmax(-1)[..., 5].sum() + extra["latents"]["cls"].kl().sum()
        loss.backward()
        losses[cut] = loss.item()
        moved[cut] = model.encoder.embed_tokens.weight.grad[word].abs().sum().item() > 0
        assert model.encoder.hierarchy.posterior["cls"].mean[0].weight.grad.abs().sum() > 0
    assert moved == {False: True, True: False} and losses[False] == losses[True]


@pytest.mark.parametrize(
    ("task", "networks"),
    [
        ("mt", {"prior.mt", "posterior.mt", "projections.mt"}),
        ("ms", {"prior.ms", "posterior.ms", "projections.ms"}),
        ("cls", {"posterior.mt", "posterior.ms", "prior.cls", "posterior.cls", "projections.cls"}),
    ],
)
def test_a_task_trains_its_own_latents_and_no_other(task, networks):
    model = make_model(DICTIONARY)
    reached = with_gradient(model, make_batch(DICTIONARY, task))
    expected = {
        name
        for name, _ in model.named_parameters()
        if not any(part in name for part in LATENT_PARTS) or any(n + "." in name for n in networks)
    }
    assert reached == expected


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"latents": "ms,cls"},
        {"latents": "mt,cls"},
        {"latents": "cls"},
        {"latents": "mt,ms"},
        {"no_hierarchy": True},
        {"latents": "none"},
        {"latent_head": "tied"},
        {"latent_projection": "shared"},
        {"latent_projection": "states"},
        {"latent_projection": "states", "no_hierarchy": True},
        {"released_code_compat": True},
        {"latent_projection": "none"},
        {"latent_pooling": "words"},
        {"latent_mlp_layers": 1},
        {"latent_mlp_hidden": 5},
        {"cls_prior_locals": "prior"},
        {"post_norm": True},
        {"biases": "fairseq"},
    ],
)
def test_the_three_tasks_together_train_every_parameter(flags):
    reached, model = set(), make_model(DICTIONARY, **flags)
    for task in TASKS:
        reached |= with_gradient(model, make_batch(DICTIONARY, task))
    assert reached == {name for name, _ in model.named_parameters()}


# ---- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"latents": "mt,foo"}, "foo"),
        ({"latents": "mt,mt"}, "twice"),
        ({"latents": "cls", "no_hierarchy": True}, "--no-hierarchy"),
        ({"latents": "mt,ms", "no_hierarchy": True}, "--no-hierarchy"),
        ({"latents": "none", "no_hierarchy": True}, "--no-hierarchy"),
        ({"latents": "mt,ms", "latent_projection": "shared"}, "--latent-projection"),
        ({"no_hierarchy": True, "latent_projection": "shared"}, "--latent-projection"),
        ({"latents": "cls", "cls_local_target": "summary"}, "--cls-local-target"),
        ({"latents": "cls", "cls_prior_locals": "prior"}, "--cls-prior-locals"),
        ({"latents": "none", "no_target_gradient": True}, "--no-target-gradient concerns posteriors"),
        ({"latent_dim": 0}, "--latent-dim must be at least 1"),
        ({"latent_mlp_hidden": -1}, "--latent-mlp-hidden must be at least 0"),
        ({"decoder_norm_eps": -1e-5}, "--decoder-norm-eps -1e-05"),
        ({"decoder_embed_dim": 32}, "--encoder-embed-dim 16 and --decoder-embed-dim 32 differ"),
        ({"adaptive_softmax_cutoff": "10,20"}, "give --biases fairseq"),
        (
            {"adaptive_softmax_cutoff": "10,20", "biases": "fairseq", "bag_of_words_weight": 1.0},
            "--bag-of-words-weight reads the output layer",
        ),
    ],
)
def test_settings_that_make_no_sense_together_are_refused_by_name(flags, named):
    with pytest.raises(UserError, match=named):
        make_model(DICTIONARY, **flags)


def test_tables_apart_may_differ_in_width_and_in_their_dictionaries():
    """Each flag that a refusal names as its remedy is one."""
    other = make_dictionary(["w1", "w2"])
    task = SimpleNamespace(source_dictionary=DICTIONARY, target_dictionary=other)
    args = Namespace(**SMALL, share_encoder_decoder_embeddings=True)
    vhm_transformer(args)
    with pytest.raises(UserError, match="--no-share-encoder-decoder-embeddings"):
        VHMTransformerModel.build_model(args, task)
    args = Namespace(**SMALL, share_encoder_decoder_embeddings=False, decoder_embed_dim=32)
    vhm_transformer(args)
    model = VHMTransformerModel.build_model(args, task)
    batch = make_batch(DICTIONARY)["net_input"]
    logits, _ = model(**{**batch, "prev_output_tokens": torch.tensor([[2, 4], [2, 5], [2, 4]])})
    assert logits.shape == (3, 2, len(other))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"share_decoder_input_output_embed": True}, "give --share-all-embeddings"),
        ({"init_from": "a.pt", "finetune_from_model": "b.pt"}, "--init-from and --finetune-from-model"),
    ],
)
def test_a_run_does_not_begin_with_a_flag_that_would_change_nothing(flags, named, tmp_path, monkeypatch):
    """The model itself is built: a checkpoint that was trained so is still one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.pt").touch()
    model = make_model(DICTIONARY, **flags)
    args = Namespace(**SMALL, **flags)
    vhm_transformer(args)
    with pytest.raises(UserError, match=named):
        model.warm_start(args)


@pytest.mark.parametrize("share", [True, False])
def test_the_output_layer_is_the_embeddings_where_a_run_may_ask_for_it(share):
    flags = {
        "share_all_embeddings" if share else "share_decoder_input_output_embed": True,
        "share_encoder_decoder_embeddings": share,
    }
    model = make_model(DICTIONARY, **flags)
    args = Namespace(**SMALL, **flags)
    vhm_transformer(args)
    model.warm_start(args)
    assert model.decoder.output_projection.weight is model.decoder.embed_tokens.weight


def test_own_flags_win_over_the_released_preset():
    model = make_model(DICTIONARY, released_code_compat=True, latent_dim=5, latent_noise="normal")
    assert model.encoder.hierarchy.latent_dim == 5
    assert model.encoder.hierarchy.noise == "normal"
    assert model.encoder.pooling == "all"


def test_released_head_takes_softplus_of_the_mean_as_log_variance():
    model = make_model(DICTIONARY, released_code_compat=True)
    out = latents(model, make_batch(DICTIONARY, "mt"))["bundle"]["mt"].posterior
    torch.testing.assert_close(out.std**2, torch.exp(torch.nn.functional.softplus(out.mean)))


def test_shared_embeddings_are_one_table_and_the_output_layer_is_apart():
    model = make_model(DICTIONARY)
    assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight
    assert model.decoder.output_projection.weight is not model.encoder.embed_tokens.weight
    separate = make_model(DICTIONARY, share_encoder_decoder_embeddings=False)
    assert separate.encoder.embed_tokens.weight is not separate.decoder.embed_tokens.weight
