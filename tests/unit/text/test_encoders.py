"""Encoders of local folders: their vectors, batches, memory and cache, and what they refuse."""

import json
import shutil
import socket
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import tiny_encoders

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.embedding_cache import RecentArrays
from fairseq_vhm.text.encoders import SentenceEncoder, TokenEncoder
from fairseq_vhm.text.pretrained import choose_device

TEXTS = [
    "the court opened on monday",
    "rain",
    "",
    "a cat sat here.\nthe mat",
    "法院今天开庭",
    "zoo <unk> 😀 !?",
    "the court opened on monday",
    "a " * 60,
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny_encoders.bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    return tiny_encoders.roberta(tmp_path_factory.mktemp("models") / "tiny-roberta")


@pytest.fixture(scope="module")
def labse(tmp_path_factory):
    return tiny_encoders.sentence_transformer(tmp_path_factory.mktemp("models") / "tiny-labse")


@pytest.fixture
def copy(tmp_path):
    """A copy of a model's folder, to be broken."""

    def copied(folder):
        return shutil.copytree(folder, tmp_path / folder.name)

    return copied


class Seen:
    """A ``track`` that keeps the batches that it was shown."""

    def __init__(self):
        self.texts = []

    def __call__(self, batches):
        for batch in batches:
            self.texts += batch
            yield batch


def test_sentence_vectors_are_the_librarys_and_of_unit_length(labse):
    from sentence_transformers import SentenceTransformer

    vectors = SentenceEncoder(labse, "cpu").encode(TEXTS)
    library = SentenceTransformer(str(labse), device="cpu")
    expected = np.stack([library.encode(text) for text in TEXTS])
    assert vectors == pytest.approx(expected, abs=1e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


@pytest.mark.parametrize("layer", range(tiny_encoders.LAYERS + 1))
def test_token_vectors_are_those_of_the_model_on_each_text_alone(bert, layer):
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(bert).eval(), AutoTokenizer.from_pretrained(bert)
    for text, vectors in zip(TEXTS, TokenEncoder(bert, "cpu", 3).embed(TEXTS, layer), strict=True):
        inputs = tokenizer(text, truncation=True, return_tensors="pt")
        with torch.no_grad():
            expected = model(**inputs, output_hidden_states=True).hidden_states[layer][0]
        assert vectors == pytest.approx(expected.numpy(), abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_a_vector_does_not_depend_on_its_batch_or_order(bert, roberta, labse, batch_size):
    sentences = SentenceEncoder(labse, "cpu", 3).encode(TEXTS)
    other = SentenceEncoder(labse, "cpu", batch_size).encode(TEXTS[::-1])[::-1]
    assert other == pytest.approx(sentences, abs=1e-5)
    for folder in (bert, roberta):
        tokens = TokenEncoder(folder, "cpu", 3).embed(TEXTS, 2)
        others = TokenEncoder(folder, "cpu", batch_size).embed(TEXTS[::-1], 2)[::-1]
        for one, two in zip(tokens, others, strict=True):
            assert one == pytest.approx(two, abs=1e-5)


def test_each_text_is_encoded_once_by_an_encoder(bert, labse):
    for encode in (SentenceEncoder(labse, "cpu").encode, partial(TokenEncoder(bert, "cpu").embed, layer=1)):
        first, again = Seen(), Seen()
        encode(TEXTS, track=first)
        encode(TEXTS[::-1], track=again)
        assert sorted(first.texts) == sorted(set(TEXTS)) and again.texts == []


def test_pairs_come_each_once_with_the_vectors_of_their_texts(bert, monkeypatch):
    monkeypatch.setattr("fairseq_vhm.text.encoders.PAIRS_HELD", 2)
    pairs = [(one, two) for one in TEXTS for two in TEXTS[:3]]
    encoder = TokenEncoder(bert, "cpu")
    expected = dict(zip(TEXTS, TokenEncoder(bert, "cpu").embed(TEXTS, 3), strict=True))
    places = []
    for place, *vectors in encoder.embed_pairs(pairs, 3):
        places.append(place)
        for text, states in zip(pairs[place], vectors, strict=True):
            assert states == pytest.approx(expected[text], abs=1e-5)
    assert sorted(places) == list(range(len(pairs)))


def test_tokens_are_cut_at_the_encoders_positions_and_that_is_counted(bert, roberta, labse):
    for folder in (bert, roberta):
        encoder = TokenEncoder(folder, "cpu")
        assert encoder.max_length == tiny_encoders.POSITIONS
        tokens = encoder.tokenize(TEXTS)
        assert [text.cut for text in tokens] == [False] * 7 + [True]
        vectors = encoder.embed(TEXTS, 1)
        assert [len(text.ids) for text in tokens] == [len(states) for states in vectors]
        assert len(vectors[-1]) == tiny_encoders.POSITIONS
    assert SentenceEncoder(labse, "cpu").cut(TEXTS) == 1


def test_an_empty_text_has_special_tokens_only(bert, roberta):
    for folder in (bert, roberta):
        empty, blank, full = TokenEncoder(folder, "cpu").tokenize(["", " \n", "cat"])
        assert empty.special.all() and blank.special.all() and not full.special.all()


def test_bytes_of_a_first_word_are_read_as_those_of_any_other_word(roberta):
    (tokens,) = TokenEncoder(roberta, "cpu").tokenize(["court opened court"])
    first, _, last = tokens.ids[1:-1]
    assert first == last


def test_the_cache_on_disk_gives_the_same_vectors_without_encoding(labse, tmp_path):
    cache = tmp_path / "cache"
    first = SentenceEncoder(labse, "cpu", cache=cache).encode(TEXTS)
    seen = Seen()
    again = SentenceEncoder(labse, "cpu", cache=cache).encode(TEXTS, seen)
    assert seen.texts == [] and np.array_equal(again, first)


@pytest.mark.parametrize("damage", [b"", b"short", None], ids=["empty", "cut", "one bit"])
def test_a_damaged_entry_of_the_cache_is_computed_again_and_mended(labse, tmp_path, damage):
    cache = tmp_path / "cache"
    first = SentenceEncoder(labse, "cpu", cache=cache).encode(["the cat"])
    (entry,) = (path for path in cache.rglob("*") if path.is_file())
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    seen = Seen()
    again = SentenceEncoder(labse, "cpu", cache=cache).encode(["the cat"], seen)
    assert seen.texts == ["the cat"] and again == pytest.approx(first, abs=1e-6)
    assert len(entry.read_bytes()) == len(whole)


def test_the_cache_is_not_shared_by_models_of_other_weights_or_settings(labse, tmp_path, copy):
    cache, seen = tmp_path / "cache", Seen()
    SentenceEncoder(labse, "cpu", cache=cache).encode(["the cat"])
    shorter = copy(labse)
    settings = {"max_seq_length": 4, "do_lower_case": False}
    (shorter / "sentence_bert_config.json").write_text(json.dumps(settings))
    SentenceEncoder(shorter, "cpu", cache=cache).encode(["the cat"], seen)
    other = tiny_encoders.sentence_transformer(tmp_path / "other" / labse.name, seed=1)
    SentenceEncoder(other, "cpu", cache=cache).encode(["the cat"], seen)
    assert seen.texts == ["the cat", "the cat"]


def test_identity_is_the_folders_name_and_changes_with_the_weights_alone(bert, tmp_path, copy):
    name, _, digest = TokenEncoder(bert).identity.partition("@")
    assert name == "tiny-bert" and len(digest) == 8
    moved = copy(bert)
    (moved / "README.md").write_text("notes")
    assert TokenEncoder(moved).identity == f"tiny-bert@{digest}"
    other = tiny_encoders.bert(tmp_path / "other" / "tiny-bert", seed=1)
    assert TokenEncoder(other).identity != f"tiny-bert@{digest}"


def test_recent_arrays_stay_within_their_limit_and_drop_the_oldest():
    kept = RecentArrays(limit=3 * 80)
    for key in "abc":
        kept.put(key, np.zeros(10))
    kept.get("a")
    kept.put("d", np.zeros(10))
    assert kept.get("b") is None
    assert all(kept.get(key) is not None for key in "acd")


def test_an_array_put_twice_takes_its_room_once():
    kept = RecentArrays(limit=2 * 80)
    for key in "abbb":
        kept.put(key, np.zeros(10))
    assert kept.get("a") is not None and kept.get("b") is not None


def test_loading_and_encoding_print_nothing_and_need_no_network(bert, labse, monkeypatch, capfd):
    def refuse(*arguments, **settings):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    SentenceEncoder(labse, "cpu").encode(TEXTS)
    TokenEncoder(bert, "cpu").embed(TEXTS, 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda labse, bert: SentenceEncoder(labse / "none"), ["--labse", "no such folder", "LaBSE"]),
        (lambda labse, bert: SentenceEncoder(bert), ["--labse", "modules.json"]),
        (lambda labse, bert: TokenEncoder(bert / "config.json"), ["--encoder", "config.json"]),
        (lambda labse, bert: TokenEncoder(bert, layer=4), ["--encoder-layer 4", "layers 0 to 3"]),
        (lambda labse, bert: TokenEncoder(bert, layer=-1), ["--encoder-layer -1", "layers 0 to 3"]),
        (lambda labse, bert: TokenEncoder(bert, batch_size=0), ["--batch-size 0"]),
        (lambda labse, bert: SentenceEncoder(labse, cache=bert / "config.json"), ["--cache"]),
        (lambda labse, bert: SentenceEncoder(labse, cache=bert / "none" / "none"), ["--cache"]),
        (lambda labse, bert: choose_device("gpu"), ["--device gpu", "auto, cpu, cuda"]),
    ],
)
def test_what_cannot_be_used_is_refused_at_once_in_one_line(labse, bert, make, names):
    with pytest.raises(UserError) as refused:
        make(labse, bert)
    message = str(refused.value)
    assert all(name in message for name in names) and "\n" not in message


def test_a_gpu_that_is_not_there_is_refused(bert):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="--device cuda: .*no GPU"):
        TokenEncoder(bert, "cuda")


def test_a_folder_without_weights_or_with_broken_ones_is_refused(bert, labse, copy):
    broken = copy(bert)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot load it; download the folder again"):
        TokenEncoder(broken, "cpu").embed(["a"], 1)
    weights.unlink()
    with pytest.raises(UserError, match="--encoder .*config.json, weights, tokenizer"):
        TokenEncoder(broken, "cpu")
    broken = copy(labse)
    (broken / "modules.json").write_text("[{}]")
    with pytest.raises(UserError, match="cannot load it"):
        SentenceEncoder(broken, "cpu").encode(["a"])


def test_weights_that_do_not_fill_the_model_are_refused_not_drawn_at_random(bert, copy):
    from safetensors.numpy import load_file, save_file

    broken = copy(bert)
    kept = load_file(broken / "model.safetensors")
    lost = next(name for name in kept if "layer.1" in name)
    del kept[lost]
    save_file(kept, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="its weights lack .*layer.1"):
        TokenEncoder(broken, "cpu").embed(["a"], 1)


def test_a_missing_package_is_named_with_how_to_install_it(bert, labse, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match="sentence_transformers.*pip install 'fairseq-vhm"):
        SentenceEncoder(labse, "cpu").encode(["a"])


def test_importing_the_metrics_loads_no_heavy_package():
    metrics = ("lase", "moverscore", "bertscore", "offtarget")
    program = "; ".join(
        ["import sys; sys.argv = ['vhm']"]
        + [f"import fairseq_vhm.metrics.{name}" for name in metrics]
        + ["print(*sys.modules)"]
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {
        "torch",
        "transformers",
        "sentence_transformers",
        "bert_score",
        "ot",
        "scipy",
        "fasttext",
        "jieba",
    }
    assert not heavy & set(loaded.stdout.split())
