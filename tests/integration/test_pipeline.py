"""vhm pipeline through the command line, on small models trained here."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from commands import PLUGIN, SHORT_RUN, decoding, read, text_of_test_set
from typer.testing import CliRunner

from fairseq_vhm.cli import app
from fairseq_vhm.compat.checkpoints import settings_of

VHM = str(Path(sys.executable).parent / "vhm")
LANGUAGES = ("--source-lang", "en", "--target-lang", "zh")
STOCK = """
    --arch transformer --criterion label_smoothed_cross_entropy --encoder-layers 1 --decoder-layers 1
    --encoder-ffn-embed-dim 64 --decoder-ffn-embed-dim 64
    --encoder-attention-heads 2 --decoder-attention-heads 2
    --share-all-embeddings --max-tokens 400 --cpu --no-epoch-checkpoints
"""


@pytest.fixture(scope="module")
def stock(toy_data, forked, tmp_path_factory):
    """A checkpoint of fairseq's own translation task, en to zh."""
    folder = tmp_path_factory.mktemp("stock")
    flags = [*SHORT_RUN.split(), *STOCK.split(), "--dropout", 0, "--lr", 0.01, "--max-update", 60]
    forked("fairseq-train", toy_data / "mt", "--task", "translation", "--save-dir", folder, *flags)
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def translator(toy_data, stock):
    """Flags of a translator of whole words."""
    return ["--mt", stock, "--mt-data", toy_data / "mt", "--mt-segmentation", "none"]


@pytest.fixture(scope="module")
def summarizer(toy_data, trained):
    """Flags of a summarizer, en to en."""
    checkpoint = trained / "checkpoint_last.pt"
    return ["--ms", checkpoint, "--ms-data", toy_data, "--ms-segmentation", "none"]


@pytest.fixture(scope="module")
def documents(toy_data):
    """Documents of one to three sentences; ``.`` and ``!`` are no words of the models."""
    lines = text_of_test_set(toy_data, "mt") + text_of_test_set(toy_data, "ms")
    ends = [" .", " !", " ."]
    return [
        " ".join(lines[(3 * i + k) % len(lines)] + ends[k] for k in range(1 + i % 3)) for i in range(9)
    ]


@pytest.fixture(scope="module")
def source(documents, tmp_path_factory):
    path = tmp_path_factory.mktemp("documents") / "docs.en"
    path.write_text("".join(line + "\n" for line in documents), encoding="utf-8")
    return path


def vhm_here(*arguments, stdin: str | None = None, fails: bool = False) -> str:
    """The vhm command in this process; what it prints or, if it is to fail, its one line."""
    result = CliRunner().invoke(app, list(map(str, arguments)), input=stdin)
    if fails:
        assert result.exit_code == 1, result.exception
        (line,) = result.stderr.splitlines()
        assert line.startswith("vhm: error: "), line
        return line.removeprefix("vhm: error: ")
    assert result.exit_code == 0, result.exception
    return result.stdout


@pytest.fixture
def translate_first(translator, source, tmp_path):
    """vhm pipeline translate-then-summarize with LexRank: what it prints, the texts that it writes."""

    def command(*flags, input=source, out=tmp_path / "out", **settings):
        given = ["translate-then-summarize", "--input", input, "--out", out, *LANGUAGES, *translator]
        printed = vhm_here("pipeline", *given, "--summarizer", "lexrank", *flags, **settings)
        return printed, texts(out)

    return command


def texts(out: Path) -> dict[str, list[str]]:
    files = out.glob("*.txt") if out.exists() else ()
    return {path.name: path.read_text(encoding="utf-8").split("\n")[:-1] for path in files}


def interactive(forked, sentences, *arguments) -> list[str]:
    """fairseq-interactive's output for each sentence."""
    search = ("--beam", 4, "--lenpen", 0.6)
    process = forked("fairseq-interactive", *arguments, *search, stdin="\n".join(sentences))
    return re.findall(r"^D-\d+\t\S+\t(.*)$", process.stdout, re.MULTILINE)


def sentences_of(document: str) -> list[str]:
    return re.findall(r"[^.!]+[.!]", document)


def test_translation_is_fairseq_interactives_sentence_by_sentence_and_in_order(
    forked, toy_data, stock, translator, source, documents, tmp_path
):
    given = ["--input", source, "--out", tmp_path / "out", *LANGUAGES, *translator, "--chunk", 4]
    forked("vhm", "pipeline", "translate-then-summarize", *given, "--summarizer", "lexrank")
    written = texts(tmp_path / "out")
    parts = [[s.strip() for s in sentences_of(document)] for document in documents]
    flat = [sentence for part in parts for sentence in part]
    translated = iter(interactive(forked, flat, toy_data / "mt", *PLUGIN, "--path", stock))
    expected = ["".join(next(translated).strip() for _ in part) for part in parts]
    assert len(set(expected)) == len(expected)
    assert written["translated.txt"] == expected
    assert len(written["summaries.txt"]) == len(documents)


@pytest.mark.parametrize("task", ["mt", "cls"])
def test_a_checkpoint_of_several_tasks_translates_as_fairseq_interactive_does(
    forked, toy_data, trained, source, documents, tmp_path, task
):
    checkpoint = trained / "checkpoint_last.pt"
    model = ["--mt", checkpoint, "--mt-data", toy_data, "--mt-segmentation", "none", "--mt-task", task]
    given = ["--input", source, "--out", tmp_path / "out", *LANGUAGES, *model, "--summarizer", "lexrank"]
    vhm_here("pipeline", "translate-then-summarize", *given)
    first = [sentences_of(document)[0].strip() for document in documents[::3]]
    expected = interactive(forked, first, *decoding(toy_data, checkpoint, "--eval-task", task))
    assert texts(tmp_path / "out")["translated.txt"][::3] == [text.strip() for text in expected]


def test_summarize_then_translate_feeds_one_model_with_the_other(
    forked, toy_data, trained, stock, translator, summarizer, source, documents, tmp_path
):
    given = ["--input", source, "--out", tmp_path / "out", *LANGUAGES, *translator, *summarizer, "--json"]
    process = forked("vhm", "pipeline", "summarize-then-translate", *given)
    written = texts(tmp_path / "out")
    checkpoint = trained / "checkpoint_last.pt"
    summaries = interactive(forked, documents, *decoding(toy_data, checkpoint, "--eval-task", "ms"))
    assert written["source_summaries.txt"] == summaries
    expected = interactive(forked, summaries, toy_data / "mt", *PLUGIN, "--path", stock)
    assert written["summaries.txt"] == expected
    counts = json.loads(process.stdout)["counts"]
    assert counts == {"documents": 9, "documents summarised": 9, "sentences translated": 9}


@pytest.mark.parametrize("flags", [("--chunk", 1), ("--max-tokens", 1), ("--chunk", 2, "--max-tokens", 30)])
def test_chunks_and_batches_do_not_change_the_texts(translate_first, flags, tmp_path):
    _, together = translate_first(out=tmp_path / "together")
    _, apart = translate_first(*flags, out=tmp_path / "apart")
    assert apart == together


def test_half_precision_writes_what_single_writes_and_is_another_run(translate_first, tmp_path):
    document = tmp_path / "docs.en"
    document.write_text("w1 w2 .\n")
    _, single = translate_first("--beam", 1, input=document, out=tmp_path / "single")
    _, half = translate_first("--beam", 1, "--fp16", "--cpu", input=document, out=tmp_path / "half")
    assert half == single
    error, _ = translate_first("--beam", 1, input=document, out=tmp_path / "half", fails=True)
    assert "was begun with another --fp16" in error


def kill_when(path: Path, argv: list[str]) -> None:
    """Start a run and kill it without warning as soon as ``path`` exists."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not path.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_run_goes_on_with_the_same_command(translate_first, translator, source, tmp_path):
    out = tmp_path / "killed"
    given = ["translate-then-summarize", "--input", source, "--out", out, *LANGUAGES, *translator]
    argv = [VHM, "pipeline", *given, "--summarizer", "lexrank", "--chunk", "1"]
    first = out / "work" / "translate" / "000000.json"
    kill_when(first.with_name("000002.json"), list(map(str, argv)))
    assert not (out / "summaries.txt").exists()
    shutil.copytree(out, tmp_path / "marked")
    _, resumed = translate_first("--chunk", 1, out=out)
    _, uninterrupted = translate_first("--chunk", 1)
    assert resumed == uninterrupted
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in (tmp_path / "out").iterdir())

    chunk = tmp_path / "marked" / "work" / "translate" / "000000.json"
    chunk.write_text(chunk.read_text().replace(resumed["translated.txt"][0], "kept"))
    _, marked = translate_first("--chunk", 1, out=tmp_path / "marked")
    assert marked["translated.txt"] == ["kept", *uninterrupted["translated.txt"][1:]]


def test_a_run_that_is_done_is_not_done_again(translate_first, tmp_path):
    _, written = translate_first()
    printed, again = translate_first()
    assert "done already" in printed
    assert not (tmp_path / "out" / "work").exists()
    assert again == written


def test_another_run_in_the_same_folder_is_refused_unless_it_may_begin_anew(translate_first, documents):
    _, written = translate_first()
    error, kept = translate_first("--beam", 1, fails=True)
    assert "was begun with another search of --mt" in error
    assert kept == written
    _, new = translate_first("--beam", 1, "--overwrite", "--sentences", 2)
    assert len(new["translated.txt"]) == len(documents)


def test_changed_documents_are_another_run(translate_first, source, tmp_path):
    changed = tmp_path / "docs.en"
    shutil.copyfile(source, changed)
    translate_first(input=changed)
    changed.write_text("w1 w2 .\n")
    error, _ = translate_first(input=changed, fails=True)
    assert "was begun with another --input" in error


def test_stdin_gives_what_the_file_gives(translate_first, source, tmp_path):
    _, from_file = translate_first()
    content = source.read_text(encoding="utf-8")
    _, from_stdin = translate_first(input="-", stdin=content, out=tmp_path / "stdin")
    assert from_stdin == from_file
    printed, _ = translate_first(input="-", stdin=content, out=tmp_path / "stdin")
    assert "done already" in printed


def test_a_blank_line_is_an_empty_line_of_every_output_and_counted(translate_first, documents, tmp_path):
    gaps = tmp_path / "gaps.en"
    gaps.write_text(f"\n{documents[0]}\n  \n{documents[1]}", encoding="utf-8")
    printed, written = translate_first("--json", input=gaps)
    assert json.loads(printed)["counts"]["empty documents"] == 2
    for lines in written.values():
        assert [bool(line) for line in lines] == [False, True, False, True]


def test_longer_texts_than_the_model_are_translated_in_pieces_and_summarised_from_their_beginning(
    forked, toy_data, trained, translator, summarizer, tmp_path
):
    words = ("w1 w2 w3 w4 w5 w6 w7 w8 w9 " * 230).split()  # the models take 1,024 symbols
    path = tmp_path / "long.en"
    path.write_text(" ".join(words) + " .\n", encoding="utf-8")
    given = ["--input", path, *LANGUAGES, *translator, "--beam", 1, "--json"]
    first = ["translate-then-summarize", "--out", tmp_path / "first", *given, "--summarizer", "lexrank"]
    counts = json.loads(vhm_here("pipeline", *first))["counts"]
    assert counts["sentences translated in pieces"] == 1
    second = ["summarize-then-translate", "--out", tmp_path / "second", *given, *summarizer]
    counts = json.loads(vhm_here("pipeline", *second))["counts"]
    assert counts["documents cut to the model's length"] == 1
    cut = " ".join(words[:1022])  # the task's tag and EOS beside them
    arguments = decoding(toy_data, trained / "checkpoint_last.pt", "--eval-task", "ms", "--max-tokens", 2000)
    process = forked("fairseq-interactive", *arguments, "--beam", 1, "--lenpen", 0.6, stdin=cut)
    expected = re.findall(r"^D-\d+\t\S+\t(.*)$", process.stdout, re.MULTILINE)
    assert texts(tmp_path / "second")["source_summaries.txt"] == expected


@pytest.fixture(scope="module")
def language_model(toy_data, forked, tmp_path_factory):
    """A checkpoint that writes no text from another."""
    folder = tmp_path_factory.mktemp("lm")
    data = folder / "data"
    text = toy_data.parent / "text" / "mt"
    prefixes = ["--trainpref", text / "train.en", "--validpref", text / "valid.en", "--destdir", data]
    forked("fairseq-preprocess", "--only-source", *prefixes)
    flags = ["--task", "language_modeling", "--arch", "transformer_lm", "--decoder-layers", 1]
    flags += ["--decoder-embed-dim", 16, "--decoder-ffn-embed-dim", 16, "--decoder-attention-heads", 2]
    flags += ["--max-update", 1, "--tokens-per-sample", 50, "--batch-size", 1, "--cpu"]
    flags += ["--optimizer", "sgd", "--lr", 0.1]
    forked("fairseq-train", data, *flags, "--save-dir", folder, "--num-workers", 0)
    return folder / "checkpoint_last.pt"


def test_bad_input_is_one_line_and_leaves_no_folder(translate_first, tmp_path):
    cases = {
        "empty.en": (b"", "holds no text"),
        "bytes.en": (b"w1 w2\nw3 \xff\n", "bytes.en:2: not UTF-8"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        error, _ = translate_first(input=tmp_path / name, fails=True)
        assert message in error
    error, _ = translate_first(input=tmp_path / "none.en", fails=True)
    assert "none.en: cannot be read" in error
    assert not (tmp_path / "out").exists()


def test_bad_checkpoints_and_flags_are_one_line_and_leave_no_folder(
    toy_data, trained, stock, language_model, source, tmp_path
):
    damaged, foreign = tmp_path / "damaged.pt", tmp_path / "foreign.pt"
    damaged.write_bytes(stock.read_bytes()[:3000])
    foreign.write_bytes(b"not a checkpoint")
    bare_weights, cls_alone = tmp_path / "weights.pt", tmp_path / "cls.pt"
    state = read(trained / "checkpoint_last.pt")
    torch.save({**state, "cfg": None}, bare_weights)
    settings_of(state)["tasks"] = "cls"
    torch.save(state, cls_alone)
    small, bare = tmp_path / "small", tmp_path / "bare"
    for copy in (small, bare):
        shutil.copytree(toy_data / "mt", copy)
    for lang in ("en", "zh"):
        (small / f"dict.{lang}.txt").write_text("w1 1\n")
        (bare / f"dict.{lang}.txt").unlink()
    mt, by, none = toy_data / "mt", ("--mt-segmentation",), ("--mt-segmentation", "none")
    lexrank = ("--summarizer", "lexrank")
    english = ("--source-lang", "zh", "--target-lang", "en")
    vhm = trained / "checkpoint_last.pt"
    ms = ("--ms", vhm, "--ms-data", toy_data, "--ms-segmentation", "none")
    cases = [
        ((tmp_path / "no.pt", mt, *none, *lexrank), "no.pt: missing"),
        ((stock, tmp_path / "no", *none, *lexrank), "no: missing"),
        ((damaged, mt, *none, *lexrank), "damaged.pt: cut short or not a checkpoint"),
        ((foreign, mt, *none, *lexrank), "foreign.pt: "),
        ((language_model, mt, *none, *lexrank), "was trained with --task language_modeling"),
        ((stock, mt, *none, *lexrank, *english), "goes from en to zh, but zh to another is needed"),
        ((vhm, toy_data, *none, "--mt-task", "ms", *lexrank), "--mt writes en_sum, but --target-lang is zh"),
        ((stock, mt, *none, *ms), "goes from en to en_sum, but zh to zh is needed"),
        ((stock, small, *none, *lexrank), "its dictionary is not the one that"),
        ((stock, bare, *none, *lexrank), "dict.en.txt is missing"),
        ((stock, tmp_path, *none, *lexrank), "holds no SPLIT.SRC-TGT.SRC.idx"),
        ((stock, mt, *lexrank), "left no segmentation there"),
        ((stock, mt, *by, "spm", *lexrank), "--mt-segmentation spm: give data, none"),
        ((stock, mt, *by, f"sentencepiece:{source}", *lexrank), "is not a model of that kind"),
        ((stock, mt, *by, "sentencepiece:x", *lexrank), "x is missing"),
        ((stock, mt, *none), "give either --summarizer lexrank or a checkpoint with --ms"),
        ((stock, mt, *none, "--ms", vhm), "give --ms-data"),
        ((stock, mt, *none, *lexrank, "--mt-gen-args", "{"), "not JSON"),
        ((stock, mt, *none, *lexrank, "--mt-gen-args", '{"beem": 1}'), "'beem' is no generation setting"),
        ((stock, mt, *none, *lexrank, "--mt-gen-args", '{"sampling_topk": 3}'), "fairseq refuses them"),
        ((stock, mt, *none, *lexrank, "--mt-gen-args", '{"score_reference": true}'), "leave it out"),
        ((bare_weights, mt, *none, *lexrank), "not a checkpoint of fairseq-train"),
        ((cls_alone, toy_data, *none, *lexrank), "--mt-task mt: the checkpoint was trained on cls alone"),
        ((vhm, mt, *none, *lexrank), "missing; DATA needs a folder made by fairseq-preprocess"),
    ]
    for (checkpoint, data, *flags), message in cases:
        given = ["--input", source, "--out", tmp_path / "out", *LANGUAGES, "--mt", checkpoint]
        given += ["--mt-data", data, *flags]
        assert message in vhm_here("pipeline", "translate-then-summarize", *given, fails=True)
        assert not (tmp_path / "out").exists()


def test_the_command_ends_in_one_line_and_status_2(forked, translator, tmp_path):
    given = ["--input", tmp_path / "none", "--out", tmp_path / "out", *LANGUAGES, *translator]
    flags = ("--summarizer", "lexrank", "--quiet")
    process = forked("vhm", "pipeline", "translate-then-summarize", *given, *flags, fails=True)
    assert process.returncode == 1
    assert process.stderr.startswith(f"vhm: error: {tmp_path / 'none'}: cannot be read")
    assert process.stderr.count("\n") == 1


def test_a_foreign_folder_is_left_alone(translate_first, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("text\n")
    error, kept = translate_first("--overwrite", fails=True)
    assert "was not made by `vhm pipeline`" in error
    assert kept == {"thesis.txt": ["text"]}


def test_segmentation_is_that_of_the_prepared_folder(stock, toy_data, source, tmp_path):
    """A SentencePiece model in whose pieces the words of the dictionary are, as `vhm prepare` leaves it."""
    import sentencepiece

    from fairseq_vhm.text.segment import Segmenter

    data = tmp_path / "DATA"
    shutil.copytree(toy_data / "mt", data / "mt")
    text = toy_data.parent / "text" / "mt" / "train.en"
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(data / "spm"), vocab_size=20, minloglevel=2
    )
    settings = {"segmentation": {"kind": "subword", "model": "spm.model", "lowercase": False}}
    (data / "manifest.json").write_text(json.dumps(settings))
    given = ["--input", source, *LANGUAGES, "--mt", stock, "--mt-data", data / "mt"]
    given += ["--summarizer", "lexrank"]
    vhm_here("pipeline", "translate-then-summarize", "--out", tmp_path / "own", *given)
    named = ("--mt-segmentation", f"sentencepiece:{data / 'spm.model'}")
    vhm_here("pipeline", "translate-then-summarize", "--out", tmp_path / "named", *given, *named)
    assert texts(tmp_path / "own") == texts(tmp_path / "named")
    segmenter = Segmenter.load(data)
    assert segmenter.decode(segmenter.encode("w1 w2", "en"), "en") == "w1 w2"
