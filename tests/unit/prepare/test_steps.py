"""The steps between readers and binaries, each by itself."""

import io
import random
import statistics
import threading
from collections import Counter

import numpy as np
import pytest
from fairseq.data import Dictionary

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.segment import WordSegmenter
from fairseq_vhm.text.symbols import SPECIAL_SYMBOLS
from preprocess import dictionary
from preprocess.binarize import read_binary
from preprocess.collect import collect_split
from preprocess.corpus import open_corpus
from preprocess.duplicates import HeldOut, key_of
from preprocess.encoding import encoder
from preprocess.lengths import Lengths
from preprocess.progress import Progress
from preprocess.readers import READERS, Request
from preprocess.records import Dropped, Level, Pair, Problem
from preprocess.workspace import Workspace, finished, write_json


def pair(source, target):
    return Pair(source, target, "file:1")


def problem(reason, level=Level.ERROR):
    return Problem(reason, "file:2", level=level)


def test_stop_ends_at_the_first_problem_and_names_the_way_out():
    with pytest.raises(UserError, match=r"^file:2: empty line .*--on-error drop"):
        list(Dropped("stop", io.StringIO()).filter([pair("a", "b"), problem("empty line")]))


def test_drop_goes_on_counts_by_reason_and_lists_every_problem():
    listing = io.StringIO()
    dropped = Dropped("drop", listing)
    stream = [problem("empty line"), pair("a", "b"), problem("NUL"), problem("empty line")]
    assert list(dropped.filter(stream)) == [pair("a", "b")]
    assert dropped.reasons == {"empty line": 2, "NUL": 1}
    assert listing.getvalue().splitlines() == [
        "file:2: empty line",
        "file:2: NUL",
        "file:2: empty line",
    ]


def test_what_is_filtered_on_purpose_stops_no_run():
    dropped = Dropped("stop", io.StringIO())
    assert not list(dropped.filter([problem("low label", Level.FILTERED)]))
    assert dropped.reasons == {"low label": 1}


def test_a_fatal_problem_stops_under_drop_too():
    with pytest.raises(UserError, match="unequal sides"):
        list(Dropped("drop", io.StringIO()).filter([problem("unequal sides", Level.FATAL)]))


def test_lengths_agree_with_a_sorted_list():
    draw = random.Random(5)
    values = [draw.randrange(1, 900) for _ in range(1001)]
    lengths = Lengths()
    for value in values:
        lengths.add(value)
    assert lengths.summary() == {
        "mean": round(statistics.fmean(values), 2),
        "median": statistics.median_low(values),
        "p95": int(np.percentile(values, 95, method="inverted_cdf")),
        "max": max(values),
    }


def test_merged_lengths_are_the_lengths_of_all():
    parts = [[1, 2, 2], [7, 1], [5]]
    merged, whole = Lengths(), Lengths()
    for part in parts:
        piece = Lengths()
        for value in part:
            piece.add(value)
            whole.add(value)
        merged.merge(piece)
    assert merged.summary() == whole.summary()


LONG = "the river rose after heavy rain"
LONG_ZH = "大雨之后河水上涨了"


@pytest.mark.parametrize(
    ("candidate", "found"),
    [
        (pair("THE RIVER, rose after heavy rain!", "new"), "source cls.test"),
        (pair("new", "大雨 之后，河水上涨了。"), "target cls.test"),
        (pair("ｔｈｅ ｒｉｖｅｒ rose after heavy rain", LONG_ZH), "pair cls.test"),
        (pair("yes", "对"), "pair mt.valid"),
        (pair("yes", "不"), None),
        (pair("yes", "是的"), None),
        (pair("new", "different"), None),
        (pair(LONG + " today", "new"), None),
        (pair("...", "？"), None),
    ],
)
def test_duplicates_are_found_whatever_the_case_width_blanks_and_punctuation(candidate, found):
    held_out = HeldOut()
    held_out.add(pair(LONG, LONG_ZH), "cls.test")
    held_out.add(pair("Yes.", "对。"), "mt.valid")
    held_out.add(pair("No.", "不。"), "mt.valid")
    held_out.add(pair("!!!", "？"), "mt.valid")
    assert held_out.find(candidate) == found


def test_a_duplicate_is_found_on_the_other_side_too():
    """The translation of a test document's summary is no training material for MT."""
    held_out = HeldOut()
    held_out.add(pair("a document", LONG), "cls.test")
    assert held_out.find(pair(LONG, "new")) == "source cls.test"


def test_a_key_is_letters_and_digits_only():
    assert key_of("Ａ-b, ＣＤ 1２!") == b"abcd12"


@pytest.fixture
def hundred_pairs(tmp_path):
    """``PREFIX.train.{en,zh}`` of 100 numbered pairs with one bad line among them."""
    sources = [f"source {n}" for n in range(100)]
    targets = [f"target {n}" for n in range(100)]
    sources.insert(50, "")
    targets.insert(50, "lost")
    (tmp_path / "x.train.en").write_text("\n".join(sources) + "\n")
    (tmp_path / "x.train.zh").write_text("\n".join(targets) + "\n")
    return f"lines:{tmp_path}/x"


def held_out_corpus(spec, hold_out=10, seed=1):
    return open_corpus(Request("cls", "en", "zh"), {"train": spec}, hold_out, seed)


def numbers(corpus, split):
    return [int(i.source.split()[1]) for i in corpus.items(split) if isinstance(i, Pair)]


def test_held_out_parts_split_the_training_pairs(hundred_pairs):
    corpus = held_out_corpus(hundred_pairs)
    parts = {split: numbers(corpus, split) for split in corpus.splits}
    assert {split: len(part) for split, part in parts.items()} == {
        "train": 80,
        "valid": 10,
        "test": 10,
    }
    assert sorted(sum(parts.values(), [])) == list(range(100))
    assert all(part == sorted(part) for part in parts.values())


def test_a_draw_repeats_with_its_seed_and_changes_with_it(hundred_pairs):
    first, again, other = (numbers(held_out_corpus(hundred_pairs, seed=seed), "test") for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_problems_of_a_split_corpus_are_met_once(hundred_pairs):
    corpus = held_out_corpus(hundred_pairs)
    problems = {s: [i for i in corpus.items(s) if isinstance(i, Problem)] for s in corpus.splits}
    assert {split: len(found) for split, found in problems.items()} == {
        "train": 1,
        "valid": 0,
        "test": 0,
    }


def test_holding_out_everything_is_refused(hundred_pairs):
    with pytest.raises(UserError, match="--hold-out 50: cls has only 100 pairs"):
        list(held_out_corpus(hundred_pairs, hold_out=50).items("valid"))


def test_a_corpus_without_validation_part_says_what_to_do(hundred_pairs):
    with pytest.raises(UserError, match="--cls-valid, or draw one .* --hold-out N"):
        held_out_corpus(hundred_pairs, hold_out=0)


def test_a_missing_file_is_named(hundred_pairs, tmp_path):
    (tmp_path / "x.valid.en").write_text("a\n")
    with pytest.raises(UserError, match=r"x\.valid\.zh: missing file"):
        held_out_corpus(hundred_pairs)
    with pytest.raises(UserError, match=r"nothing\.train\.en: missing file"):
        held_out_corpus(f"lines:{tmp_path}/nothing")


def test_a_part_of_its_own_replaces_the_standard_one(hundred_pairs, tmp_path):
    (tmp_path / "dev.jsonl").write_text('{"source": "source 777", "target": "t"}\n')
    specs = {"train": hundred_pairs, "valid": f"jsonl:{tmp_path}/dev.jsonl"}
    corpus = open_corpus(Request("cls", "en", "zh"), specs, 0, 1)
    assert corpus.splits == ("train", "valid")
    assert numbers(corpus, "valid") == [777]


@pytest.mark.parametrize(("drop", "kept"), [(False, 100), (True, 98)])
def test_duplicates_are_counted_and_dropped_on_request(hundred_pairs, tmp_path, drop, kept):
    held_out = HeldOut()
    held_out.add(pair("source 3", "target 3"), "cls.test")
    held_out.add(pair("SOURCE 4.", "Target 4"), "cls.valid")
    sides = tmp_path / "out.en", tmp_path / "out.zh"
    result = collect_split(
        held_out_corpus(hundred_pairs, hold_out=1),
        "train",
        sides,
        tmp_path / "findings",
        "drop",
        Progress(),
        against=held_out,
        drop_duplicates=drop,
    )
    assert result == {
        "pairs": kept - 2,
        "dropped": {"empty line": 1},
        "duplicates": {"pair cls.test": 1, "pair cls.valid": 1},
    }
    assert len(sides[0].read_text().splitlines()) == kept - 2
    findings = (tmp_path / "findings").read_text().splitlines()
    fate = "dropped" if drop else "kept"
    assert f"x.train.en:4: held-out text, {fate}: pair cls.test" in findings[0]
    assert len(findings) == 3


def test_a_split_of_which_nothing_is_left_is_refused_with_its_files(tmp_path):
    for suffix in ("en", "zh"):
        (tmp_path / f"x.train.{suffix}").write_text("\n")
        (tmp_path / f"x.valid.{suffix}").write_text("a\n")
    corpus = held_out_corpus(f"lines:{tmp_path}/x", hold_out=0)
    sides = tmp_path / "out.en", tmp_path / "out.zh"
    with pytest.raises(UserError, match=r"cls train: no pair is left of .*x\.train\.en, .*x\.train\.zh$"):
        collect_split(corpus, "train", sides, tmp_path / "findings", "drop", Progress())


def test_a_format_without_training_files_is_refused(tmp_path, monkeypatch):
    class HeldOutOnly:
        def __init__(self, path, request):
            self.path = path

        def files(self, split):
            return [] if split == "train" else [self.path]

    monkeypatch.setitem(READERS, "held", HeldOutOnly)
    with pytest.raises(UserError, match="--cls: no training files"):
        held_out_corpus(f"held:{tmp_path}")


@pytest.fixture
def raw_file(tmp_path):
    """1,300 lines of 1 to 13 characters."""
    path = tmp_path / "raw.zh"
    path.write_text("".join("字" * (n % 13 + 1) + "\n" for n in range(1300)), encoding="utf-8")
    return path


def encode(raw, out, workers, limit):
    with encoder(WordSegmenter("char"), workers, Progress()) as encode_with:
        return encode_with.encode_file(raw, out, "zh", limit)


def test_several_workers_write_the_same_file_and_counts(raw_file, tmp_path):
    one, three = (encode(raw_file, tmp_path / f"{n}", n, 9) for n in (1, 3))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "3").read_bytes()
    assert one.summary() == three.summary()
    assert one.counts == three.counts


def test_truncation_keeps_the_first_symbols_and_is_counted(raw_file, tmp_path):
    seen = encode(raw_file, tmp_path / "out", 1, 10)
    kept = [line.split(" ") for line in (tmp_path / "out").read_text("utf-8").splitlines()]
    assert [len(symbols) for symbols in kept] == [min(n % 13 + 1, 10) for n in range(1300)]
    assert seen.truncated == 300
    assert seen.symbols == sum(map(len, kept))
    assert seen.lengths.summary()["max"] == 13


def test_no_limit_cuts_nothing(raw_file, tmp_path):
    seen = encode(raw_file, tmp_path / "out", 1, 0)
    assert (seen.truncated, seen.symbols) == (0, 9100)


def test_fairseq_loads_the_dictionary_in_the_order_it_was_ranked(tmp_path):
    counts = Counter({"b": 5, "a": 5, "上": 9, "#": 1, "c": 2})
    dictionary.write(dictionary.most_frequent(counts, 8), tmp_path / "dict.txt")
    loaded = Dictionary.load(str(tmp_path / "dict.txt"))
    assert loaded.symbols[loaded.nspecial :] == ["上", "a", "b", "c"]
    assert loaded.count[loaded.nspecial :] == [9, 5, 5, 2]
    assert len(loaded) == dictionary.size_of(tmp_path / "dict.txt") == 8


def test_the_special_symbols_are_those_of_fairseq():
    assert set(Dictionary().symbols) == SPECIAL_SYMBOLS


def test_listed_symbols_are_all_in_the_dictionary_and_no_others():
    entries = dictionary.rank_listed(Counter({"x": 3, "y": 4}), ["z", "x"])
    assert entries == [("x", 3), ("z", 0)]


def test_counts_survive_saving(tmp_path):
    counts = Counter({"a": 3, "上": 1, "\U0010ff05": 2})
    dictionary.save_counts(counts, tmp_path / "counts")
    assert dictionary.load_counts(tmp_path / "counts") == counts


@pytest.mark.parametrize(
    ("line", "message"), [("word", "not a line of a dictionary"), ("a 2", "'a' stands there twice")]
)
def test_a_bad_dictionary_line_is_named(tmp_path, line, message):
    path = tmp_path / "dict.txt"
    path.write_text(f"a 1\n{line}\n")
    with pytest.raises(UserError, match=f":2: {message}"):
        dictionary.size_of(path)


def test_an_index_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.idx").write_bytes(b"TNTIDX\x00\x00" + bytes(32))
    with pytest.raises(UserError, match=r"x\.idx: not an index of fairseq-preprocess"):
        read_binary(tmp_path / "x")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "out", "fingerprint", Progress())


def test_a_marked_stage_is_not_done_again(workspace):
    done = []
    for _ in range(3):
        again = Workspace(workspace.out, "fingerprint", Progress())
        with again.locked(), again.building():
            assert again.stage("count", lambda: done.append(1) or {"n": len(done)}) == {"n": 1}


def test_what_another_run_left_is_thrown_away(workspace):
    with workspace.locked(), workspace.building():
        workspace.path("raw", "x").write_text("old")
        workspace.stage("count", lambda: {"n": 1})
    other = Workspace(workspace.out, "other", Progress())
    with other.locked(), other.building():
        assert not other.path("raw", "x").exists()
        assert other.stage("count", lambda: {"n": 2}) == {"n": 2}


def test_a_mistake_of_the_users_leaves_nothing_behind(workspace, tmp_path):
    with pytest.raises(UserError), workspace.locked(), workspace.building():
        workspace.path("raw", "x").write_text("half")
        raise UserError("x:1: empty line")
    assert not list(tmp_path.iterdir())


class Waiting(Progress):
    """Knows when its run began to wait."""

    def __init__(self):
        self.begun = threading.Event()

    def stage(self, name, total=None):
        assert name.startswith("wait for another run on")
        self.begun.set()


def test_a_second_run_on_one_folder_waits_for_the_first(workspace, tmp_path):
    second = Workspace(workspace.out, "fingerprint", Waiting())
    order = []

    def run_second():
        with second.locked():
            order.append("second")

    thread = threading.Thread(target=run_second)
    with workspace.locked():
        thread.start()
        assert second.progress.begun.wait(timeout=30)
        order.append("first")
    thread.join(timeout=30)
    assert order == ["first", "second"]
    assert not list(tmp_path.iterdir())


def test_publishing_leaves_the_folder_alone_and_nothing_beside_it(workspace, tmp_path):
    workspace.out.mkdir()
    (workspace.out / "old").write_text("old")
    with workspace.locked(), workspace.building():
        workspace.stage("count", lambda: {})
        workspace.path("raw", "x").write_text("raw")
        workspace.path("kept", "y").write_text("kept")
        assert list(workspace.outputs(leave_out=("raw",))) == ["kept/y"]
        workspace.publish(leave_out=("raw",))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    files = [path.relative_to(workspace.out).as_posix() for path in workspace.out.rglob("*")]
    assert sorted(files) == ["kept", "kept/y"]


def test_a_finished_folder_is_told_from_another(tmp_path):
    out = tmp_path / "out"
    assert finished(out, "mine", overwrite=False) is None
    out.mkdir()
    assert finished(out, "mine", overwrite=False) is None
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="was not made by `vhm prepare`"):
        finished(out, "mine", overwrite=True)
    manifest = {"fingerprint": "mine", "outputs": {"thesis.tex": "hash"}}
    write_json(manifest, out / "manifest.json")
    assert finished(out, "mine", overwrite=False) == manifest
    with pytest.raises(UserError, match="replace it with --overwrite"):
        finished(out, "other", overwrite=False)
    assert finished(out, "other", overwrite=True) is None


def test_a_folder_that_lost_a_file_is_not_finished(tmp_path):
    write_json({"fingerprint": "mine", "outputs": {"gone": "hash"}}, tmp_path / "manifest.json")
    assert finished(tmp_path, "mine", overwrite=False) is None
