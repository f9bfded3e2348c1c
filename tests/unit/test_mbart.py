"""vhm_mbart_large against two other implementations on the same weights: HuggingFace's and fairseq's."""

from argparse import Namespace
from types import SimpleNamespace

import mbart
import pytest
import tiny
import torch
from fairseq.data import Dictionary
from fairseq.tasks.translation_from_pretrained_bart import TranslationFromPretrainedBARTTask
from fairseq_cli import preprocess
from transformers import GenerationConfig, MBartConfig, MBartForConditionalGeneration
from transformers.models.mbart.modeling_mbart import shift_tokens_right

from fairseq_vhm.data.languages import MBART25, Languages, MarkedDictionary
from fairseq_vhm.errors import UserError
from fairseq_vhm.models import VHMTransformerModel
from fairseq_vhm.models.architectures import vhm_mbart_large
from fairseq_vhm.models.initialisation import initialise
from fairseq_vhm.tasks import CrossLingualSummarizationTask
from fairseq_vhm.tasks.config import CrossLingualSummarizationConfig

CLOSE = {"atol": 2e-5, "rtol": 1e-4}
LATENTS = "mt,ms,cls"


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> mbart.Published:
    return mbart.publish(tmp_path_factory.mktemp("mbart"))


def marked(published: mbart.Published, languages: str = mbart.LANGS) -> MarkedDictionary:
    dictionary = MarkedDictionary.load(str(published.dict))
    dictionary.mark(Languages.parse(languages))
    return dictionary


def build(published, dictionary=None, latents="none", **settings):
    """Our model in the checkpoint's size, not yet initialised, and its settings."""
    args = Namespace(**{**mbart.SHAPE, "latents": latents, "latent_dim": 8, **settings})
    vhm_mbart_large(args)
    dictionary = dictionary or marked(published)
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    torch.manual_seed(3)
    return VHMTransformerModel.build_model(args, task).eval(), args


def start(published, latents="none", allowed=(), checkpoint=None, **settings):
    """Our model, initialised from the checkpoint, and the report."""
    model, args = build(published, latents=latents, **settings)
    return model, initialise(model, args, str(checkpoint or published.checkpoint), allowed)


@pytest.fixture(scope="module")
def huggingface(published) -> MBartForConditionalGeneration:
    """HuggingFace's mBART with the weights of the published checkpoint."""
    shape, symbols = mbart.SHAPE, len(published.dictionary)
    config = MBartConfig(
        vocab_size=symbols,
        d_model=shape["encoder_embed_dim"],
        encoder_layers=shape["encoder_layers"],
        decoder_layers=shape["decoder_layers"],
        encoder_attention_heads=shape["encoder_attention_heads"],
        decoder_attention_heads=shape["decoder_attention_heads"],
        encoder_ffn_dim=shape["encoder_ffn_embed_dim"],
        decoder_ffn_dim=shape["encoder_ffn_embed_dim"],
        max_position_embeddings=shape["max_source_positions"],
        activation_function="gelu",
        scale_embedding=True,
        dropout=0.0,
    )
    model = MBartForConditionalGeneration(config).eval()
    weights = {f"model.{n}": v for n, v in published.model.state_dict().items() if "version" not in n}
    del weights["model.decoder.output_projection.weight"]
    weights["model.shared.weight"] = weights["lm_head.weight"] = weights["model.encoder.embed_tokens.weight"]
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert set(missing) <= {"final_logits_bias"} and not unexpected
    return model


def pair(dictionary, source: int = 7, target: int = 5, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Source and labels as mBART was trained: text, EOS, language (1 x T)."""
    rng = torch.Generator().manual_seed(seed)
    texts = [torch.randint(4, 200, (n,), generator=rng) for n in (source, target)]
    codes = (dictionary.index("[en_XX]"), dictionary.index("[zh_CN]"))
    return tuple(torch.cat([t, torch.tensor([2, c])]).unsqueeze(0) for t, c in zip(texts, codes, strict=True))


# ---- logits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [(7, 5), (1, 1), (40, 30)])
def test_logits_without_latents_are_those_of_huggingface(published, huggingface, lengths):
    model, _ = start(published)
    source, labels = pair(published.dictionary, *lengths)
    previous = shift_tokens_right(labels, published.dictionary.pad())
    logits, _ = model(source, torch.tensor([source.numel()]), previous)
    expected = huggingface(input_ids=source, decoder_input_ids=previous).logits
    torch.testing.assert_close(logits[..., : len(published.dictionary)], expected, **CLOSE)


def test_a_padded_batch_has_the_logits_of_each_sentence_alone(published, huggingface):
    model, _ = start(published)
    source, _ = pair(published.dictionary)
    short, other = pair(published.dictionary, 3, 4, seed=2)
    pad = torch.full((1, source.numel() - short.numel()), 1)
    sources = torch.cat([source, torch.cat([pad, short], dim=1)])
    previous = shift_tokens_right(other, 1)
    logits, _ = model(sources, torch.tensor([source.numel(), short.numel()]), previous.repeat(2, 1))
    expected = huggingface(input_ids=short, decoder_input_ids=previous).logits[0]
    torch.testing.assert_close(logits[1, :, : len(published.dictionary)], expected, **CLOSE)


@pytest.mark.parametrize("task", ["cls", "mt", "ms"])
def test_vhm_without_tanh_starts_with_the_logits_of_mbart(published, huggingface, task):
    model, _ = start(published, LATENTS, latent_activation="none")
    source, labels = pair(published.dictionary)
    previous = shift_tokens_right(labels, 1)
    logits, _ = model(source, torch.tensor([source.numel()]), previous, task=task)
    expected = huggingface(input_ids=source, decoder_input_ids=previous).logits
    torch.testing.assert_close(logits[..., : len(published.dictionary)], expected, **CLOSE)


def test_vhm_puts_eq_8_between_mbart_s_states_and_its_output_layer(published, huggingface):
    model, _ = start(published, LATENTS, latent_projection_init="xavier")
    source, labels = pair(published.dictionary)
    previous = shift_tokens_right(labels, 1)
    logits, extra = model(source, torch.tensor([source.numel()]), previous)
    states = huggingface.model(input_ids=source, decoder_input_ids=previous).last_hidden_state
    z = extra["latents"]["cls"].z.unsqueeze(1).expand(-1, states.size(1), -1)
    w_p = model.decoder.fusion.projections["cls"]
    outputs = huggingface.lm_head(torch.tanh(w_p(torch.cat([states, z], dim=-1))))
    torch.testing.assert_close(logits[..., : len(published.dictionary)], outputs, **CLOSE)


def test_vhm_s_prior_reads_the_mean_of_mbart_s_encoder_states(published, huggingface):
    model, _ = start(published, LATENTS)
    source, _ = pair(published.dictionary)
    encoded = model.encoder(source, torch.tensor([source.numel()]))
    h_x = huggingface.model.encoder(input_ids=source).last_hidden_state.mean(dim=1)
    expected = model.encoder.hierarchy.infer(h_x, "cls")["cls"].z
    torch.testing.assert_close(encoded["bundle"]["cls"].z, expected, **CLOSE)


# ---- tokens ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_tags(tmp_path_factory):
    """A small mBART whose dictionary holds the tags, and DATA binarised with it: rows agree with ours."""
    folder = tmp_path_factory.mktemp("tagged")
    published = mbart.publish(folder, with_tags=True)
    lines = {"en": [" ".join(mbart.pieces(published.spm)[i : i + 6]) for i in range(0, 48, 6)]}
    lines["zh"] = [" ".join(line.split()[::-1][:4]) for line in lines["en"]]
    for suffix, texts in lines.items():
        (folder / f"test.{suffix}").write_text("".join(f"{t}\n" for t in texts), encoding="utf-8")
    (folder / "test.en_XX").write_bytes((folder / "test.en").read_bytes())
    (folder / "test.zh_CN").write_bytes((folder / "test.zh").read_bytes())
    for source, target, out in (("en", "zh", "DATA/cls"), ("en_XX", "zh_CN", "fairseq")):
        parser = preprocess.options.get_preprocessing_parser()
        arguments = ["-s", source, "-t", target, "--destdir", str(folder / out)]
        arguments += ["--srcdict", str(published.dict), "--tgtdict", str(published.dict)]
        preprocess.main(parser.parse_args([*arguments, "--testpref", str(folder / "test")]))
    return published


def our_task(published, **settings) -> CrossLingualSummarizationTask:
    config = CrossLingualSummarizationConfig(
        data=str(published.folder / "DATA"),
        tasks="cls",
        langs=mbart.LANGS,
        train_subset="train",
        update_freq=[1],
        seed=1,
        dataset_impl=None,
        **settings,
    )
    return CrossLingualSummarizationTask.setup_task(config)


def fairseqs_task(published) -> TranslationFromPretrainedBARTTask:
    """fairseq's own fine-tuning of mBART; it reads ``args``, which it forgot to keep."""
    args = Namespace(
        data=str(published.folder / "fairseq"),
        langs=mbart.LANGS,
        source_lang="en_XX",
        target_lang="zh_CN",
        left_pad_source=True,
        left_pad_target=False,
        max_source_positions=64,
        max_target_positions=64,
        dataset_impl=None,
        upsample_primary=1,
        load_alignments=False,
    )
    dictionaries = [Dictionary.load(str(published.dict)) for _ in range(2)]
    task = TranslationFromPretrainedBARTTask(args, *dictionaries)
    task.args = args
    return task


def batch_of(task) -> dict:
    task.load_dataset("test")
    dataset = task.dataset("test")
    return dataset.collater([dataset[i] for i in range(len(dataset))])


def test_batches_are_those_of_fairseq_s_fine_tuning(with_tags):
    ours, theirs = our_task(with_tags, task_tag="none"), fairseqs_task(with_tags)
    assert ours.dictionary.symbols == theirs.target_dictionary.symbols
    batch, expected = batch_of(ours), batch_of(theirs)
    for name in ("src_tokens", "src_lengths", "prev_output_tokens"):
        assert torch.equal(batch["net_input"][name], expected["net_input"][name]), name
    assert torch.equal(batch["target"], expected["target"])
    assert batch["ntokens"] == expected["ntokens"]


def test_beam_search_gives_what_fairseq_s_fine_tuning_gives(with_tags):
    ours, theirs = our_task(with_tags, task_tag="none"), fairseqs_task(with_tags)
    model, args = build(with_tags, ours.dictionary)
    initialise(model, args, str(with_tags.checkpoint))
    settings = Namespace(beam=4, lenpen=0.6, max_len_b=12)
    expected = theirs.inference_step(
        theirs.build_generator([with_tags.model], settings), [with_tags.model], batch_of(theirs)
    )
    found = ours.inference_step(ours.build_generator([model], settings), [model], batch_of(ours))
    assert len(found) == 8
    for hypos, theirs_of_sentence in zip(found, expected, strict=True):
        for hypo, other in zip(hypos, theirs_of_sentence, strict=True):
            assert hypo["tokens"].tolist() == other["tokens"].tolist()
            torch.testing.assert_close(hypo["positional_scores"], other["positional_scores"], **CLOSE)


def test_greedy_decoding_starts_as_huggingface_s_with_the_target_language(published, huggingface):
    """The first decoder token is [zh_CN], not EOS (fairseq's issue 1924)."""
    dictionary = published.dictionary
    chinese = dictionary.index("[zh_CN]")
    source, _ = pair(dictionary)
    settings = GenerationConfig(
        max_new_tokens=9,
        num_beams=1,
        do_sample=False,
        decoder_start_token_id=chinese,
        eos_token_id=2,
        pad_token_id=1,
    )
    expected = huggingface.generate(source, generation_config=settings)[0].tolist()
    model, _ = start(published)
    tokens = [chinese]
    for _ in expected[1:]:
        logits, _ = model(source, torch.tensor([source.numel()]), torch.tensor([tokens]))
        tokens.append(int(logits[0, -1, : len(dictionary)].argmax()))
    assert tokens == expected


def test_the_source_ends_with_its_language_behind_eos_and_keeps_its_tag_when_cut(with_tags):
    task = our_task(with_tags, max_source_positions=6)
    tokens = batch_of(task)["net_input"]["src_tokens"][0].tolist()
    symbols = [task.dictionary.symbols[i] for i in tokens]
    assert symbols[0] == "<cls>" and symbols[-2:] == ["</s>", "[en_XX]"]
    assert len(symbols) == 6


def test_interactive_lines_are_marked_like_binarised_ones(with_tags):
    task = our_task(with_tags)
    text = (with_tags.folder / "test.en").read_text(encoding="utf-8").splitlines()[0]
    line = task.dictionary.encode_line(text, add_if_not_exist=False).long()
    found = task.build_dataset_for_inference([line], [len(line)])[0]["source"]
    task.load_dataset("test")
    assert torch.equal(found, task.dataset("test")[0]["source"])


def test_outputs_and_references_show_neither_language_nor_end(with_tags):
    task = our_task(with_tags)
    generator = task.build_generator([build(with_tags, task.dictionary)[0]], Namespace(beam=1))
    hidden = generator.symbols_to_strip_from_output
    target = batch_of(task)["target"][0]
    text = task.dictionary.string(target[target.ne(1)], extra_symbols_to_ignore=hidden)
    assert "[zh_CN]" not in text and "</s>" not in text and text


# ---- languages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "code"), [("en", "en_XX"), ("en_sum", "en_XX"), ("zh", "zh_CN"), ("zh_CN", "zh_CN")]
)
def test_a_file_suffix_finds_its_language_by_itself(suffix, code):
    assert Languages.parse("mbart25").of(suffix) == code


def test_a_suffix_can_be_given_its_language():
    assert Languages.parse("mbart25", "yue=zh_CN,en=en_XX").of("yue") == "zh_CN"


def test_mbart25_has_the_symbols_of_mbart_large_cc25_in_its_order():
    """250,027 symbols: 250,001 of the dictionary, 25 languages, mask (HuggingFace's vocab_size)."""
    symbols = Languages.parse("mbart25").symbols
    assert len(symbols) == 26 and 250_001 + len(symbols) == 250_027
    assert symbols[0] == "[ar_AR]" and symbols[3] == "[en_XX]" and symbols[-2:] == ["[zh_CN]", "<mask>"]
    assert sorted(symbols[:-1]) == symbols[:-1]


@pytest.mark.parametrize(
    ("langs", "codes", "part"),
    [
        ("en_XX,en_XX", None, "each language once"),
        ("en_XX", "zh=zh_CN", "'zh=zh_CN'"),
        (None, "zh=zh_CN", "needs --langs"),
    ],
)
def test_languages_that_make_no_sense_are_refused(langs, codes, part):
    with pytest.raises(UserError, match=part):
        Languages.parse(langs, codes)


@pytest.mark.parametrize("suffix", ["sw", "zh"])
def test_a_suffix_without_one_fitting_language_asks_for_it(suffix):
    with pytest.raises(UserError, match=f"--lang-codes {suffix}=CODE"):
        Languages.parse("en_XX,zh_CN,zh_TW").of(suffix)


def test_marks_can_be_replaced_in_place(published):
    dictionary = marked(published, languages="")
    texts = dictionary.text_symbols
    dictionary.mark(Languages.parse(mbart.LANGS))
    assert dictionary.symbols[texts:] == ["[de_DE]", "[en_XX]", "[zh_CN]", "<mask>", *mbart.TAGS]
    assert all(dictionary.index(symbol) == i for i, symbol in enumerate(dictionary.symbols))


# ---- initialisation ----------------------------------------------------------------------------


def test_latents_and_tags_are_new_and_all_else_is_loaded(published):
    model, report = start(published, LATENTS)
    own = {n for n, _ in model.named_parameters()}
    new = {n for n in report.new if "rows" not in n}
    assert new == {n for n in own if ".hierarchy." in n or ".fusion." in n}
    assert not report.left_out
    assert own - new <= set(report.loaded)
    for name, value in published.model.state_dict().items():
        if not name.endswith("version"):
            assert torch.equal(model.state_dict()[name][: len(value)], value), name
    counted = f"{len(report.loaded)} parameters loaded, {len(report.new)} new, 0 left out"
    assert report.summary().endswith(counted)


def test_every_parameter_of_a_decoder_a_task_starts_from_the_one_decoder(published):
    model, report = start(published, decoders="task")
    trained = published.model.state_dict()["decoder.layers.1.fc1.weight"]
    for task in ("cls", "mt", "ms"):
        assert torch.equal(model.decoder.decoders[task].layers[1].fc1.weight, trained)
        assert model.decoder.decoders[task].layer_norm is not None
    assert not any("layers" in name for name in report.new)


@pytest.mark.parametrize("decoders", ["shared", "task"])
def test_a_checkpoint_without_fairseq_s_version_marks_keeps_the_final_norms(published, tmp_path, decoders):
    """fairseq takes it for one from before there were any, and would drop them without a word."""
    state = torch.load(published.checkpoint, weights_only=True)
    state["model"] = {n: v for n, v in state["model"].items() if not n.endswith("version")}
    torch.save(state, tmp_path / "model.pt")
    model, _ = start(published, checkpoint=tmp_path / "model.pt", decoders=decoders)
    norm = published.model.decoder.layer_norm.weight
    assert all(torch.equal(decoder.layer_norm.weight, norm) for decoder in model.decoders)
    assert torch.equal(model.encoder.layer_norm.weight, published.model.encoder.layer_norm.weight)


def test_an_own_checkpoint_is_loaded_with_its_latents_and_tags(published, tmp_path):
    model, _ = start(published, LATENTS)
    args = build(published, latents=LATENTS)[1]
    path = tmp_path / "own.pt"
    torch.save({"model": model.state_dict(), "cfg": {"model": args}}, path)
    again, report = start(published, LATENTS, checkpoint=path)
    assert not report.new and not report.left_out
    assert all(torch.equal(v, again.state_dict()[n]) for n, v in model.state_dict().items())


def test_fewer_positions_than_the_checkpoint_s_are_its_first_ones(published):
    model, report = start(published, max_source_positions=32)
    positions = published.model.encoder.embed_positions.weight
    assert torch.equal(model.encoder.embed_positions.weight, positions[: 32 + 2])
    assert report.left_out == ["encoder.embed_positions.weight: the last 32 rows (later positions)"]


MISMATCHES = {
    "size": ({"encoder_ffn_embed_dim": 48}, "encoder.layers.0.fc1.weight is 32 x 16 there and 48 x 16 here"),
    "depth": ({"encoder_layers": 3}, "encoder.layers.2.* is missing there"),
    "too deep": ({"encoder_layers": 1}, "encoder.layers.1.* has no place here"),
    "activation": ({"activation_fn": "relu"}, "activation_fn is gelu there and relu here"),
    "heads": ({"encoder_attention_heads": 2}, "encoder_attention_heads is 4 there and 2 here"),
    "scale": ({"no_scale_embedding": True}, "no_scale_embedding is False there and True here"),
    "positions": ({"max_target_positions": 80}, "decoder.embed_positions.weight is 66 x 16 there and 82"),
    "biases": ({"biases": "paper"}, "decoder.output_projection.bias is missing there"),
}


@pytest.mark.parametrize(("settings", "part"), MISMATCHES.values(), ids=list(MISMATCHES))
def test_another_model_than_the_checkpoint_s_is_refused_and_left_as_it_was(published, settings, part):
    model, args = build(published, **settings)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    with pytest.raises(UserError, match=part.replace("*", ".*")) as error:
        initialise(model, args, str(published.checkpoint))
    assert "--init-allow" in str(error.value) and "\n" not in str(error.value)
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())


def test_another_dictionary_is_refused_with_both_sizes(published):
    dictionary = MarkedDictionary.load(str(published.dict))
    dictionary.mark(None)
    model, args = build(published, dictionary)
    with pytest.raises(UserError, match="embed_tokens.weight is 245 x 16 there and 244 x 16 here, 3 tags"):
        initialise(model, args, str(published.checkpoint))


def test_what_the_user_names_may_differ(published):
    allowed = ["encoder.layers.2.*", "activation_fn"]
    model, report = start(published, allowed=allowed, encoder_layers=3, activation_fn="relu")
    assert all("encoder.layers.2." in n or "rows" in n or "activation_fn" in n for n in report.new)
    assert torch.equal(model.encoder.layers[1].fc1.weight, published.model.encoder.layers[1].fc1.weight)


def test_what_is_allowed_and_has_no_place_is_left_out(published):
    _, report = start(published, allowed=["encoder.layers.1.*"], encoder_layers=1)
    assert report.left_out and all(n.startswith("encoder.layers.1.") for n in report.left_out)


def test_a_file_that_is_no_checkpoint_is_refused(published, tmp_path):
    model, args = build(published)
    other = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(3)}, other)
    for path, part in ((other, "holds no 'model'"), (tmp_path / "none.pt", "missing")):
        with pytest.raises(UserError, match=part):
            initialise(model, args, str(path))


def test_a_checkpoint_that_would_run_code_is_refused(published, tmp_path):
    model, args = build(published)
    path = tmp_path / "evil.pt"
    torch.save({"model": {}, "args": tiny.SimpleNamespace(x=print)}, path)
    with pytest.raises(UserError, match="more than weights and settings"):
        initialise(model, args, str(path))


def test_init_allow_without_init_from_is_refused(published):
    with pytest.raises(UserError, match="needs --init-from"):
        build(published, init_allow="*")


# ---- size --------------------------------------------------------------------------------------


def test_the_architecture_has_the_parameters_of_mbart_large_cc25():
    """610,851,840 at 250,027 symbols: what HuggingFace's facebook/mbart-large-cc25 counts."""
    assert MBART25.count(",") == 24
    symbols = 250_027
    args = Namespace(latents="none", max_source_positions=1024, max_target_positions=1024)
    vhm_mbart_large(args)
    dictionary = _Symbols(symbols)
    with torch.device("meta"):
        task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
        model = VHMTransformerModel.build_model(args, task)
        theirs = MBartForConditionalGeneration(
            MBartConfig(vocab_size=symbols, max_position_embeddings=1024, scale_embedding=True)
        )
    theirs.tie_weights()
    assert sum(p.numel() for p in model.parameters()) == 610_851_840
    assert sum(p.numel() for p in theirs.parameters()) == 610_851_840


class _Symbols(Dictionary):
    """A dictionary of many symbols that need no names."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def __len__(self) -> int:
        return self.size
