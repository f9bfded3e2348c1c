"""Checkpoints of the released code: the converted model computes what a slow twin of theirs computes."""

import random

import pytest
import released_twin as theirs
import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary

from fairseq_vhm.conversion.convert import Conversion, convert
from fairseq_vhm.conversion.released import SPECIALS
from fairseq_vhm.conversion.vocabulary import ReleasedVocabulary
from fairseq_vhm.errors import UserError

WORDS = [f"w{i}" for i in range(30)]
TASKS = ("cls", "mt", "ms")
NOISE = 0.3
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture
def converted(tmp_path, monkeypatch):
    """A random checkpoint of the released code, converted; its twin, the model, the task, ids by theirs."""
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, NOISE))  # uniform draws of both

    def make(words=WORDS, latents=True, **how):
        checkpoint = theirs.random_checkpoint(words, **how)
        torch.save(checkpoint, tmp_path / "released.pt")
        (tmp_path / "vocab").write_text("".join(word + "\n" for word in words), encoding="utf-8")
        out = tmp_path / "out"
        convert(Conversion(tmp_path / "released.pt", (tmp_path / "vocab",), "zh", "en", out, latents))
        (model,), _, task = checkpoint_utils.load_model_ensemble_and_task(
            [str(out / "checkpoint.pt")], {"data": str(out)}
        )
        rows = ReleasedVocabulary(words).rows()
        return theirs.Twin(checkpoint["model"]), model.eval(), task, rows

    return make


def texts(seed: int, count: int, length: int) -> list[list[str]]:
    rng = random.Random(seed)
    return [[rng.choice(WORDS) for _ in range(length)] for _ in range(count)]


def their_ids(text: list[str], *before: str) -> list[int]:
    symbols = [*SPECIALS, *WORDS]
    return [symbols.index(s) for s in (*before, "<bos>", *text, "<eos>")]


def our_ids(dictionary: Dictionary, text: list[str], *before: int) -> list[int]:
    return [*before, dictionary.bos(), *map(dictionary.index, text), dictionary.eos()]


def batch(task, kind: str, sources, targets) -> dict:
    dictionary = task.dictionary
    tag = dictionary.index(f"<{kind}>")
    source = torch.tensor([our_ids(dictionary, text, tag) for text in sources])
    target = torch.tensor([our_ids(dictionary, text) for text in targets])
    lengths = torch.full((len(sources),), source.size(1))
    inputs = {"src_tokens": source, "src_lengths": lengths, "prev_output_tokens": target[:, :-1]}
    return {**inputs, "task": kind, "target": target}


def assert_same(logits, rows, expected) -> None:
    """Our log-probabilities, put in their order, are theirs."""
    ours = torch.empty_like(logits)
    ours[..., rows] = logits.log_softmax(-1)
    torch.testing.assert_close(ours, torch.stack(expected), **CLOSE)


@pytest.mark.parametrize("share", [True, False], ids=["one table", "two tables"])
@pytest.mark.parametrize("kind", TASKS)
def test_training_forward_has_their_logits_and_their_kl(converted, kind, share):
    twin, model, task, rows = converted(share=share)
    sources, targets = texts(1, 3, 8), texts(2, 3, 5)
    logits, extra = model(**batch(task, kind, sources, targets))
    expected, kls = [], []
    for source, target in zip(sources, targets, strict=True):
        ids, written = their_ids(source, f"<{kind.upper()}>"), their_ids(target)
        z, kl = twin.infer(kind, ids, written, NOISE)
        expected.append(twin.log_probs(kind, ids, written[:-1], z))
        kls.append(kl)
    assert_same(logits, rows, expected)
    torch.testing.assert_close(extra["latents"][kind].kl(), torch.stack(kls), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("noise", [None, NOISE], ids=["mean", "draw"])
@pytest.mark.parametrize("kind", TASKS)
def test_decoding_forward_has_their_logits_with_latents_from_the_priors(converted, kind, noise):
    twin, model, task, rows = converted()
    sources, targets = texts(3, 2, 6), texts(4, 2, 4)
    inputs = batch(task, kind, sources, targets)
    del inputs["target"]
    names = ("mt", "ms", "cls")
    at_quantile = torch.special.ndtri(torch.full((len(sources), theirs.LATENT_DIM), noise or 0.5))
    draws = noise and dict.fromkeys(names, at_quantile)
    logits, _ = model(**inputs, latent_noise=draws)
    expected = []
    for source, target in zip(sources, targets, strict=True):
        ids = their_ids(source, f"<{kind.upper()}>")
        z, _ = twin.infer(kind, ids, None, noise or 0.5)  # the mean of its uniform draws
        expected.append(twin.log_probs(kind, ids, their_ids(target)[:-1], z))
    assert_same(logits, rows, expected)


def test_without_latents_the_logits_are_those_of_their_beam_search(converted):
    twin, model, task, rows = converted(latents=False)
    sources, targets = texts(5, 2, 7), texts(6, 2, 5)
    inputs = batch(task, "cls", sources, targets)
    del inputs["target"]
    logits, _ = model(**inputs)
    pairs = zip(sources, targets, strict=True)
    ids = [(their_ids(source, "<CLS>"), their_ids(target)[:-1]) for source, target in pairs]
    assert_same(logits, rows, [twin.log_probs("cls", *both, None) for both in ids])


def test_padding_of_either_side_changes_no_logits(converted):
    _, model, task, _ = converted()
    source, target = texts(7, 1, 4), texts(8, 1, 3)
    alone = batch(task, "cls", source, target)
    del alone["target"]
    pad = torch.full((1, 5), task.dictionary.pad())
    expected, _ = model(**alone)
    for sides in ((pad, alone["src_tokens"]), (alone["src_tokens"], pad)):
        padded, _ = model(**{**alone, "src_tokens": torch.cat(sides, dim=1)})
        torch.testing.assert_close(padded, expected, **CLOSE)


def test_words_that_no_text_can_hold_keep_their_rows(converted):
    words = [*WORDS, "", "w3", "</s>", "<bos>", "<cls>"]
    twin, model, task, rows = converted(words=words)
    assert sorted(rows) == list(range(len(SPECIALS) + len(words)))
    assert len(task.dictionary) == len(rows)
    ids = {symbol: number for number, symbol in enumerate([*SPECIALS, *words])}  # the last one counts
    source = ["w1", "w3", "w2"]
    inputs = batch(task, "cls", [source], [source])
    logits, _ = model(**inputs)
    source_ids = [ids[s] for s in ("<CLS>", "<bos>", *source, "<eos>")]
    target_ids = [ids[s] for s in ("<bos>", *source, "<eos>")]
    z, _ = twin.infer("cls", source_ids, target_ids, NOISE)
    assert_same(logits, rows, [twin.log_probs("cls", source_ids, target_ids[:-1], z)])


def test_the_words_keep_their_order_behind_fairseqs_symbols():
    vocabulary = ReleasedVocabulary(["b", "a", "c"])
    dictionary = vocabulary.dictionary()
    assert dictionary.symbols == ["<s>", "<pad>", "</s>", "<unk>", "b", "a", "c"]
    assert vocabulary.rows() == [2, 1, 3, 0, 7, 8, 9, 6, 5, 4]  # then <cls>, <mt>, <ms>


def test_the_folder_is_data_for_generation(converted, tmp_path):
    _, _, task, _ = converted()
    out = tmp_path / "out"
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert files == ["checkpoint.pt", "cls/dict.en.txt", "cls/dict.zh.txt", "conversion.json", "dict.txt"]
    assert (task.cfg.source_lang, task.cfg.target_lang) == ("zh", "en")
    assert Dictionary.load(str(out / "dict.txt")).symbols[4:] == WORDS


@pytest.fixture
def refused(tmp_path):
    """The one line that a checkpoint is refused with; nothing is written."""

    def message(checkpoint, words=WORDS, *more: list[str]) -> str:
        path = tmp_path / "bad.pt"
        if isinstance(checkpoint, bytes):
            path.write_bytes(checkpoint)
        elif checkpoint is not None:
            torch.save(checkpoint, path)
        files = []
        for number, vocabulary in enumerate((words, *more)):
            files.append(tmp_path / f"vocab{number}")
            files[-1].write_text("".join(word + "\n" for word in vocabulary), encoding="utf-8")
        with pytest.raises(UserError) as error:
            convert(Conversion(path, tuple(files), "zh", "en", tmp_path / "out"))
        assert not (tmp_path / "out").exists()
        assert "\n" not in str(error.value)
        return str(error.value)

    return message


class Hostile:
    def __reduce__(self):
        return print, ("run",)


def changed(**weights) -> dict:
    """A checkpoint with some weights replaced, or left out where ``None`` is given; dots are ``__``."""
    checkpoint = theirs.random_checkpoint(WORDS)
    for name, value in weights.items():
        checkpoint["model"].pop(name.replace("__", "."), None)
        if value is not None:
            checkpoint["model"][name.replace("__", ".")] = value
    return checkpoint


def test_files_that_are_none_of_theirs_are_refused_in_one_line(refused, tmp_path):
    assert "bad.pt: missing" in refused(None)
    assert "bad.pt: " in refused(b"no checkpoint")
    torch.save(theirs.random_checkpoint(WORDS), tmp_path / "whole.pt")
    assert "cut short" in refused((tmp_path / "whole.pt").read_bytes()[:5000])
    assert "holds more than weights and settings" in refused({**changed(), "opt": Hostile()})
    assert "not a checkpoint of VHM's released code" in refused({"model": {}, "cfg": {}})
    assert "not a checkpoint of VHM's released code" in refused({"model": changed()["model"]})


def test_weights_that_do_not_fit_are_refused_by_name(refused):
    assert "lacks mu_mt_prior.bias" in refused(changed(mu_mt_prior__bias=None))
    assert "lacks encoder.norm.weight" in refused(changed(encoder__norm__weight=None))
    assert "holds extra.weight" in refused(changed(extra__weight=torch.ones(2)))
    assert "has shape (7, 12), not (12, 18)" in refused(changed(output_mt__weight=torch.ones(7, 12)))
    assert "'model' holds something else than tensors" in refused(changed(extra__weight="text"))
    assert "'opt' holds no heads" in refused(theirs.random_checkpoint(WORDS, heads=None))
    assert "5 heads for a width of 12" in refused(theirs.random_checkpoint(WORDS, heads=5))


def test_another_vocabulary_is_refused(refused):
    checkpoint = theirs.random_checkpoint(WORDS)
    assert "has 37 rows, but --vocab and the special symbols make 36" in refused(checkpoint, WORDS[:-1])
    assert "differ" in refused(checkpoint, WORDS, WORDS[::-1])
    assert "-mono" in refused(theirs.random_checkpoint(WORDS, mono=True))


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "vocab").write_text("w\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("text")
    settings = Conversion(tmp_path / "released.pt", (tmp_path / "vocab",), "zh", "en", tmp_path / "out")
    with pytest.raises(UserError, match="exists; choose another folder"):
        convert(settings)
