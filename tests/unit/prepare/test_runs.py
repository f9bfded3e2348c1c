"""A whole run of ``vhm prepare``: what stops it is one line, and what it began can be ended."""

import errno
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress as Bars

from fairseq_vhm.data.corpus_writer import StoreWriter
from fairseq_vhm.errors import UserError
from fairseq_vhm.text.subword import train_model
from preprocess.binarize import Binarizer
from preprocess.build import Builder
from preprocess.crosssum.prepare import prepare_crosssum
from preprocess.crosssum.settings import CrossSumSettings
from preprocess.encoding import available_cores, ordered_map
from preprocess.manifest import describe_files
from preprocess.parts import TextPart
from preprocess.progress import BarProgress, Progress
from preprocess.run import Recipe, run
from preprocess.settings import TrioSettings
from preprocess.symbols import write_symbols
from preprocess.workspace import Workspace

TRIO = TrioSettings("en", "zh", {task: {"train": None} for task in ("cls", "mt", "ms")})


def recipe(make):
    return Recipe(TRIO, [], ("test", 1), (), make)


def nothing(work):
    return {}


def test_a_file_in_the_place_of_a_folder_is_named_with_the_remedy(tmp_path):
    (tmp_path / "taken").write_text("a file")
    for out in (tmp_path / "taken" / "DATA", tmp_path / "taken" / "deeper" / "DATA"):
        with pytest.raises(UserError, match=f"^{out}: cannot be written: .*taken.*; choose another folder$"):
            run(recipe(nothing), out, overwrite=False, progress=Progress())
    with pytest.raises(UserError, match="taken: exists and was not made by `vhm prepare`"):
        run(recipe(nothing), tmp_path / "taken", overwrite=True, progress=Progress())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_says_to_make_room_and_the_repeated_run_goes_on(tmp_path):
    done = []

    def make(work, device="/dev/full"):
        work.stage("first", lambda: done.append("first") or {})
        Path(device).write_text("more than there is room for")
        return {}

    with pytest.raises(UserError, match=r"DATA: cannot be written: No space left .*; make room and repeat"):
        run(recipe(make), tmp_path / "DATA", overwrite=False, progress=Progress())
    made = recipe(lambda work: make(work, os.devnull))
    manifest, is_new = run(made, tmp_path / "DATA", overwrite=False, progress=Progress())
    assert is_new and done == ["first"]
    again, is_new = run(made, tmp_path / "DATA", overwrite=False, progress=Progress())
    assert (again["fingerprint"], is_new) == (manifest["fingerprint"], False)


def test_an_input_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path}/gone: cannot be read: No such file"):
        describe_files([tmp_path / "gone"])


def test_a_failure_ends_a_run_of_several_processes_while_their_reader_waits():
    waits = threading.Event()

    def lines():
        for number in range(1000):
            if number == 9:  # one beyond the 4 a process that are read ahead, and the one that was taken
                waits.set()
            yield number

    with pytest.raises(OSError, match="No space left"), ordered_map(2, nothing, None) as mapped:
        for number in mapped(abs, lines()):
            assert number == 0 and waits.wait(timeout=30)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def end(number, frame):
    """A handler of SIGTERM, as Ray and fairseq_vhm's training set one, that ends a worker all the same."""
    os._exit(1)


def how_sigterm_is_met(_) -> bool:
    return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_processes_can_be_ended_though_the_main_one_handles_sigterm():
    before = signal.signal(signal.SIGTERM, end)
    try:
        with ordered_map(2, nothing, None) as mapped:
            assert all(mapped(how_sigterm_is_met, iter(range(4))))
    finally:
        signal.signal(signal.SIGTERM, before)


def test_cores_are_counted_where_a_process_is_not_bound_to_any(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert available_cores() == os.cpu_count()


def test_what_is_reported_before_the_first_stage_moves_no_bar():
    with Bars(disable=True) as bars:
        progress = BarProgress(bars)
        progress.advance(5)
        progress.stage("read", total=10)
        progress.advance(2)
        assert [bar.completed for bar in bars.tasks] == [2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"segmentation": "bytes"}, "--segmentation bytes: choose one of subword, word"),
        ({"vocab_size": 8}, "--vocab-size 8: give at least 16"),
        ({"character_coverage": 0.0}, "--character-coverage 0.0: give a share above 0"),
        ({"spm_model": "m", "segmentation": "word"}, "--spm goes with --segmentation subword only"),
        ({"dictionary": "d"}, "--dict needs --spm"),
        ({"specs": {"cls": {"train": None, "valid": "x"}, "mt": {"train": None}, "ms": {"train": None}}},
         "--cls-valid and --cls-test go with --cls"),
        ({"target_lang": "en"}, "name two languages"),
        ({"source_lang": "zh-CN"}, "--source-lang 'zh-CN': give a language code"),
    ],
)  # fmt: skip
def test_settings_that_no_run_can_use_are_refused(changed, message):
    with pytest.raises(UserError, match=message):
        replace(TRIO, **changed)


def test_models_that_are_taken_over_must_be_there(tmp_path):
    with pytest.raises(UserError, match="gone.model: missing file"):
        replace(TRIO, spm_model=str(tmp_path / "gone.model")).reused_files()


PART = TextPart("cls", "train", ("en", "zh"))


@pytest.fixture
def builder(tmp_path):
    work = Workspace(tmp_path / "DATA", "fingerprint", Progress())
    return Builder(TRIO, [PART], {PART.name: 2}, work, workers=1)


def test_a_sample_has_its_share_of_the_lines_in_their_order(builder):
    """1,200 lines of 10 bytes, of which a sample of 3 kB has a quarter: some 300, give or take 15."""
    lines = [f"line {n:04}" for n in range(600)]
    for side in PART.sides:
        builder.work.path("raw", side.name).write_text("".join(f"{line}\n" for line in lines))
    sample = list(builder._training_sample(3000))
    assert 240 < len(sample) < 360
    assert sample == list(builder._training_sample(3000))
    cut = next(n for n, (one, next_one) in enumerate(zip(sample, sample[1:])) if one > next_one)  # noqa: B905
    assert sample[: cut + 1] == sorted(sample[: cut + 1]) != sorted(sample[cut + 1 :]) == sample[cut + 1 :]
    assert len(list(builder._training_sample(12_000))) == 1200


def binary(prefix, texts, dictionary_size=10):
    with StoreWriter(prefix, dictionary_size) as writer:
        for ids in texts:
            writer.add(np.array([*ids, 2]))


def test_binaries_that_are_not_what_was_segmented_are_refused(builder, tmp_path):
    binary(tmp_path / "train.en-zh.en", [[4, 5, 3], [6]])
    source = PART.sides[0]
    counted = builder._count_unknown(tmp_path, source, {"lines": 2, "symbols": 4})
    assert counted == {"unknown": 1, "unknown_share": 0.25}
    with pytest.raises(UserError, match="made 2 examples of 4 symbols from 3 lines of 4"):
        builder._count_unknown(tmp_path, source, {"lines": 3, "symbols": 4})


def test_a_symbol_beyond_the_dictionary_is_refused_and_leaves_no_file(tmp_path):
    (tmp_path / "mt").mkdir()
    for language, ids in (("en", [4, 5]), ("zh", [4, 6])):
        (tmp_path / "mt" / f"dict.{language}.txt").write_text("a 1\nb 1\n")
        binary(tmp_path / "mt" / f"train.en-zh.{language}", [ids])
    with pytest.raises(UserError, match=r"train\.en-zh\.zh\.bin: a symbol is beyond its dictionary"):
        write_symbols(tmp_path, "mt", "train", tmp_path / "out", Progress())
    assert (tmp_path / "out.en").read_text() == "a b\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mt", "out.en"]


def test_the_last_line_of_a_failing_fairseq_preprocess_is_the_error(tmp_path, monkeypatch):
    """A program of its name that fails at once: the real one takes seconds to come so far."""
    (tmp_path / "fairseq_cli").mkdir()
    program = "import sys; print('many lines'); sys.exit('FileNotFoundError: dict.txt')"
    (tmp_path / "fairseq_cli" / "preprocess.py").write_text(program)
    (tmp_path / "fairseq_cli" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    failed = pytest.raises(UserError, match=r"failed on cls\.\*: FileNotFoundError: dict.txt$")
    with failed, Binarizer(1) as binarizer:
        binarizer.binarize(Path("cls"), ["train"], ("en", "zh"), Path("dict.txt"), tmp_path)


def test_without_training_text_a_dictionary_counts_nothing(tmp_path):
    model = tmp_path / "spm.model"
    model.write_bytes(train_model((f"hello world number {n} of the text" for n in range(300)), 60, 1.0))
    row = '{"source": "hello world", "target": "text", "source_lang": "en", "target_lang": "fr"}\n'
    (tmp_path / "rows.jsonl").write_text(row)
    settings = CrossSumSettings({"test": (str(tmp_path / "rows.jsonl"),)}, spm_model=str(model))
    prepare_crosssum(settings, tmp_path / "DATA", 1, False, Progress())
    entries = (tmp_path / "DATA" / "dict.txt").read_text(encoding="utf-8").splitlines()
    assert len(entries) > 40 and {line.rpartition(" ")[2] for line in entries} == {"0"}


def test_a_coverage_of_nothing_is_refused_for_many_languages_too():
    with pytest.raises(UserError, match="--character-coverage 0.0: give a share above 0"):
        CrossSumSettings({"train": ("x",)}, character_coverage=0.0)
