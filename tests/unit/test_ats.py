"""ATS (Zhu et al., 2020): the mixture against a twin in loops, and what it must not depend on."""

import argparse
import logging
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from test_model import one_of, padded
from test_parameters import millions
from tiny import SMALL, make_batch, make_dictionary, make_model

from fairseq_vhm.errors import UserError
from fairseq_vhm.models.architectures import ats_transformer
from fairseq_vhm.models.ats_transformer import ATSTransformerModel, load_translations
from fairseq_vhm.modules.lexicon import Candidates, Lexicon
from fairseq_vhm.modules.translation import STRATEGIES, mixture, translated_attention
from fairseq_vhm.names import TASKS

DICTIONARY = make_dictionary()
PAD, EOS, WORDS = DICTIONARY.pad(), DICTIONARY.eos(), range(4, 44)
TRANSLATIONS = {
    word: {4 + (word + 7 * k) % 40: (0.5, 0.3, 0.15, 0.05)[k] for k in range(1 + word % 4)}
    for word in WORDS
    if word % 5  # every fifth word has none
}


def arguments(**flags) -> argparse.Namespace:
    args = argparse.Namespace(**{**SMALL, **flags})
    ats_transformer(args)
    return args


def make_ats(strategy="adaptive", translations=TRANSLATIONS, seed=1, **flags) -> ATSTransformerModel:
    args = arguments(translation_strategy=strategy, **flags)
    torch.manual_seed(seed)
    task = SimpleNamespace(source_dictionary=DICTIONARY, target_dictionary=DICTIONARY)
    model = ATSTransformerModel.build_model(args, task)
    model.encoder.lexicon.fill(translations)
    return model.eval()


def without_candidates(batch: dict, row: int) -> dict:
    """The batch with a sentence all of whose words are not in the lexicon."""
    source = batch["net_input"]["src_tokens"]
    source[row] = torch.where(source[row] >= WORDS[0], WORDS[1], source[row])
    assert WORDS[1] not in TRANSLATIONS
    return batch


def output(model, batch, **options):
    return model(**batch["net_input"], **options)[0]


def open_gate(model, logit: float):
    """Hold p_trans at sigmoid(``logit``)."""
    with torch.no_grad():
        model.decoder.gate.output.weight.zero_()
        model.decoder.gate.output.bias.fill_(logit)
    return model


# ---- the formula -------------------------------------------------------------------------------


def candidates_by_loop(model, strategy: str, word: int, state: torch.Tensor) -> dict:
    """P(. | x_i) of one source position, as the paper writes it."""
    best = sorted(TRANSLATIONS.get(word, {}).items(), key=lambda item: -item[1])
    if strategy == "naive":
        return {w: torch.tensor(p / sum(q for _, q in best)) for w, p in best}
    if strategy == "equivalent":
        return {w: torch.tensor(1 / len(best)) for w, _ in best}
    attention, heads = model.encoder.adaptive, SMALL["encoder_attention_heads"]
    size = SMALL["encoder_embed_dim"] // heads
    weights = {w: 0.0 for w, _ in best}
    for head in range(heads):
        rows = slice(head * size, (head + 1) * size)
        query = attention.query.weight[rows] @ state
        scores = {}
        for w in weights:
            embedded = model.decoder.embed_scale * model.decoder.embed_tokens.weight[w]
            scores[w] = (query @ (attention.key.weight[rows] @ embedded)) / size**0.5
        total = sum(score.exp() for score in scores.values())
        weights = {w: weights[w] + scores[w].exp() / total / heads for w in weights}
    return weights


def mixture_by_loop(model, batch: dict, strategy: str) -> torch.Tensor:
    """P(y_t) for each sentence and step (B x T x V), with one sum for each position and candidate."""
    net_input, gate = batch["net_input"], model.decoder.gate
    source = net_input["src_tokens"]
    encoder_out = model.encoder(source, task=net_input["task"])
    states, extra = model.decoder(net_input["prev_output_tokens"], encoder_out, features_only=True)
    softmax = model.decoder.output_layer(states).softmax(-1)
    rows = []
    for b, sentence in enumerate(source.tolist()):
        of_position = [
            candidates_by_loop(model, strategy, word, encoder_out["encoder_out"][0][i, b])
            for i, word in enumerate(sentence)
        ]
        for t in range(states.size(1)):
            alpha = {i: extra["attn"][0][b, t, i] for i, found in enumerate(of_position) if found}
            row = softmax[b, t]
            if alpha:
                p_trans = gate.output(gate.hidden(states[b, t])).sigmoid()
                lexical = torch.zeros_like(row)
                for i in alpha:
                    for word, probability in of_position[i].items():
                        share = torch.zeros_like(row)
                        share[word] = 1.0
                        lexical = lexical + share * alpha[i] / sum(alpha.values()) * probability
                row = p_trans * lexical + (1 - p_trans) * row
            rows.append(row)
    return torch.stack(rows).view_as(softmax)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_output_and_its_gradients_are_those_of_a_twin_in_loops(strategy):
    model = make_ats(strategy)
    batch = without_candidates(make_batch(DICTIONARY), 1)
    expected = mixture_by_loop(model, batch, strategy)
    torch.testing.assert_close(output(model, batch).exp(), expected, atol=1e-6, rtol=1e-4)
    steps = batch["target"].unsqueeze(-1)
    gradients = []
    for log_probability in (output(model, batch), expected.log()):
        model.zero_grad()
        log_probability.gather(-1, steps)[steps.ne(PAD)].sum().backward()
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=2e-5, rtol=1e-3, msg=name)
    assert gradients[0]["decoder.gate.hidden.weight"].abs().sum() > 0


@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_output_is_a_distribution_at_every_position(strategy, precision):
    model = make_ats(strategy).to(precision)
    batch = without_candidates(make_batch(DICTIONARY), 1)
    log_probability = output(model, batch)
    assert log_probability.dtype == torch.float32
    total = log_probability.logsumexp(-1)
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-5, rtol=0)
    again = F.log_softmax(log_probability, dim=-1)  # what criterion and beam search take of logits
    torch.testing.assert_close(again, log_probability, atol=1e-5, rtol=1e-5)


def plain_twin(model) -> torch.nn.Module:
    """The Transformer of the same weights, without lexicon and gate."""
    plain = make_model(DICTIONARY, latents="none", seed=2).eval()
    result = plain.load_state_dict(
        {n: v for n, v in model.state_dict().items() if n in plain.state_dict()}
    )
    assert not result.missing_keys
    return plain


@pytest.mark.parametrize("closed", ["gate", "lexicon"])
def test_with_the_gate_closed_it_is_the_plain_transformer_bit_for_bit(closed):
    model = make_ats(translations=TRANSLATIONS if closed == "gate" else {WORDS[0]: {WORDS[3]: 1.0}})
    batch = make_batch(DICTIONARY)
    if closed == "gate":
        open_gate(model, -1e9)
    else:
        assert WORDS[0] not in batch["net_input"]["src_tokens"]
    twin = plain_twin(model)
    twin.decoder.returns_attention = True  # whose last layer then computes the weights as fairseq does
    plain = F.log_softmax(output(twin, batch), dim=-1)
    assert torch.equal(output(model, batch), plain)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_with_the_gate_open_only_translations_of_source_words_are_put_out(strategy):
    model, batch = open_gate(make_ats(strategy), 1e9), make_batch(DICTIONARY)
    probability = output(model, batch).exp()
    for row, source in zip(probability, batch["net_input"]["src_tokens"].tolist(), strict=True):
        known = sorted({w for word in source for w in TRANSLATIONS.get(word, ())})
        torch.testing.assert_close(row[:, known].sum(-1), torch.ones(len(row)))
        assert (row.max(dim=0).values > 0).nonzero().flatten().tolist() == known


def test_a_word_that_the_softmax_cannot_say_is_probable_through_the_lexicon():
    model, batch = open_gate(make_ats("naive"), 0.0), make_batch(DICTIONARY)
    word = next(iter(TRANSLATIONS[int(batch["net_input"]["src_tokens"][0, 1])]))
    with torch.no_grad():
        model.decoder.output_projection.bias[word] = -1e4
    log_probability = output(model, batch)[0, :, word]
    assert (log_probability > -10).all()
    log_probability.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_attention_that_half_precision_has_made_zero_is_still_shared_out():
    candidates = Candidates(torch.tensor([5, 6]), torch.tensor([[[0], [1]]]), torch.ones(1, 2, 1))
    translated = translated_attention(torch.zeros(1, 1, 2, dtype=torch.float16), candidates)
    torch.testing.assert_close(translated, torch.tensor([[[0.5, 0.5]]]))


def test_the_mixture_of_two_known_distributions():
    """P(a) = 0.25 * 1 + 0.75 * 0.2, P(b) = 0.75 * 0.8."""
    logits = torch.tensor([[[0.2, 0.8]]]).log() + 3.0
    gate = torch.tensor([[0.25 / 0.75]]).log()
    mixed = mixture(logits, gate, torch.tensor([[[1.0]]]), torch.tensor([0]))
    torch.testing.assert_close(mixed.exp(), torch.tensor([[[0.4, 0.6]]]))


# ---- batches, beams, steps ---------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_padding_and_companions_change_nothing(strategy):
    model, batch = make_ats(strategy), without_candidates(make_batch(DICTIONARY), 1)
    full = output(model, batch)
    torch.testing.assert_close(output(model, padded(batch)), full, atol=1e-5, rtol=1e-4)
    for row in range(3):
        single = output(model, one_of(batch, row))[0]
        torch.testing.assert_close(single, full[row, : len(single)], atol=1e-5, rtol=1e-4)


def test_the_side_of_the_sources_padding_changes_nothing():
    model, batch = make_ats(), make_batch(DICTIONARY)
    left = output(model, batch)
    source = batch["net_input"]["src_tokens"]
    rows = [torch.cat([row[row.ne(PAD)], row[row.eq(PAD)]]) for row in source]
    batch["net_input"]["src_tokens"] = torch.stack(rows)
    torch.testing.assert_close(output(model, batch), left, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_incremental_decoding_of_reordered_beams_equals_the_full_pass(strategy):
    model, order = make_ats(strategy), torch.tensor([2, 0, 0, 1])
    batch = without_candidates(make_batch(DICTIONARY, lengths=((7, 4), (5, 4), (3, 4))), 1)
    full, tokens = output(model, batch), batch["net_input"]["prev_output_tokens"][order]
    encoder_out = model.encoder(batch["net_input"]["src_tokens"], task="cls")
    encoder_out = model.encoder.reorder_encoder_out(encoder_out, order)
    state = {}
    for step in range(tokens.size(1)):
        one, _ = model.decoder(tokens[:, : step + 1], encoder_out, incremental_state=state)
        torch.testing.assert_close(one[:, 0], full[order, step], atol=1e-5, rtol=1e-4)


def test_the_attention_that_is_returned_is_the_one_that_is_read():
    model, batch = make_ats(), make_batch(DICTIONARY)
    attention = model(**batch["net_input"])[1]["attn"][0]
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:2]))
    with pytest.raises(ValueError, match="last layer, all heads"):
        output(model, batch, alignment_heads=1)
    with pytest.raises(ValueError, match="last layer, all heads"):
        output(model, batch, alignment_layer=0)


# ---- the model's parts -------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [{}, {"decoders": "task", "share_encoder_decoder_embeddings": False}])
@pytest.mark.parametrize("latents", ["none", "mt,ms,cls"])
def test_every_task_reads_the_lexicon_and_every_parameter_learns(latents, flags):
    model = make_ats(latents=latents, **flags).train()
    for task in TASKS:
        batch = make_batch(DICTIONARY, task)
        steps = batch["target"].unsqueeze(-1)
        log_probability, extra = model(**batch["net_input"], target=batch["target"])
        loss = -log_probability.gather(-1, steps)[steps.ne(PAD)].sum()
        (loss + sum(latent.kl().sum() for latent in extra["latents"].with_kl().values())).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


def test_candidates_are_compared_by_the_target_embeddings_of_their_own_decoder():
    model = make_ats(decoders="task", share_encoder_decoder_embeddings=False)
    batches = {task: make_batch(DICTIONARY, task) for task in TASKS}

    def weights():
        return {
            task: model.encoder(batch["net_input"]["src_tokens"], task=task)["candidates"].probability
            for task, batch in batches.items()
        }

    before = weights()
    with torch.no_grad():
        model.decoder.decoders["ms"].embed_tokens.weight.mul_(-3)
    after = weights()
    assert [task for task in TASKS if not torch.equal(before[task], after[task])] == ["ms"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_parameters_beside_the_transformers(strategy):
    width = 512
    gate = width * width + width + width + 1
    adaptive = 2 * width * width if strategy == "adaptive" else 0
    args = argparse.Namespace(translation_strategy=strategy)
    ats_transformer(args)
    task = SimpleNamespace(source_dictionary=DICTIONARY, target_dictionary=DICTIONARY)
    with torch.device("meta"):
        model = ATSTransformerModel.build_model(args, task)
    plain = round(millions(len(DICTIONARY), latents="none") * 1e6)
    assert sum(p.numel() for p in model.parameters()) == plain + gate + adaptive


@pytest.mark.parametrize("flag", ["no_cross_attention", "decoder_layerdrop", "adaptive_softmax_cutoff"])
def test_what_the_mixture_cannot_do_without_is_refused(flag):
    with pytest.raises(UserError, match=f"--{flag.replace('_', '-')} does not go with"):
        make_ats(**{flag: "100" if flag.startswith("adaptive") else 0.5})
    with pytest.raises(UserError, match="--lexicon-candidates 0"):
        make_ats(lexicon_candidates=0)


# ---- the lexicon -------------------------------------------------------------------------------


@pytest.mark.parametrize("candidates", [1, 2, 5])
def test_the_m_best_translations_are_kept_and_sum_to_1(candidates):
    lexicon = Lexicon(10, candidates, pad=1)
    lexicon.fill({6: {4: 0.2, 5: 0.5, 7: 0.2, 8: 0.1}})
    found = lexicon(torch.tensor([[6, 9]]))
    kept = {1: {5: 1.0}, 2: {5: 5 / 7, 4: 2 / 7}, 5: {5: 0.5, 4: 0.2, 7: 0.2, 8: 0.1}}[candidates]
    words = found.words[found.slots]
    row = {w: p for w, p in zip(words[0, 0].tolist(), found.probability[0, 0].tolist(), strict=True) if p}
    assert row == pytest.approx(kept)
    assert found.translatable.tolist() == [[True, False]]


def lexicon_file(folder, *lines):
    path = folder / "lexicon.tsv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def test_special_symbols_and_unknown_words_neither_translate_nor_are_translations(
    tmp_path, caplog, monkeypatch
):
    name = "fairseq_vhm.models.ats_transformer"
    monkeypatch.setattr(logging.getLogger(name), "disabled", False)  # hydra's set-up turns loggers off
    special = ["<s>", "<pad>", "</s>", "<unk>", "<cls>", "<mt>", "<ms>", "stranger"]
    lines = [f"{s}\tw1\t0.5" for s in special] + [f"w0\t{s}\t0.1" for s in special]
    path = lexicon_file(tmp_path, *lines, "w0\tw2\t0.2", "w3\tw3\t1")
    with caplog.at_level("INFO", logger=name):
        translations = load_translations(path, DICTIONARY)
    w0, w2, w3 = (DICTIONARY.index(w) for w in ("w0", "w2", "w3"))
    assert translations == {w0: {w2: 0.2}, w3: {w3: 1.0}}
    assert "2 translations of 2 symbols; 16 of 18 entries" in caplog.text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["strange\twords\t1"], "none of its words"),
        (["w0\tw1\t0.5", "w0\tw1\t0.5"], "lexicon.tsv:2: 'w0' and 'w1' stand there twice"),
        (["w0\tw1\t0.5", "w0 w1 0.5"], "lexicon.tsv:2: not an entry"),
        (["w0\tw1\tnan"], "lexicon.tsv:1: nan is not a probability"),
        ([], "an empty lexicon"),
    ],
)
def test_a_lexicon_that_cannot_be_used_is_refused_in_one_line(tmp_path, lines, message):
    with pytest.raises(UserError, match=message) as error:
        load_translations(lexicon_file(tmp_path, *lines), DICTIONARY)
    assert "\n" not in str(error.value)


def test_a_checkpoint_brings_its_lexicon_and_another_one_is_refused(tmp_path):
    trained = make_ats()
    empty = make_ats(translations={WORDS[0]: {WORDS[1]: 1.0}}, seed=2)
    batch = make_batch(DICTIONARY)
    empty.load_state_dict(trained.half().state_dict())
    torch.testing.assert_close(output(empty, batch), output(trained.float(), batch), atol=1e-2, rtol=1e-2)
    path = lexicon_file(
        tmp_path,
        *(f"w{s - 4}\tw{t - 4}\t{p}" for s, found in TRANSLATIONS.items() for t, p in found.items()),
    )
    for other, accepted in ((path, True), (lexicon_file(tmp_path / "..", "w1\tw2\t1"), False)):
        resumed = make_ats(seed=3)
        resumed.warm_start(arguments(lexicon=other))
        if accepted:
            resumed.load_state_dict(trained.state_dict())
        else:
            with pytest.raises(UserError, match="was trained with another one"):
                resumed.load_state_dict(trained.state_dict())


def test_training_without_a_lexicon_is_refused(tmp_path):
    with pytest.raises(UserError, match="needs --lexicon FILE"):
        make_ats().warm_start(arguments(lexicon="", save_dir=str(tmp_path)))
