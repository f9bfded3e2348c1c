"""hf_mt5 against HuggingFace's MT5ForConditionalGeneration with the same weights."""

import json
import math
import random
import sys
from argparse import Namespace
from types import SimpleNamespace

import mt5
import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from fairseq.sequence_generator import SequenceGenerator
from transformers import GenerationConfig, MT5ForConditionalGeneration

from fairseq_vhm.data.dictionaries import read_dictionary
from fairseq_vhm.data.mt5_vocabulary import write_dictionary
from fairseq_vhm.errors import UserError
from fairseq_vhm.models.architectures import hf_mt5
from fairseq_vhm.models.hf_mt5 import HFMT5Model
from fairseq_vhm.modules.token_loss import TokenLoss

CLOSE = {"atol": 1e-5, "rtol": 1e-6}
START, OTHER_START = "▁<extra_id_69>", "▁<extra_id_59>"
PUBLISHED = {"langid_map": {"english": [30, START], "chinese_simplified": [40, OTHER_START]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An mT5 with CrossSum's map of start tokens, and its dictionary."""
    folder = tmp_path_factory.mktemp("mt5")
    mt5.publish(folder, task_specific_params=PUBLISHED)
    write_dictionary(folder, folder / "dict.txt")
    return folder


@pytest.fixture(scope="module")
def dictionary(folder):
    dictionary = read_dictionary(folder / "dict.txt")
    dictionary.mark(None)
    return dictionary


@pytest.fixture(scope="module")
def theirs(folder):
    """HuggingFace's own reading of the folder."""
    return MT5ForConditionalGeneration.from_pretrained(folder).eval()


def build(folder, dictionary, **flags) -> HFMT5Model:
    """Our model by its flags, in evaluation mode."""
    args = Namespace(**({"hf_model": str(folder)} | flags))
    hf_mt5(args)
    model = HFMT5Model.build_model(args, SimpleNamespace(target_dictionary=dictionary))
    model.args = args
    return model.eval()


@pytest.fixture(scope="module")
def ours(folder, dictionary):
    return build(folder, dictionary)


def batch(dictionary, lengths=(9, 5, 7), left_pad: bool = True, seed: int = 1) -> torch.Tensor:
    """Random sources that end in EOS (B x T), padded on one side."""
    rng = random.Random(seed)
    texts = [[rng.randrange(300, 480) for _ in range(n - 1)] + [dictionary.eos()] for n in lengths]
    pads = [[dictionary.pad()] * (max(lengths) - n) for n in lengths]
    return torch.tensor([p + t if left_pad else t + p for t, p in zip(texts, pads, strict=True)])


def prefixes(dictionary, rows: int = 3, length: int = 6, seed: int = 2, start: str = START) -> torch.Tensor:
    """What a decoder is fed (B x T): the start token and a random text."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(300, 480, (rows, length - 1), generator=generator)
    return torch.cat([torch.full((rows, 1), dictionary.index(start)), text], dim=1)


def lengths_of(sources, dictionary):
    return sources.ne(dictionary.pad()).sum(dim=1)


def logits_of(model, dictionary, sources, previous):
    with torch.no_grad():
        return model(sources, lengths_of(sources, dictionary), previous)[0]


# ---- logits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_pad", [True, False])
def test_logits_of_a_padded_batch_are_those_of_huggingface(ours, theirs, dictionary, left_pad):
    sources, previous = batch(dictionary, left_pad=left_pad), prefixes(dictionary)
    mask = sources.ne(0)
    expected = theirs(input_ids=sources, attention_mask=mask, decoder_input_ids=previous).logits
    torch.testing.assert_close(logits_of(ours, dictionary, sources, previous), expected, **CLOSE)


@pytest.mark.parametrize("settings", [{"form": "bin"}, {"tied": True}, {"num_decoder_layers": 3}])
def test_other_folders_of_huggingface_give_its_logits_too(tmp_path, settings):
    mt5.publish(tmp_path, task_specific_params=PUBLISHED, **settings)
    write_dictionary(tmp_path, tmp_path / "dict.txt")
    dictionary = read_dictionary(tmp_path / "dict.txt")
    expected = MT5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    sources, previous = batch(dictionary, (6, 6, 6)), prefixes(dictionary)
    model = build(tmp_path, dictionary)
    shares = model.decoder.lm_head.weight is model.encoder.stack.embed_tokens.weight
    assert shares == settings.get("tied", False)
    wanted = expected(input_ids=sources, decoder_input_ids=previous).logits
    torch.testing.assert_close(logits_of(model, dictionary, sources, previous), wanted, **CLOSE)


@pytest.mark.parametrize("left_pad", [True, False])
def test_a_sentence_has_the_same_logits_alone_and_in_a_padded_batch(ours, dictionary, left_pad):
    sources, previous = batch(dictionary, left_pad=left_pad), prefixes(dictionary)
    together = logits_of(ours, dictionary, sources, previous)
    for row in range(len(sources)):
        alone = sources[row][sources[row].ne(dictionary.pad())].unsqueeze(0)
        single = logits_of(ours, dictionary, alone, previous[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], single, **CLOSE)


def test_padding_behind_a_target_changes_nothing_before_it(ours, dictionary):
    sources, previous = batch(dictionary), prefixes(dictionary)
    padded = torch.cat([previous, torch.zeros(3, 4, dtype=torch.long)], dim=1)
    expected = logits_of(ours, dictionary, sources, previous)
    torch.testing.assert_close(logits_of(ours, dictionary, sources, padded)[:, :6], expected, **CLOSE)


def test_the_task_finds_no_latents_and_no_losses(ours, dictionary):
    sources = batch(dictionary)
    _, extra = ours(
        sources,
        lengths_of(sources, dictionary),
        prefixes(dictionary),
        task="ms",
        target=sources,
        summary=None,
        latent_noise=None,
    )
    assert (ours.latent_sizes, ours.extra_losses, extra["losses"]) == ({}, (), {})
    assert extra["latents"].with_kl() == {} and extra["latents"].decoder_latents == ()


def test_probabilities_sum_to_1_over_all_rows(ours, dictionary):
    sources = batch(dictionary)
    out = ours(sources, None, prefixes(dictionary))
    total = ours.get_normalized_probs(out, log_probs=False).sum(dim=-1)
    torch.testing.assert_close(total, torch.ones(3, 6))


# ---- incremental -------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [[1] * 6, [3, 1, 2], [6]])
@pytest.mark.parametrize("decoder_layers", [2, 3])
def test_incremental_decoding_gives_the_logits_of_the_whole(
    folder, dictionary, tmp_path, steps, decoder_layers
):
    config = json.loads((folder / "config.json").read_text()) | {"num_decoder_layers": decoder_layers}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = build(tmp_path, dictionary, hf_random_init=True)
    sources, previous = batch(dictionary), prefixes(dictionary)
    whole = logits_of(model, dictionary, sources, previous)
    with torch.no_grad():
        encoded, state, parts = model.encoder(sources), {}, []
        for end in [sum(steps[: i + 1]) for i in range(len(steps))]:
            parts.append(model.decoder(previous[:, :end], encoded, state)[0])
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, **CLOSE)


@pytest.mark.parametrize("order", ["103254", "002255", "23", "4110", "530124"])
def test_reordered_beams_continue_the_prefixes_they_were_told_to(ours, dictionary, order):
    """Within sentences, with sentences left out, repeated, and in another order; two reorderings in a row."""
    sources = batch(dictionary).repeat_interleave(2, dim=0)
    previous = prefixes(dictionary, rows=6, length=4)
    with torch.no_grad():
        encoded = ours.encoder.reorder_encoder_out(
            ours.encoder(batch(dictionary)), torch.tensor([0, 0, 1, 1, 2, 2])
        )
        state: dict = {}
        ours.decoder(previous, encoded, state)
        for rows in (torch.tensor(list(map(int, order))), torch.arange(len(order)).flip(0)):
            ours.decoder.reorder_incremental_state_scripting(state, rows)
            encoded = ours.encoder.reorder_encoder_out(encoded, rows)
            sources, previous = sources[rows], previous[rows]
            previous = torch.cat([previous, torch.arange(300, 300 + len(rows)).unsqueeze(1)], dim=1)
            step = ours.decoder(previous, encoded, state)[0]
            whole = logits_of(ours, dictionary, sources, previous)
            torch.testing.assert_close(step, whole[:, -1:], **CLOSE)


def test_a_reordering_before_the_first_step_is_one_of_sources_alone(ours, dictionary):
    order, previous = torch.tensor([2, 0]), prefixes(dictionary, rows=2)
    with torch.no_grad():
        encoded, state = ours.encoder(batch(dictionary)), {}
        ours.decoder.reorder_incremental_state_scripting(state, order)
        found = ours.decoder(previous, ours.encoder.reorder_encoder_out(encoded, order), state)[0]
    assert torch.equal(found, logits_of(ours, dictionary, batch(dictionary)[order], previous))


# ---- beam search -------------------------------------------------------------------------------


def fairseq_best(model, dictionary, sources, start: str, **settings) -> list[tuple[list[int], float]]:
    """Ids (EOS included) and score of the best hypothesis of each source by fairseq's generator."""
    generator = SequenceGenerator([model], dictionary, beam_size=4, max_len_b=60, **settings)
    net_input = {"src_tokens": sources, "src_lengths": lengths_of(sources, dictionary), "task": "cls"}
    hypotheses = generator.generate([model], {"net_input": net_input}, bos_token=dictionary.index(start))
    return [(best[0]["tokens"].tolist(), float(best[0]["score"])) for best in hypotheses]


def huggingface_best(model, dictionary, sources, start: str, **settings) -> list[tuple[list[int], float]]:
    """The same by HuggingFace's, told to stop where fairseq does.

    At the longest length the two differ: HuggingFace's leaves a text without EOS, fairseq's ends it.
    """
    first = torch.full((len(sources), 1), dictionary.index(start))
    config = GenerationConfig(
        num_beams=4,
        early_stopping=True,  # with as many finished hypotheses as beams
        min_new_tokens=1,  # before EOS, fairseq's --min-len
        max_new_tokens=61,  # with EOS, fairseq's --max-len-b and 1
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=dictionary.index(start),
        return_dict_in_generate=True,
        output_scores=True,
        **settings,
    )
    out = model.generate(
        input_ids=sources,
        attention_mask=sources.ne(0),
        decoder_input_ids=first,
        generation_config=config,
    )
    found = [ids[1 : ids.index(1) + 1] if 1 in ids else ids[1:] for ids in out.sequences.tolist()]
    return list(zip(found, out.sequences_scores.tolist(), strict=True))


@pytest.mark.parametrize("start", [START, OTHER_START])
@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("ngram", [0, 2])
def test_beam_search_is_that_of_huggingface(ours, theirs, dictionary, start, penalty, ngram):
    """Both divide the sum of log-probabilities by (tokens with EOS) ** penalty."""
    sources = batch(dictionary, (9, 5, 7, 12, 3), seed=4)
    found = fairseq_best(
        ours, dictionary, sources, start, len_penalty=penalty, no_repeat_ngram_size=ngram
    )
    expected = huggingface_best(
        theirs, dictionary, sources, start, length_penalty=penalty, no_repeat_ngram_size=ngram
    )
    ended = [place for place, (ids, _) in enumerate(expected) if ids[-1] == dictionary.eos()]
    assert len(ended) >= 3
    for place in ended:
        assert found[place][0] == expected[place][0]
        assert found[place][1] == pytest.approx(expected[place][1], abs=1e-5)


def test_the_comparison_meets_texts_of_several_tokens_and_repeated_ones(ours, dictionary):
    sources = batch(dictionary, (9, 5, 7, 12, 3), seed=4)
    free = fairseq_best(ours, dictionary, sources, START)
    without = fairseq_best(ours, dictionary, sources, START, no_repeat_ngram_size=2)
    assert max(len(ids) for ids, _ in free) > 5
    assert free != without and free != fairseq_best(ours, dictionary, sources, OTHER_START)


# ---- start tokens ------------------------------------------------------------------------------


def test_languages_start_as_the_config_says(ours, dictionary):
    assert ours.start_token_of("en") == ours.start_token_of("english") == dictionary.index(START)
    assert ours.start_token_of("zh-CN") == dictionary.index(OTHER_START)
    with pytest.raises(UserError, match="'de': the model has no start token for it; .* are en, zh-CN"):
        ours.start_token_of("de")


@pytest.mark.parametrize(("choice", "as_padding"), [("pad", True), ("checkpoint", False)])
def test_new_start_tokens_begin_as_the_padding_that_mt5_starts_with(tmp_path, choice, as_padding):
    """pad: as CrossSum's training does; tokens with a map of their own are trained, and stay."""
    mt5.publish(tmp_path)
    write_dictionary(tmp_path, tmp_path / "dict.txt")
    dictionary = read_dictionary(tmp_path / "dict.txt")
    model = build(tmp_path, dictionary, start_embeddings=choice)
    table = model.encoder.stack.embed_tokens.weight
    assert torch.equal(table[model.start_token_of("de")], table[0]) == as_padding
    assert not torch.equal(table[dictionary.index("the")], table[0])


def test_start_tokens_that_are_trained_stay(ours, theirs):
    assert torch.equal(ours.encoder.stack.embed_tokens.weight, theirs.shared.weight)


# ---- training ----------------------------------------------------------------------------------


def gradients(folder, dictionary, **flags) -> tuple[float, dict]:
    """Loss and gradients of one batch in training mode, dropout on."""
    model = build(folder, dictionary, dropout=0.3, **flags).train()
    sources, previous = batch(dictionary), prefixes(dictionary)
    torch.manual_seed(5)
    out = model(sources, None, previous)
    loss = -model.get_normalized_probs(out, log_probs=True)[..., 300:310].mean()
    loss.backward()
    return float(loss.detach()), {name: p.grad for name, p in model.named_parameters()}


def test_gradients_are_the_same_with_and_without_kept_activations(folder, dictionary):
    loss, kept = gradients(folder, dictionary)
    again, computed = gradients(folder, dictionary, checkpoint_activations=True)
    assert loss == again and kept.keys() == computed.keys()
    for name, gradient in kept.items():
        assert gradient.abs().sum() > 0, name
        torch.testing.assert_close(gradient, computed[name], atol=1e-7, rtol=1e-5)


def test_the_loss_in_chunks_is_that_of_all_logits(ours, dictionary):
    sources, previous = batch(dictionary), prefixes(dictionary)
    lengths, target = lengths_of(sources, dictionary), previous.roll(-1, dims=1)
    logits, _ = ours(sources, lengths, previous)
    log_p = torch.log_softmax(logits, dim=-1).flatten(0, 1)
    expected = label_smoothed_nll_loss(log_p, target.flatten(), 0.1, ignore_index=dictionary.pad())
    token_loss = TokenLoss(0.1, dictionary.pad(), chunk=5)
    found, _ = ours(sources, lengths, previous, target=target, token_loss=token_loss)
    torch.testing.assert_close(tuple(found), tuple(expected))


@pytest.mark.parametrize(("flags", "expected"), [({}, 0.1), ({"dropout": 0.0}, 0.0), ({"dropout": 0.4}, 0.4)])
def test_dropout_is_the_flag_s_or_else_the_config_s(folder, dictionary, flags, expected):
    model = build(folder, dictionary, **flags)
    found = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert found == {expected}
    assert {m.dropout for m in model.modules() if type(m).__name__ == "MT5Attention"} == {expected}


def test_from_scratch_the_first_loss_is_about_that_of_even_odds(folder, dictionary):
    """The output layer keeps the variance of its input, 1 behind the last norm: logits about N(0, 1)."""
    torch.manual_seed(1)
    model = build(folder, dictionary, hf_random_init=True)
    logits = logits_of(model, dictionary, batch(dictionary), prefixes(dictionary))
    assert 0.7 < float(logits.std()) < 1.3
    even = math.log(len(dictionary))
    assert abs(float(-logits.log_softmax(dim=-1).mean()) - even) < 0.2 * even


def test_one_mode_of_positions_suffices_for_texts_longer_than_any_before(ours, dictionary):
    sources, previous = batch(dictionary, (700,)), prefixes(dictionary, rows=1, length=300)
    assert logits_of(ours, dictionary, sources, previous).isfinite().all()
    assert min(ours.max_positions()) > 10_000


# ---- checkpoints -------------------------------------------------------------------------------


def test_a_checkpoint_s_settings_and_weights_are_enough(ours, dictionary):
    again = build("/nowhere", dictionary, hf_config=ours.args.hf_config)
    again.load_state_dict(ours.state_dict())
    sources, previous = batch(dictionary), prefixes(dictionary)
    expected = logits_of(ours, dictionary, sources, previous)
    assert torch.equal(logits_of(again, dictionary, sources, previous), expected)
    assert again.start_tokens == ours.start_tokens


def test_one_table_from_scratch_is_one_table_in_the_checkpoint_s_model(folder, dictionary, tmp_path):
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = build(tmp_path, dictionary, hf_random_init=True)
    again = build("/nowhere", dictionary, hf_config=model.args.hf_config)
    again.load_state_dict(model.state_dict())
    for one in (model, again):
        assert one.decoder.lm_head.weight is one.encoder.stack.embed_tokens.weight
    sources, previous = batch(dictionary), prefixes(dictionary)
    found, expected = (logits_of(one, dictionary, sources, previous) for one in (again, model))
    assert torch.equal(found, expected)


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"hf_model": ""}, "--arch hf_mt5 needs --hf-model FOLDER"),
        ({"hf_model": "/nowhere"}, "--hf-model /nowhere: no config.json"),
        ({"amp": True}, "--amp is fp16 where it counts: mT5 overflows"),
        ({"left_pad_target": True}, "--left-pad-target: mT5 reads targets that are padded on the right"),
        ({"dropout": 1.0}, "--dropout 1.0: give a probability"),
    ],
)
def test_what_cannot_work_is_refused_before_training(folder, dictionary, flags, message):
    with pytest.raises(UserError, match=message):
        build(folder, dictionary, **flags)


def test_attention_is_refused_before_decoding(folder, dictionary):
    model = build(folder, dictionary)
    asked = SimpleNamespace(generation=SimpleNamespace(print_alignment="hard", no_beamable_mm=False))
    with pytest.raises(UserError, match="--print-alignment: hf_mt5 hands out no attention"):
        model.prepare_for_inference_(asked)


def test_half_precision_is_refused_wherever_it_is_asked_for(ours):
    with pytest.raises(UserError, match="--fp16: mT5 overflows in it"):
        ours.half()


def test_data_of_another_vocabulary_is_refused(folder):
    other = mt5.plain_dictionary(["a", "b"])
    with pytest.raises(UserError, match="DATA: its dictionary has 6 symbols and is not the model's"):
        build(folder, other)


def test_weights_that_are_missing_or_of_another_model_are_refused(folder, dictionary, tmp_path):
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(UserError, match="holds no weights .* --hf-random-init"):
        build(tmp_path, dictionary)
    weights = load_file(folder / "model.safetensors")
    del weights["decoder.final_layer_norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="missing weights: decoder.final_layer_norm.weight"):
        build(tmp_path, dictionary)


def test_absent_transformers_is_one_line_that_says_what_to_install(folder, dictionary, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"needs transformers .*pip install 'fairseq-vhm\[mt5\]'"):
        build(folder, dictionary)
