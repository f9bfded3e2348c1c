"""Fast attention against fairseq's own (``--attention fairseq``), and beams that share their source."""

import pytest
import torch
from fairseq.modules import MultiheadAttention
from fairseq.sequence_generator import SequenceGenerator
from test_ats import make_ats
from test_model import padded
from tiny import make_batch, make_dictionary, make_model
from torch.utils._python_dispatch import TorchDispatchMode

from fairseq_vhm.modules.attention import SHORT, ScaledDotProductAttention, use_sdpa
from fairseq_vhm.modules.beams import beams_of

DICTIONARY = make_dictionary()
PAD, EOS = DICTIONARY.pad(), DICTIONARY.eos()
TASKS = ("cls", "mt", "ms")
FAST, PLAIN = {"attention": "sdpa"}, {"attention": "fairseq"}
MODELS = {
    "vhm": {},
    "mt_ms_cls": {"latents": "none"},
    "biases of fairseq, post-norm": {"biases": "fairseq", "post_norm": True},
    "a decoder a task": {"decoders": "task"},
    "dropout": {"dropout": 0.1},
}
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def both(build=make_model, **flags):
    """The same model with fast attention and with fairseq's."""
    return build(**flags, **FAST), build(**flags, **PLAIN)


def loss_and_gradients(model, batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Negative log-likelihood of a training pass and its gradients, with the same draws at every call."""
    torch.manual_seed(5)
    model.train().zero_grad()
    logits = model(**batch["net_input"], target=batch["target"])[0]
    loss = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), batch["target"].flatten(), ignore_index=PAD, reduction="sum"
    )
    loss.backward()
    return loss, {name: p.grad.float() for name, p in model.named_parameters() if p.grad is not None}


class Operations(TorchDispatchMode):
    """The names of the operations that are run."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def operations(model, batch) -> set[str]:
    with Operations() as seen:
        model(**batch["net_input"])
    return seen.names


# ---- the same model ----------------------------------------------------------------------------


@pytest.mark.parametrize("flags", MODELS.values(), ids=MODELS)
def test_checkpoints_of_one_kind_of_attention_are_those_of_the_other(flags):
    fast, plain = both(**flags)
    assert list(fast.state_dict()) == list(plain.state_dict())
    assert [*dict(fast.named_parameters())] == [*dict(plain.named_parameters())]
    fast.load_state_dict(make_model(seed=7, **flags, **PLAIN).state_dict())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("flags", [f for name, f in MODELS.items() if name != "dropout"])
def test_loss_and_gradients_are_those_of_fairseqs_attention(flags, task):
    fast, plain = both(**flags)
    batch = make_batch(DICTIONARY, task)
    loss, gradients = loss_and_gradients(fast, batch)
    expected, of_plain = loss_and_gradients(plain, batch)
    torch.testing.assert_close(loss, expected, **CLOSE)
    assert gradients.keys() == of_plain.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, of_plain[name], msg=name, **CLOSE)


def test_loss_and_gradients_of_ats_are_those_of_fairseqs_attention():
    fast, plain = both(make_ats)
    batch = make_batch(DICTIONARY)
    (loss, gradients), (expected, of_plain) = (loss_and_gradients(m, batch) for m in (fast, plain))
    torch.testing.assert_close(loss, expected, **CLOSE)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, of_plain[name], msg=name, **CLOSE)


@pytest.mark.parametrize("seed", range(4))
def test_bfloat16_strays_from_float32_by_three_percent_at_most(seed):
    """Distance of all gradients together, relative to float32's length; fairseq's attention: 0.8 to 2.1 %."""
    batch = make_batch(DICTIONARY, lengths=[(9, 6)] * 4, seed=seed)
    _, exact = loss_and_gradients(make_model(seed=seed, **PLAIN), batch)
    _, gradients = loss_and_gradients(make_model(seed=seed, **FAST).bfloat16(), batch)
    error = sum((gradients[name] - gradient).square().sum() for name, gradient in exact.items())
    assert (error / sum(gradient.square().sum() for gradient in exact.values())).sqrt() < 0.03


@pytest.mark.parametrize(
    ("kind", "length", "training", "products"),
    [
        (torch.bfloat16, 9, True, True),
        (torch.bfloat16, SHORT, True, True),
        (torch.bfloat16, SHORT + 1, True, False),
        (torch.bfloat16, 9, False, False),
        (torch.float32, 9, True, False),
    ],
)
def test_sixteen_bits_train_on_short_texts_with_plain_products(kind, length, training, products):
    """Where the backward pass of the fused kernel is slow on a CPU, and nowhere else."""
    model = make_model(**FAST, max_source_positions=SHORT + 1).to(kind)
    batch = make_batch(DICTIONARY, lengths=[(length - 2, 5)] * 2)
    assert batch["net_input"]["src_tokens"].size(1) == length
    with torch.set_grad_enabled(training):
        names = operations(model, batch)
    fused = [name for name in names if "flash_attention" in name]
    assert bool(fused) != products


def test_padding_of_source_and_target_changes_neither_loss_nor_gradients():
    model, batch = make_model(DICTIONARY), make_batch(DICTIONARY)
    more = padded(batch)
    previous = batch["net_input"]["prev_output_tokens"]
    more["net_input"]["prev_output_tokens"] = torch.nn.functional.pad(previous, (0, 6), value=PAD)
    (loss, gradients), (expected, of_padded) = (loss_and_gradients(model, b) for b in (batch, more))
    torch.testing.assert_close(loss, expected, **CLOSE)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, of_padded[name], msg=name, **CLOSE)


def attention_to_one_position(dropout: float) -> ScaledDotProductAttention:
    """Two heads of width 2 that hand on the value of the one source position there is."""
    attention = MultiheadAttention(4, 2, dropout=dropout, encoder_decoder_attention=True)
    for layer in (attention.v_proj, attention.out_proj):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    use_sdpa(attention)
    return attention


def test_dropout_drops_weights_at_its_rate_and_scales_up_the_rest():
    """With a single source position the weight is 1: each head gives v / (1 - p), or 0 with probability p."""
    torch.manual_seed(3)
    attention, source = attention_to_one_position(dropout=0.25), torch.ones(1, 2000, 4)
    query = torch.randn(3, 2000, 4)
    heads = attention(query, source, source, need_weights=False, static_kv=True)[0].unflatten(-1, (2, 2))
    dropped = heads.eq(0).all(dim=-1)
    torch.testing.assert_close(heads[~dropped], torch.full_like(heads[~dropped], 4 / 3))
    assert dropped.float().mean() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 12_000) ** 0.5)
    agree = dropped[..., 0].eq(dropped[..., 1]).float().mean()  # heads are dropped one by one
    assert agree == pytest.approx(0.25**2 + 0.75**2, abs=0.03)
    still = attention.eval()(query, source, source, need_weights=False, static_kv=True)[0]
    torch.testing.assert_close(still, torch.ones_like(still))


# ---- weights for those who read them -----------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_no_attention_weights_are_computed(training):
    fast, plain = (model.train(training) for model in both())
    batch = make_batch(DICTIONARY)
    assert "_softmax" not in operations(fast, batch)
    assert "_softmax" in operations(plain, batch)
    assert fast(**batch["net_input"])[1]["attn"] == [None]


def test_weights_of_a_layer_that_is_asked_for_are_fairseqs():
    fast, plain = (model.eval() for model in both())
    net_input = make_batch(DICTIONARY)["net_input"]
    for options in ({"alignment_layer": 0}, {"alignment_layer": 1, "alignment_heads": 1}):
        torch.testing.assert_close(
            fast(**net_input, **options)[1]["attn"][0], plain(**net_input, **options)[1]["attn"][0]
        )


def test_a_command_that_prints_alignments_gets_the_last_layers_weights():
    fast, plain = (model.eval() for model in both(decoders="task"))
    net_input = make_batch(DICTIONARY)["net_input"]
    fast.make_generation_fast_(need_attn=True)
    torch.testing.assert_close(fast(**net_input)[1]["attn"][0], plain(**net_input)[1]["attn"][0])


# ---- decoding ----------------------------------------------------------------------------------


def lively(model, scale: float, end: float):
    """Outputs of some sentences end earlier than those of others."""
    for decoder in model.decoders:
        with torch.no_grad():
            decoder.output_projection.weight.mul_(scale)
            decoder.output_projection.bias[EOS] += end
    return model.eval()


def decoded(model, beam: int, **settings) -> list[list[tuple]]:
    """Ids and score of every hypothesis of each sentence, by fairseq's generator."""
    generator = SequenceGenerator([model], DICTIONARY, beam_size=beam, max_len_b=12, **settings)
    net_input = make_batch(DICTIONARY, lengths=[(3 + n % 6, 4) for n in range(9)])["net_input"]
    hypotheses = generator.generate([model], {"net_input": net_input})
    return [[(h["tokens"].tolist(), float(h["score"])) for h in hypos] for hypos in hypotheses]


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize(
    ("build", "flags", "life"),
    [
        (make_model, {}, (2, 2)),
        (make_model, {"latents": "none", "decoders": "task"}, (3, 4)),
        (make_ats, {}, (3, 4)),
    ],
    ids=["vhm", "a decoder a task", "ats"],
)
def test_every_hypothesis_is_that_of_fairseqs_attention(build, flags, life, beam):
    fast, plain = (decoded(lively(model, *life), beam) for model in both(build, **flags))
    lengths = {len(tokens) for hypos in plain for tokens, _ in hypos}
    assert len(lengths) > 1, "hypotheses are to end at different steps"
    for found, expected in zip(fast, plain, strict=True):
        assert [tokens for tokens, _ in found] == [tokens for tokens, _ in expected]
        scores = [torch.tensor([score for _, score in hypos]) for hypos in (found, expected)]
        torch.testing.assert_close(*scores, **CLOSE)


ORDERS = {
    "within sentences": [1, 0, 3, 3, 4, 5],
    "a sentence left out": [0, 0, 4, 5],
    "sentences in another order": [4, 5, 0, 1, 2, 2],
    "rows apart": [5, 3, 0, 1, 2, 4],
    "one row left": [3],
    "more rows": [0, 1, 0, 2, 2, 2, 5, 5, 4],
}


@pytest.mark.parametrize("build", [make_model, make_ats])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_reordered_beams_continue_the_prefixes_they_were_told_to(build, order):
    """Three sentences of two beams each; two reorderings in a row, the second undoing no groups."""
    model = build().eval()
    sources = make_batch(DICTIONARY)["net_input"]["src_tokens"]
    torch.manual_seed(2)
    previous = torch.randint(4, 44, (6, 2))
    owners = torch.tensor([0, 0, 1, 1, 2, 2])
    with torch.no_grad():
        encoded, state = model.encoder(sources), {}
        encoded = model.encoder.reorder_encoder_out(encoded, owners)
        model.decoder(previous[:, :1], encoded, incremental_state=state)
        model.decoder(previous, encoded, incremental_state=state)
        for rows in (torch.tensor(order), torch.arange(len(order)).flip(0)):
            model.decoder.reorder_incremental_state_scripting(state, rows)
            encoded = model.encoder.reorder_encoder_out(encoded, rows)
            owners, previous = owners[rows], previous[rows]
            previous = torch.cat([previous, torch.randint(4, 44, (len(rows), 1))], dim=1)
            step = model.decoder(previous, encoded, incremental_state=state)[0]
            whole = model.decoder(previous, model.encoder(sources[owners]))[0]
            torch.testing.assert_close(step, whole[:, -1:], **CLOSE)


def cached_keys(model, state: dict, kind: str) -> list[torch.Tensor]:
    attentions = [getattr(layer, kind) for layer in model.decoder.layers]
    return [attention._get_input_buffer(state)["prev_key"] for attention in attentions]


@pytest.mark.parametrize("kind", ["encoder_attn", "self_attn"])
def test_keys_stay_where_they_are_while_beams_change_within_their_sentence(kind):
    model = make_model(DICTIONARY).eval()
    sources = make_batch(DICTIONARY)["net_input"]["src_tokens"]
    encoded, state = model.encoder(sources), {}
    encoded = model.encoder.reorder_encoder_out(encoded, torch.arange(3).repeat_interleave(4))
    previous, keys = torch.full((12, 4), EOS), {}
    orders = {1: range(12), 2: [3, 2, 1, 0, 4, 4, 4, 5, 8, 9, 8, 9], 3: [4, 4, 5, 7]}
    for length, rows in orders.items():
        rows = torch.tensor(rows)
        model.decoder.reorder_incremental_state_scripting(state, rows)
        encoded = model.encoder.reorder_encoder_out(encoded, rows)
        model.decoder(previous[: len(rows), :length], encoded, incremental_state=state)
        keys[length] = cached_keys(model, state, kind)
    if kind == "encoder_attn":
        assert [k.data_ptr() for k in keys[1]] == [k.data_ptr() for k in keys[2]]
    for first, second, third in zip(*keys.values(), strict=True):
        assert len(first) == len(second) == 3
        written = first.size(2) if kind == "encoder_attn" else 4  # one position of four beams
        assert torch.equal(first[:, :, :written], second[:, :, :written])
        assert torch.equal(second[1:2, :, :written], third[:, :, :written])


@pytest.mark.parametrize(
    ("rows", "sentences", "beams", "kept", "each"),
    [
        ([0, 0, 1, 1], 2, 1, None, 2),
        ([0, 1, 2], 3, 1, None, 1),
        ([1, 0, 3, 2], 2, 2, None, 2),
        ([2, 2], 2, 2, [1], 2),
        ([2, 3, 0, 0], 2, 2, [1, 0], 2),
        ([0, 2, 1, 3], 2, 2, [0, 1, 0, 1], 1),
        ([0, 1, 2], 2, 2, [0, 0, 1], 1),
        ([1, 0], 2, 1, [1, 0], 1),
    ],
)
def test_beams_stay_together_where_they_stand_side_by_side(rows, sentences, beams, kept, each):
    found, beams = beams_of(torch.tensor(rows), sentences, beams)
    assert (found if found is None else found.tolist(), beams) == (kept, each)


