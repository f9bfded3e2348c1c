"""Hostile input does nothing but end in one line: programs, bombs, paths, escape sequences, formulas.

The readers themselves are fuzzed by ``benchmarks/fuzz.py``; here are a sample of it, and what it found.
"""

import gzip
import io
import json
import os
import pickle
import random
import sys
import zlib
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_vhm.align.articles import Article, BadRecord
from fairseq_vhm.checkpoints import average
from fairseq_vhm.compat.checkpoints import read as read_checkpoint_file
from fairseq_vhm.conversion.released import Released
from fairseq_vhm.data.corpus_files import load_array
from fairseq_vhm.errors import UserError, printable
from fairseq_vhm.files import parse_json
from fairseq_vhm.human_eval.key import read_key
from fairseq_vhm.human_eval.sheet import Settings, make_sheets
from fairseq_vhm.language_pairs import files as pair_files
from fairseq_vhm.language_pairs.results import PairScores
from fairseq_vhm.report.checkpoint import read_checkpoint
from fairseq_vhm.report.overrides import Overrides
from fairseq_vhm.report.runs import find_runs
from fairseq_vhm.tables import Table
from fairseq_vhm.text.segment import MANIFEST_NAME, Segmenter
from preprocess.crosssum.collect import Collector
from preprocess.crosssum.rows import read_rows
from preprocess.progress import Progress
from preprocess.text import numbered_lines

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "benchmarks"), str(ROOT / "examples")]

import run as runner  # noqa: E402  (found by the line above)
from fuzzing import watch as fuzz_watch  # noqa: E402
from fuzzing.mutations import change  # noqa: E402
from fuzzing.readers import READERS  # noqa: E402
from fuzzing.watch import Watch, clear, write  # noqa: E402

CASES = 12
ESCAPES = "\x1b]0;taken\x07\x1b[2J\r\x9b31m\u202eevil"


class Program:
    """Pickles as a program that makes a file."""

    def __init__(self, touched: Path):
        self.touched = touched

    def __reduce__(self):
        return os.system, (f"touch '{self.touched}'",)


@pytest.fixture(scope="module")
def watch(tmp_path_factory) -> Watch:
    return Watch(tmp_path_factory.mktemp("case"))


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_its_format_and_ends_every_other_in_one_line(watch, name):
    reader, draw = READERS[name], random.Random(name)
    valid = reader.case()
    clear(watch.folder)
    write(watch.folder, valid)
    reader.read(watch.folder)
    for _ in range(CASES):
        assert watch.outcome(name, reader.read, change(draw, valid)) is None


@pytest.mark.parametrize(
    ("misdeed", "kind"),
    [
        (lambda folder: {}["x"], "KeyError"),
        (lambda folder: [None for _ in iter(int, 1) if False], "TooLong"),
        (lambda folder: (folder.parent / "taken").write_text("x"), "open"),
        (lambda folder: (folder.parent / "folder").mkdir(), "os.mkdir"),
        (lambda folder: os.rename(folder / "a", folder.parent / "taken"), "FileNotFoundError"),
        (lambda folder: os.system("true"), "os.system"),
        (lambda folder: pickle.loads(pickle.dumps(Path)), "pickle.find_class"),
    ],
)
def test_the_watch_sees_what_a_reader_must_not_do(watch, monkeypatch, misdeed, kind):
    monkeypatch.setattr(fuzz_watch, "CPU_SECONDS", 0.1)
    assert watch.outcome("misdeed", misdeed, {}).kind == kind
    assert watch.outcome("nothing", lambda folder: (folder / "a").write_text("x"), {}) is None


# Programs in files


def test_the_program_would_run_in_a_reader_that_unpickles(tmp_path):
    pickle.loads(pickle.dumps(Program(tmp_path / "touched")))
    assert (tmp_path / "touched").exists()


def test_no_reader_of_arrays_or_checkpoints_runs_a_program(tmp_path):
    touched = tmp_path / "touched"
    np.save(tmp_path / "a.npy", np.array([Program(touched)], dtype=object), allow_pickle=True)
    torch.save({"model": {}, "opt": Namespace(x=Program(touched))}, tmp_path / "a.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"model": Program(touched)}, protocol=2))
    (tmp_path / "vectors.npy").write_bytes(pickle.dumps(Program(touched)))
    for path in (tmp_path / "a.npy", tmp_path / "vectors.npy"):
        with pytest.raises(UserError, match="no array"):
            load_array(path)
    for path in (tmp_path / "a.pt", tmp_path / "old.pt"):
        with pytest.raises(UserError, match="refused"):
            read_checkpoint_file(str(path))
        with pytest.raises(UserError, match="refused"):
            Released.load(path)
    assert not touched.exists()


BOMB = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))])
ROWS = {
    "object": ("!!python/object/apply:os.system ['touch taken']", "cannot be read"),
    "new": ("train: !!python/object/new:os.system ['touch taken']", "cannot be read"),
    "module": ("train: !!python/module:antigravity", "cannot be read"),
    "aliases": (f"{BOMB}\ntrain: {{lr: *a29}}", "train has to be flags"),
    "itself": ("train: &a {lr: *a}", "train has to be flags"),
    "depth": ("[" * 600, "cannot be read"),
    "folder above": ("stages: [{name: ../../x}]", "name has to be the name of a folder"),
    "absolute": ("stages: [{name: /x}]", "name has to be the name of a folder"),
    "quotes": ("command: vhm 'x", "command has to be a command line"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_is_a_program_a_bomb_or_a_path_is_refused(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    text, said = ROWS[case]
    (tmp_path / "row.yaml").write_text(text)
    with pytest.raises(SystemExit, match=said) as refused:
        runner.read_yaml(tmp_path / "row.yaml")
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["row.yaml"]


def test_json_of_any_depth_is_a_value_error():
    for text in ("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000):
        with pytest.raises(ValueError):
            parse_json(text)
    assert parse_json("[[1]]") == [[1]]


# Paths


TRAVERSING = ("../../taken", "/taken", "x/../../../taken", "..", "en/../x", "nul\0")


@pytest.mark.parametrize("name", TRAVERSING)
def test_a_language_that_is_a_path_is_refused_and_writes_nothing(tmp_path, name):
    row = {"text": "an article", "summary": "a summary", "source_lang": name, "target_lang": "en"}
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "out" / "texts").mkdir(parents=True)
    collector = Collector(tmp_path / "out", io.StringIO(), "drop", drop_leaks=True)
    with pytest.raises(UserError, match="is no language"):
        collector.collect("train", read_rows(tmp_path / "in.jsonl", None), Progress())
    assert {path.name for path in tmp_path.rglob("*")} == {"in.jsonl", "out", "texts"}


@pytest.mark.parametrize("name", TRAVERSING)
def test_an_annotator_that_is_a_path_is_refused_with_the_key_that_names_him(tmp_path, name):
    for system in "ab":
        (tmp_path / system).write_text(f"{system} one\n{system} two\n")
    (tmp_path / "src").write_text("one\ntwo\n")
    hyp, out = [str(tmp_path / system) for system in "ab"], tmp_path / "deep" / "study"
    out.parent.mkdir()
    settings = Settings(hyp, "en", tmp_path / "src", samples=2, annotators="anna")
    key_path = make_sheets(settings, out).key_path
    content = json.loads(key_path.read_text())
    content["orders"][name] = content["orders"].pop("anna")
    key_path.write_text(json.dumps(content))
    before = {path for path in tmp_path.rglob("*")}
    with pytest.raises(UserError, match="damaged key"):
        make_sheets(settings, out)
    with pytest.raises(UserError, match="damaged key"):
        read_key(key_path)
    assert {path for path in tmp_path.rglob("*")} == before


def test_scoring_again_deletes_files_of_its_own_folder_alone(tmp_path):
    out, victim = tmp_path / "out", tmp_path / "victim.json"
    (out / "scores.x").mkdir(parents=True)
    victim.touch()
    (out / "scores.de-en.json").touch()
    names = {"x/../../victim": {}, "de-en": {}, "nul\0": {}, "..": {}}
    (out / pair_files.SUMMARY).write_text(json.dumps({"pairs": names}))
    pair = PairScores("en", "bn", 1, {"rouge1": {"f": 1.0}}, {})
    pair_files.write(out, [pair], least=1, limit=5.0)
    assert victim.exists() and not (out / "scores.de-en.json").exists()
    assert (out / "scores.en-bn.json").exists()


@pytest.mark.parametrize("name", ["../spm.model", "/etc/passwd", None, 3, ""])
def test_a_manifest_names_a_model_of_its_own_folder(tmp_path, name):
    (tmp_path / "spm.model").write_bytes(b"x")
    (tmp_path / "DATA").mkdir()
    settings = {"kind": "subword", "model": name, "lowercase": False}
    (tmp_path / "DATA" / MANIFEST_NAME).write_text(json.dumps({"segmentation": settings}))
    with pytest.raises(UserError, match="another folder"):
        Segmenter.load(tmp_path / "DATA")


# The screen, spreadsheets, memory


def test_a_message_is_one_line_that_a_terminal_shows_as_it_is():
    assert printable("a plain line, 中文 ▁ é") == "a plain line, 中文 ▁ é"
    assert printable(ESCAPES) == r"\x1b]0;taken\x07\x1b[2J\r\x9b31m\u202eevil"
    assert printable("a\nb\ud800") == r"a\nb\ud800"
    error = UserError(f"a\n{ESCAPES}")
    assert str(error).isprintable() and str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_table_shows_no_escape_sequences():
    for form in ("plain", "markdown", "latex"):
        text = getattr(Table("t", ["system", "f"], [[ESCAPES, "1"]]), form)()
        assert all(char == "\n" or char.isprintable() for char in text)


def test_names_of_stages_are_no_markup_for_the_bar_and_no_escape_sequences():
    from rich.console import Console
    from rich.progress import Progress as Bars

    from preprocess.progress import BarProgress

    shown = io.StringIO()
    with Bars(console=Console(file=shown, force_terminal=True, width=200)) as bars:
        progress = BarProgress(bars)
        progress.stage("read [/bold] [red]x\x1b]0;taken\x07")
        progress.stage("next")
    assert r"read [/bold] [red]x\x1b]0;taken\x07" in shown.getvalue()
    assert "\x1b]0;" not in shown.getvalue()


def test_a_broken_file_is_named_without_its_escape_sequences(tmp_path):
    folder = tmp_path / "runs" / "a\x1b[2J"
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text("{}")
    (folder / "checkpoint_best.pt").write_text("no checkpoint")
    (run,) = find_runs(tmp_path / "runs", Overrides())
    assert run.missing and all(line.isprintable() for line in run.missing)


@pytest.mark.parametrize("address", ["=HYPERLINK(1)", "+1", "-1+1", "@SUM(1)"])
def test_an_address_that_is_a_formula_is_no_article(address):
    line = json.dumps({"url": address, "summary": "s", "text": "t"}).encode()
    with pytest.raises(BadRecord, match="begins as a formula"):
        Article.parse(line)


def test_a_packed_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "bomb.gz"
    zeros = zlib.compressobj(wbits=31)
    with path.open("wb") as file:
        for _ in range(65):
            file.write(zeros.compress(bytes(1 << 20)))
        file.write(zeros.flush())
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UserError, match="longer than"):
        list(numbered_lines(path))
    path.write_bytes(gzip.compress(b"one\ntwo\r\nthree"))
    assert [line for _, line in numbered_lines(path)] == [b"one", b"two", b"three"]


# What the fuzzer found

DEEP, LONG, SHAPE = b"[" * 20_000, b"9" * 5_000, b"'shape': (3"
FOUND = [
    ("lcsts", "PART_I.txt", b"label>5<", b"label>" + LONG + b"<"),
    ("lcsts", "PART_I.txt", b"label>5<", "label>\u00b2<".encode()),
    ("ncls en2zh", "EN2ZHSUM_train.txt", b"EN-REF1>", b"EN-REF" + LONG + b">"),
    ("ncls zh2en", "ZH2ENSUM_train.txt", b"id=0", "id=\u00b2".encode()),
    ("jsonl", "train.jsonl", b'{"source"', DEEP),
    ("crosssum", "english_train.jsonl", b"https://news/0", b"\\ud800"),
    ("counts", "counts.txt", b"w0 9", b"w0 x"),
    ("manifest", "manifest.json", b'{"a": "b"}', b"null"),
    ("manifest", "manifest.json", b'"a"', b'"' + LONG + b'"'),
    ("bin, idx, dict", "cls/train.en-zh.en.idx", b"MMIDIDX", b"XMIDIDX"),
    ("bin, idx, dict", "cls/train.en-zh.en.idx", b"\0\0\x01", b"\0\0\x02"),
    ("bin, idx, dict", "cls/train.en-zh.en.idx", b"\x06\0\0\0\0", b"\x06\0\0\0\x7f"),
    ("bin, idx as text", "cls/train.en-zh.en.idx", b"\x08\x03\0\0\0\0\0\0\0", b"\x08" + b"\xff" * 8),
    ("bin, idx as text", "cls/train.en-zh.en.idx", b"\x08\x03\0\0\0\0\0\0\0", b"\x08\0\0\0\0\x7f\0\0\0"),
    ("dict.txt", "dict.txt", b"w0 1", b"w0 x"),
    ("dict.txt", "dict.txt", b"w0 1", b"w1 1"),
    ("dict.txt", "dict.txt", b"w0 1", b"\xff 1"),
    ("corpus of many languages", "DATA/pairs/test.json", b'"source": "de"', b'"source": []'),
    ("corpus of many languages", "DATA/pairs/test.json", b'"count": 1', b'"count": 1e999'),
    ("corpus of many languages", "DATA/texts/summaries.de.txt", b"summary", b"\xff"),
    ("corpus of many languages", "DATA/texts/own.de.npy", b"'shape': (1,)", b"'shape': ()"),
    ("articles", "en_train.jsonl", b'"a.png"', b'"\\ud800"'),
    ("articles", "out/report.json", b"{", DEEP),
    ("shards", ".vectors.npy", SHAPE, b"'shape': (" + LONG),
    ("shards", ".keys.npy", SHAPE, b"'shape': (("),
    ("log of generation", "hyp", b"H-0\t", b"H-" + LONG + b"\t"),
    ("references in JSON", "ref.jsonl", b'{"refs"', b'{"x":' * 20_000),
    ("training log", "train.log", b'"num_updates": "25"', b'"num_updates": 1' + b"0" * 400),
    ("training log", "train.log", b"params: 1,000", b"params: ,"),
    ("training log", "train.log", b"params: 1,000", b"params: " + LONG),
    ("training log", "train.log", b"training on 1 ", b"training on " + LONG + b" "),
    ("folder of runs", "m/scores.pairs.json", b'"limit": 5.0', b'"limit": []'),
    ("folder of runs", "m/scores.pairs.json", b'"min_pair_size": 1', b'"min_pair_size": "~"'),
    ("folder of runs", "m/scores.en-bn.json", b'"identified": 3', b'"identified": NaN'),
    ("folder of runs", "m/scores.en-bn.json", b'"identified": 3, ', b""),
    ("folder of runs", "m/scores.en-bn.json", b'"source": "en"', b'"source": {}'),
    ("report.toml", "report.toml", b'"ref"', b'"' + LONG + b'"'),
    ("folder of a pipeline", "out/settings.json", b'{"--beam": 4}', b"3"),
    ("folder of a pipeline", "000000.json", b'"counts"', b'"x"'),
    ("folder of a pipeline", "000000.json", b'"A cat."', b'"\\ud800"'),
    ("row, scale, list", "list.yaml", b"[0.5, 1.0]", b"[{}]"),
    ("row, scale, list", "row.yaml", b"latents: none", b"latents: [[none]]"),
    ("row, scale, list", "scale.yaml", b"train:", b"x:"),
    ("manifest, SentencePiece model", "manifest.json", b'"lowercase"', b'"x"'),
    ("manifest, SentencePiece model", "manifest.json", b"spm.model", LONG),
    ("manifest, SentencePiece model", "spm.model", b"\xe2\x96\x81", b"\xe2\x96\xff"),
    ("config.json", "config.json", b'"vocab_size": 300', b'"vocab_size": ' + DEEP),
]


@pytest.mark.parametrize("number", range(len(FOUND)), ids=lambda number: f"{FOUND[number][0]} {number}")
def test_what_was_found_once_ends_in_one_line(watch, number):
    name, end, old, new = FOUND[number]
    case = READERS[name].case()
    file = next(file for file in case if file.endswith(end))
    assert old in case[file]
    case[file] = case[file].replace(old, new, 1)
    assert watch.outcome(name, READERS[name].read, case) is None


STATES = {
    "a tensor": torch.ones(2),
    "nothing": None,
    "no history": {"model": {}},
    "an empty history": {"model": {}, "optimizer_history": []},
    "history of something else": {"model": {}, "optimizer_history": [3]},
    "weights that are none": {"model": {"w": "x"}, "optimizer_history": [{"lr_scheduler_state": {}}]},
    "settings that are none": {"model": {}, "args": torch.zeros(0), "cfg": torch.zeros(0)},
    "a setting that is a tensor": {"model": {}, "cfg": {"model": {"arch": torch.zeros(0)}}},
    "an architecture that is a list": {"model": {}, "cfg": {"model": Namespace(arch=["x"])}},
    "a task that is a list": {"model": {}, "cfg": {"model": Namespace(arch="x"), "task": {"_name": []}}},
}


@pytest.mark.parametrize("state", STATES)
def test_a_checkpoint_of_another_form_ends_in_one_line(tmp_path, state):
    path = tmp_path / "a.pt"
    torch.save(STATES[state], path)
    with pytest.raises(UserError):
        average([path, path], tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()
    try:
        read_checkpoint(path).checked()
    except UserError as error:
        assert str(path) in str(error)
