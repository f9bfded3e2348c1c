"""vhm trim: what stays, that scores and segmentation stay with it, and what is refused."""

import json
import shutil
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mbart
import numpy as np
import pytest
import sentencepiece
import tiny
import torch
from fairseq.data import Dictionary

from fairseq_vhm.data.languages import Languages, MarkedDictionary
from fairseq_vhm.errors import UserError
from fairseq_vhm.models import VHMTransformerModel
from fairseq_vhm.models.architectures import vhm_mbart_large
from fairseq_vhm.models.initialisation import initialise
from fairseq_vhm.text.subword import SubwordSegmenter, train_model
from fairseq_vhm.text.trimming import pieces_to_keep, read_model, trim_model
from fairseq_vhm.trimming import Request, trim


def write(path: Path, lines) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> mbart.Published:
    return mbart.publish(tmp_path_factory.mktemp("mbart"))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("corpora")
    return tuple(write(folder / f"train.{s}", lines) for s, lines in mbart.texts(5, 60).items())


def request(published, corpora, out: Path, **settings) -> Request:
    files = {"checkpoint": published.checkpoint, "dictionary": published.dict, "spm": published.spm}
    return Request(out=out, texts=corpora, **{**files, **settings})


@pytest.fixture(scope="module")
def trimmed(published, corpora, tmp_path_factory) -> Path:
    """Trimmed to the used pieces alone."""
    out = tmp_path_factory.mktemp("trimmed") / "out"
    trim(request(published, corpora, out, keep_characters=False))
    return out


def load_model(checkpoint: Path, dictionary: Path) -> tuple[VHMTransformerModel, MarkedDictionary]:
    marked = MarkedDictionary.load(str(dictionary))
    marked.mark(Languages.parse(mbart.LANGS))
    args = Namespace(**{**mbart.SHAPE, "latents": "none"})
    vhm_mbart_large(args)
    task = SimpleNamespace(source_dictionary=marked, target_dictionary=marked)
    model = VHMTransformerModel.build_model(args, task).eval()
    initialise(model, args, str(checkpoint))
    return model, marked


# ---- what stays --------------------------------------------------------------------------------


def test_special_symbols_used_pieces_languages_and_mask_stay_in_their_order(published, trimmed, corpora):
    kept = mbart.make_dictionary(Dictionary.load(str(trimmed / "dict.txt")).symbols[4:]).symbols
    old = published.dictionary.symbols
    assert kept[:4] == old[:4] and kept[-4:] == ["[de_DE]", "[en_XX]", "[zh_CN]", "<mask>"]
    assert [s for s in old if s in set(kept)] == kept
    processor = sentencepiece.SentencePieceProcessor(model_file=str(published.spm))
    lines = [line for path in corpora for line in path.read_text(encoding="utf-8").splitlines()]
    used = {piece for line in lines for piece in processor.encode(line, out_type=str)}
    assert used <= set(kept)
    assert len(kept) <= len(used) + 4 + 4 + 2  # special, languages and mask, dearest and cheapest piece
    assert len(kept) < len(old) - 30


def test_rows_are_those_of_the_same_symbols(published, trimmed):
    new = mbart.make_dictionary(Dictionary.load(str(trimmed / "dict.txt")).symbols[4:])
    weights, old = read(trimmed / "model.pt")["model"], published.model.state_dict()
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        assert len(weights[name]) == len(new)
        for row, symbol in enumerate(new.symbols):
            assert torch.equal(weights[name][row], old[name][published.dictionary.index(symbol)]), symbol
    for name, value in weights.items():
        assert "embed_tokens" in name or torch.equal(value, old[name])


def test_tables_that_were_one_stay_one_on_disk(published, trimmed):
    weights = read(trimmed / "model.pt")["model"]
    tables = [weights[f"{side}.embed_tokens.weight"] for side in ("encoder", "decoder")]
    assert tables[0].data_ptr() == tables[1].data_ptr()
    rows = published.model.encoder.embed_tokens.num_embeddings - len(tables[0])
    figures = json.loads((trimmed / "trim.json").read_text())
    width = mbart.SHAPE["encoder_embed_dim"]
    assert figures["before"]["parameters"] - figures["after"]["parameters"] == rows * width


def test_memory_is_four_bytes_a_parameter_and_four_times_that_with_adam(trimmed):
    for size in json.loads((trimmed / "trim.json").read_text()).values():
        memory = size["mib"]
        assert memory["weights"] == size["parameters"] * 4 / 2**20
        assert memory["weights, gradients, Adam"] == size["parameters"] * 16 / 2**20
        assert memory["logits of 1,000 target tokens"] == size["symbols"] * 4000 / 2**20


def test_dictionary_and_sentencepiece_model_have_the_same_pieces(trimmed):
    symbols = set(Dictionary.load(str(trimmed / "dict.txt")).symbols[4:])
    assert set(mbart.pieces(trimmed / "spm.model")) == symbols


def test_characters_stay_by_default_so_that_other_texts_meet_no_unknown_one(published, corpora, tmp_path):
    trim(request(published, corpora, tmp_path / "out"))
    segmenter = SubwordSegmenter(tmp_path / "out" / "spm.model")
    known = set(segmenter.vocabulary())
    for line in mbart.german(8, 20):
        assert set(segmenter.encode(line, "de").split()) <= known
    assert {s for s in mbart.pieces(published.spm) if len(s) == 1} <= known


def test_the_optimizer_s_state_is_left_out_and_settings_stay(published, trimmed):
    before, after = read(published.checkpoint), read(trimmed / "model.pt")
    assert after["last_optimizer_state"] is None
    assert after["args"] == before["args"] and after["extra_state"] == before["extra_state"]


# ---- what does not change ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("keep_characters", [True, False])
def test_texts_inside_the_vocabulary_are_segmented_as_before(tmp_path, kind, keep_characters):
    """Also texts that were not counted, as long as the old model needs kept pieces alone."""
    spm = mbart.train_spm(tmp_path / "spm.model", model_type=kind)
    segmenter, model = SubwordSegmenter(spm), read_model(spm)
    counted = [line for part in mbart.texts(5, 12).values() for line in part]
    used = {piece for line in counted for piece in segmenter.encode(line, "").split()}
    kept = pieces_to_keep(model, used, keep_characters)
    (tmp_path / "small.model").write_bytes(trim_model(model, kept))
    small = SubwordSegmenter(tmp_path / "small.model")
    assert all(segmenter.encode(line, "") == small.encode(line, "") for line in counted)
    others = [segmenter.encode(line, "") for part in mbart.texts(6, 400).values() for line in part]
    inside = [line for line in others if set(line.split()) <= kept]
    assert len(inside) > 20
    texts = [segmenter.decode(line, "") for line in inside]
    assert [small.encode(text, "") for text in texts] == inside


def test_unknown_characters_cost_what_they_did(tmp_path):
    """Without the piece of the lowest score a cheaper <unk> would win over known pieces."""
    spm = mbart.train_spm(tmp_path / "spm.model")
    segmenter, model = SubwordSegmenter(spm), read_model(spm)
    lines = ["the river §crossed¶ the valley", "a storm ¶¶ left"]
    used = {piece for line in lines for piece in segmenter.encode(line, "").split()}
    (tmp_path / "small.model").write_bytes(trim_model(model, pieces_to_keep(model, used, False)))
    small = SubwordSegmenter(tmp_path / "small.model")
    assert [small.encode(line, "") for line in lines] == [segmenter.encode(line, "") for line in lines]
    scores = [
        min(p.score for p in read_model(path).pieces if p.type == p.NORMAL)
        for path in (spm, tmp_path / "small.model")
    ]
    assert scores[0] == scores[1]


def test_byte_pieces_stay(tmp_path):
    text = iter(["the river rose", "a storm left the valley"] * 30)
    path = tmp_path / "spm.model"
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=text, model_writer=file, vocab_size=276, byte_fallback=True, minloglevel=2
        )
    model = read_model(path)
    kept = pieces_to_keep(model, {"▁the"}, keep_characters=False)
    assert {f"<0x{byte:02X}>" for byte in range(256)} | {"<unk>", "<s>", "</s>"} <= kept


def test_logits_of_kept_symbols_are_those_of_before(published, trimmed, corpora):
    (before, old), (after, new) = (
        load_model(*files)
        for files in ((published.checkpoint, published.dict), (trimmed / "model.pt", trimmed / "dict.txt"))
    )
    segmenter = SubwordSegmenter(trimmed / "spm.model")
    rows = [old.index(symbol) for symbol in new.symbols[: -len(mbart.TAGS)]]
    for path in corpora:
        symbols = segmenter.encode(path.read_text(encoding="utf-8").splitlines()[0], "")
        logits = []
        for model, dictionary in ((before, old), (after, new)):
            text = dictionary.encode_line(symbols, add_if_not_exist=False).long()
            source = torch.cat([text, torch.tensor([dictionary.index("[en_XX]")])]).unsqueeze(0)
            target = torch.tensor([[dictionary.index("[zh_CN]"), *text.tolist()]])
            logits.append(model(source, torch.tensor([source.numel()]), target)[0])
        torch.testing.assert_close(logits[1][..., : len(rows)], logits[0][..., rows])


def test_mbart_s_own_normalisation_is_kept(published):
    """As SentencePiece's own encoder: an ideographic blank is a blank, not an unknown character."""
    segmenter = SubwordSegmenter(published.spm)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(published.spm))
    for text in ("河水\u3000村庄。", "the ﬁeld\u00a0left", "Ａ storm"):
        assert segmenter.encode(text, "zh").split(" ") == processor.encode(text, out_type=str)


def test_a_model_of_vhm_prepare_still_gives_every_blank_back(tmp_path):
    (tmp_path / "spm.model").write_bytes(train_model(["the river rose"] * 40, 14, 1.0))
    segmenter = SubwordSegmenter(tmp_path / "spm.model")
    text = "the\u3000river\u00a0 rose"
    assert segmenter.decode(segmenter.encode(text, "en"), "en") == text


# ---- other checkpoints -------------------------------------------------------------------------


SHARING = {
    "output bias": {},
    "one table": {"share_all_embeddings": True, "biases": "fairseq"},
    "three tables": {"share_encoder_decoder_embeddings": False},
}


@pytest.mark.parametrize("sharing", SHARING.values(), ids=list(SHARING))
def test_an_own_checkpoint_keeps_its_tags_and_scores(tmp_path, sharing):
    """Segmented texts, an output bias, a table for each side: what vhm_transformer has."""
    dictionary = tiny.make_dictionary()
    model = tiny.make_model(dictionary, **sharing).eval()
    if (bias := model.decoder.output_projection.bias) is not None:
        bias.data.normal_()
    plain = Dictionary()
    for word in tiny.WORDS:
        plain.add_symbol(word)
    plain.save(str(tmp_path / "dict.txt"))
    args = Namespace(task="cross_lingual_summarization", langs=None)
    torch.save({"model": model.state_dict(), "args": args}, tmp_path / "model.pt")
    text = write(tmp_path / "text", ["w3 w7 w9", "w20 w7"])
    out = tmp_path / "out"
    files = (tmp_path / "model.pt", tmp_path / "dict.txt", out)
    figures = trim(Request(*files, texts=(text,), keep_characters=False))
    small = tiny.make_dictionary(["w3", "w7", "w9", "w20"])
    assert Dictionary.load(str(out / "dict.txt")).symbols == small.symbols[:-3]
    again = tiny.make_model(small, seed=2, **sharing).eval()
    again.load_state_dict(read(out / "model.pt")["model"])
    counts = [sum(parameter.numel() for parameter in net.parameters()) for net in (model, again)]
    assert [figures.before.parameters, figures.after.parameters] == counts
    assert [row[0] for row in figures.table().rows[:2]] == ["symbols", "parameters"]  # and no pieces
    logits = []
    for net, symbols in ((model, dictionary), (again, small)):
        source = symbols.encode_line("<cls> w3 w20 w7", add_if_not_exist=False).long().unsqueeze(0)
        target = symbols.encode_line("w9 w3", add_if_not_exist=False).long().unsqueeze(0)
        logits.append(net(source, torch.tensor([5]), target)[0])
    rows = [dictionary.index(symbol) for symbol in small.symbols]
    torch.testing.assert_close(logits[1], logits[0][..., rows])


def test_tables_that_a_gpu_s_checkpoint_has_for_each_name_count_once(published, trimmed, corpora, tmp_path):
    """fairseq copies a model from a GPU name by name; mbart.cc25 was saved so."""
    state = read(published.checkpoint)
    state["model"] = {name: value.clone() for name, value in state["model"].items()}
    torch.save(state, tmp_path / "model.pt")
    asked = request(published, corpora, tmp_path / "out", checkpoint=tmp_path / "model.pt")
    figures = trim(replace(asked, keep_characters=False))
    assert figures.as_json() == json.loads((trimmed / "trim.json").read_text())


def test_languages_that_stand_in_the_dictionary_itself_stay(published, corpora, tmp_path):
    """As users write them into dict.txt (fairseq's issue 1758)."""
    marks = published.dictionary.symbols[-4:]
    with_marks = tmp_path / "dict.txt"
    text = published.dict.read_text(encoding="utf-8")
    with_marks.write_text(text + "".join(f"{mark} 1\n" for mark in marks), encoding="utf-8")
    trim(request(published, corpora, tmp_path / "out", dictionary=with_marks, keep_characters=False))
    kept = Dictionary.load(str(tmp_path / "out" / "dict.txt")).symbols
    assert kept[-4:] == marks
    rows = read(tmp_path / "out" / "model.pt")["model"]["encoder.embed_tokens.weight"]
    assert len(rows) == len(kept)


def test_binarised_data_say_what_is_needed(toy_data, tmp_path):
    dictionary = Dictionary.load(str(toy_data / "cls" / "dict.en.txt"))
    words = {w for f in (toy_data.parent / "text").rglob("*.*") for w in f.read_text().split()}
    weights = {"encoder.embed_tokens.weight": torch.randn(len(dictionary), 4)}
    torch.save({"model": weights, "args": Namespace(task="translation")}, tmp_path / "model.pt")
    files = (tmp_path / "model.pt", toy_data / "cls" / "dict.en.txt")
    trim(Request(*files, tmp_path / "out", data=(toy_data,), keep_characters=False))
    assert set(Dictionary.load(str(tmp_path / "out" / "dict.txt")).symbols[4:]) == words


@pytest.fixture
def of_data(toy_data, tmp_path):
    """A checkpoint for the words of the toy corpus, asked to be trimmed to a copy of one of its folders."""
    dictionary = toy_data / "cls" / "dict.en.txt"
    weights = {"encoder.embed_tokens.weight": torch.randn(len(Dictionary.load(str(dictionary))), 4)}
    torch.save({"model": weights, "args": Namespace(task="translation")}, tmp_path / "model.pt")
    shutil.copytree(toy_data / "cls", tmp_path / "data")
    return Request(tmp_path / "model.pt", dictionary, tmp_path / "out", data=(tmp_path / "data",))


def test_data_of_another_dictionary_or_of_none_are_refused(of_data, tmp_path):
    (tmp_path / "data" / "dict.zh.txt").write_text("w1 1\n")
    with pytest.raises(UserError, match=r"--data .*dict.zh.txt is another dictionary than .*dict.en.txt"):
        trim(of_data)
    for path in (tmp_path / "data").glob("dict.*"):
        path.unlink()
    with pytest.raises(UserError, match="holds no texts and dictionaries"):
        trim(of_data)
    assert not (tmp_path / "out").exists()


def test_data_that_cannot_be_counted_are_refused(of_data, tmp_path):
    """Ids beyond the dictionary, which another one had; fairseq's other formats."""
    path = next((tmp_path / "data").glob("train.*.en.bin"))
    ids = np.fromfile(path, dtype=np.uint16)
    ids[3] = 9999
    ids.tofile(path)
    with pytest.raises(UserError, match="train.en-zh.en.idx has symbols that its dictionary lacks"):
        trim(of_data)
    path.with_suffix(".idx").write_bytes(b"TNTIDX\0\0" + bytes(24))
    with pytest.raises(UserError, match="is not of fairseq's mmap format; give --text instead"):
        trim(of_data)
    assert not (tmp_path / "out").exists()


# ---- what is refused ---------------------------------------------------------------------------


def damaged(published, tmp_path, change) -> Path:
    state = read(published.checkpoint)
    change(state)
    torch.save(state, tmp_path / "changed.pt")
    return tmp_path / "changed.pt"


CHANGES = {
    "no languages": (lambda s: setattr(s["args"], "langs", "en_XX"), "adds 2 marks"),
    "two dictionaries": (
        lambda s: s["model"].update({"decoder.embed_tokens.weight": torch.zeros(9, 16)}),
        "one joined dictionary",
    ),
    "an unknown table": (
        lambda s: s["model"].update({"decoder.pointer.weight": torch.zeros(245, 7)}),
        "decoder.pointer.weight is as long as the dictionary",
    ),
    "adaptive softmax": (
        lambda s: s["model"].update({"decoder.adaptive_softmax.head.weight": torch.zeros(3, 16)}),
        "plain embeddings",
    ),
    "no model": (lambda s: s.pop("model"), "holds no 'model'"),
}


@pytest.mark.parametrize(("change", "part"), CHANGES.values(), ids=list(CHANGES))
def test_a_checkpoint_that_is_not_understood_is_refused(published, corpora, tmp_path, change, part):
    checkpoint = damaged(published, tmp_path, change)
    with pytest.raises(UserError, match=part):
        trim(request(published, corpora, tmp_path / "out", checkpoint=checkpoint))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["changed.pt"]


def test_another_dictionary_is_refused_with_both_numbers(published, corpora, tmp_path):
    short = tmp_path / "dict.txt"
    short.write_bytes(published.dict.read_bytes().split(b"\n", 5)[5])
    with pytest.raises(UserError, match="has 245 symbols, but .* has 236 and its model adds 4 marks"):
        trim(request(published, corpora, tmp_path / "out", dictionary=short))


def test_a_segmentation_model_of_other_pieces_is_refused(published, corpora, tmp_path):
    texts = mbart.german(9, 80)
    (tmp_path / "other.model").write_bytes(train_model(texts, 36, 1.0))
    with pytest.raises(UserError, match="dict.txt and --spm .*other.model: .* are in one of the two alone"):
        trim(request(published, corpora, tmp_path / "out", spm=tmp_path / "other.model"))
    assert not (tmp_path / "out").exists()


def test_a_segmentation_model_of_other_pieces_is_refused_for_prepared_texts_too(of_data, tmp_path):
    (tmp_path / "other.model").write_bytes(train_model(mbart.german(9, 80), 36, 1.0))
    with pytest.raises(UserError, match="other.model: .* are in one of the two alone"):
        trim(replace(of_data, spm=tmp_path / "other.model"))


def test_languages_can_be_named_where_the_checkpoint_does_not_say_them(published, corpora, tmp_path):
    def forget(state):
        del state["args"].langs

    checkpoint = damaged(published, tmp_path, forget)
    with pytest.raises(UserError, match="no marks"):
        trim(request(published, corpora, tmp_path / "out", checkpoint=checkpoint))
    trim(request(published, corpora, tmp_path / "out", checkpoint=checkpoint, langs=mbart.LANGS))
    assert (tmp_path / "out" / "model.pt").exists()


def test_a_word_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="unigram and BPE models; this one is word"):
        read_model(mbart.train_spm(tmp_path / "spm.model", vocab_size=20, model_type="word"))


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"texts": ()}, "--text FILE or --data FOLDER"),
        ({"texts": (Path("no/such"),)}, "no/such: cannot be read"),
        ({"spm": Path("no/such")}, "no such SentencePiece model"),
        ({"checkpoint": Path("no/such")}, "no/such: missing file"),
        ({"data": (Path("no/such"),)}, "fairseq-preprocess"),
        ({"spm": None, "lowercase": True}, "--lowercase goes with --spm"),
    ],
)
def test_missing_files_are_named_and_nothing_is_written(published, corpora, tmp_path, settings, part):
    texts = settings.pop("texts", corpora)
    with pytest.raises(UserError, match=part):
        trim(request(published, texts, tmp_path / "out", **settings))
    assert not list(tmp_path.iterdir())


def test_a_place_in_no_folder_is_refused(published, corpora, tmp_path):
    with pytest.raises(UserError, match=f"there is no folder {tmp_path / 'a'}; create it first"):
        trim(request(published, corpora, tmp_path / "a" / "out"))


@pytest.mark.parametrize("again", ["w1 3", "w1 3 #fairseq:overwrite"])
def test_a_dictionary_with_a_symbol_twice_is_refused(published, corpora, tmp_path, again):
    dictionary = write(tmp_path / "dict.txt", ["w1 1", "w2 1", again])
    with pytest.raises(UserError, match=r"--dict .*dict.txt: (not a dictionary|a symbol stands there twice)"):
        trim(request(published, corpora, tmp_path / "out", dictionary=dictionary))


def test_a_text_that_grows_while_it_is_counted_is_noticed_and_nothing_is_written(published, tmp_path):
    """Its new line has words that were not counted, and would be segmented otherwise."""
    text = write(tmp_path / "text", ["the river left"])

    def grow(lines, _):
        yield from lines
        write(text, ["the river left", "heavy rain flooded the harbour"])

    with pytest.raises(UserError, match=f"{text}:2: would be segmented in another way"):
        trim(request(published, (text,), tmp_path / "out", keep_characters=False), grow)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_an_existing_folder_is_not_overwritten(published, corpora, trimmed):
    with pytest.raises(UserError, match="is there already"):
        trim(request(published, corpora, trimmed))
