"""``vhm prepare lexicon``: probabilities counted by hand, and everything that can be wrong with a line."""

import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.lexicon import Entry, lexicon_text, read_lexicon
from preprocess import links as links_module
from preprocess.aligner import ALIGNER, align, find_aligner
from preprocess.lexicon import LexiconInputs, LexiconSettings, count_lexicon, prepare_lexicon
from preprocess.links import Alignments
from preprocess.progress import Progress

ALL = LexiconSettings(min_probability=0, candidates=10)


def write(folder: Path, **texts: list[str]) -> Alignments:
    """Files of ``source``, ``target``, ``forward`` and perhaps ``reverse`` lines."""
    paths = {}
    for name, lines in texts.items():
        paths[name] = folder / name
        paths[name].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Alignments(**paths)


def lexicon(alignments: Alignments, settings: LexiconSettings = ALL) -> dict:
    entries, _ = count_lexicon(alignments, settings, Progress())
    return {(source, target): probability for source, target, probability in entries}


def test_only_words_that_both_directions_link_in_a_sentence_are_translations(tmp_path):
    """``a`` is linked to x, x, y forward and to x, z reverse, but only (a, x) by both in one sentence;
    ``b`` to y, y forward and to x, y, x reverse, and only (b, y) by both: one translation each is left."""
    alignments = write(
        tmp_path,
        source=["a b", "a b", "a"],
        target=["x y", "x y", "y z x"],
        forward=["0-0 1-1", "0-0 1-1", "0-0"],
        reverse=["0-0 1-0", "1-1 1-0", "0-1"],
    )
    assert lexicon(alignments) == {("a", "x"): 1.0, ("b", "y"): 1.0}


def test_two_translations_share_in_proportion_to_their_mean_estimates(tmp_path):
    """By hand: P(x|a) = (3/4 + 1/2) / 2 = 5/8, P(y|a) = (1/4 + 1/2) / 2 = 3/8."""
    alignments = write(
        tmp_path,
        source=["a a a a"],
        target=["x x x y"],
        forward=["0-0 1-1 2-2 3-3"],
        reverse=["0-0 3-3"],
    )
    assert lexicon(alignments) == pytest.approx({("a", "x"): 5 / 8, ("a", "y"): 3 / 8})


def test_one_file_of_alignments_is_taken_as_symmetric(tmp_path):
    alignments = write(tmp_path, source=["a a a"], target=["x x y"], forward=["0-0 1-1 2-2"])
    assert lexicon(alignments) == pytest.approx({("a", "x"): 2 / 3, ("a", "y"): 1 / 3})


def test_improbable_translations_go_first_then_the_m_best_are_renormalised(tmp_path):
    """a: 20 links, 10 w, 5 x, 4 y, 1 z (exactly 0.05).  b: 21 links, 20 w and 1 z (below 0.05)."""
    line = ["a"] * 20 + ["b"] * 21
    other = ["w"] * 10 + ["x"] * 5 + ["y"] * 4 + ["z"] + ["w"] * 20 + ["z"]
    links = " ".join(f"{i}-{i}" for i in range(41))
    alignments = write(tmp_path, source=[" ".join(line)], target=[" ".join(other)], forward=[links])
    of_b = {("b", "w"): 1.0}
    of_a = {("a", "w"): 0.5, ("a", "x"): 0.25, ("a", "y"): 0.2, ("a", "z"): 0.05}
    assert lexicon(alignments, LexiconSettings()) == pytest.approx(of_a | of_b)
    two = {("a", "w"): 2 / 3, ("a", "x"): 1 / 3} | of_b
    assert lexicon(alignments, LexiconSettings(candidates=2)) == pytest.approx(two)


def test_equally_probable_translations_are_chosen_by_their_names(tmp_path):
    alignments = write(tmp_path, source=["a a a"], target=["z y x"], forward=["2-2 0-0 1-1"])
    assert lexicon(alignments, LexiconSettings(candidates=1)) == {("a", "x"): 1.0}


def test_special_symbols_are_no_words(tmp_path):
    alignments = write(
        tmp_path, source=["<unk> a a"], target=["x <unk> y"], forward=["0-0 1-1 2-2"]
    )
    assert lexicon(alignments) == {("a", "y"): 1.0}


@pytest.fixture
def random_alignments(tmp_path):
    draw = random.Random(5)
    texts = {name: [] for name in ("source", "target", "forward", "reverse")}
    for _ in range(300):
        lengths = draw.randint(0, 6), draw.randint(1, 6)
        for name, length in zip(("source", "target"), lengths, strict=True):
            texts[name].append(" ".join(f"{name[0]}{draw.randrange(9)}" for _ in range(length)))
        for name in ("forward", "reverse"):
            count = draw.randint(0, 8) if lengths[0] else 0
            pairs = [f"{draw.randrange(lengths[0])}-{draw.randrange(lengths[1])}" for _ in range(count)]
            texts[name].append(" ".join(pairs))
    return write(tmp_path, **texts)


def by_loop(alignments: Alignments) -> dict:
    """The same lexicon with counters of pairs, every translation kept."""
    counts, kept = [Counter(), Counter()], set()
    files = (alignments.source, alignments.target, alignments.forward, alignments.reverse)
    for source, target, *links in zip(*(path.read_text().split("\n")[:-1] for path in files), strict=True):
        words = source.split(), target.split()
        pairs = [{tuple(map(int, link.split("-"))) for link in text.split()} for text in links]
        for of_direction, some in zip(counts, pairs, strict=True):
            of_direction.update((words[0][i], words[1][j]) for i, j in some)
        kept |= {(words[0][i], words[1][j]) for i, j in pairs[0] & pairs[1]}
    mean = {
        (s, t): sum(c[s, t] / sum(n for (word, _), n in c.items() if word == s) for c in counts) / 2
        for s, t in kept
    }
    return {(s, t): p / sum(q for (word, _), q in mean.items() if word == s) for (s, t), p in mean.items()}


@pytest.mark.parametrize("merge_at", [1, 100, 1 << 22])
def test_counts_in_arrays_equal_counts_in_dictionaries_however_often_merged(
    random_alignments, merge_at, monkeypatch
):
    monkeypatch.setattr(links_module, "_MERGE_AT", merge_at)
    found = lexicon(random_alignments, LexiconSettings(0, 100))
    assert found == pytest.approx(by_loop(random_alignments))


def test_the_account_says_what_was_counted(tmp_path):
    alignments = write(
        tmp_path,
        source=["a b", "a c", ""],
        target=["x y", "x", "z"],
        forward=["0-0 1-1", "0-0 1-0", ""],
        reverse=["0-0", "0-0", ""],
    )
    _, account = count_lexicon(alignments, LexiconSettings(), Progress())
    assert account["links"] == {"forward": 4, "reverse": 2, "both": 2}
    assert (account["lines"], account["source_words"], account["translated_words"]) == (3, 3, 1)
    assert account["coverage"] == 0.5


# ---- files -------------------------------------------------------------------------------------


def test_a_lexicon_file_is_sorted_and_reads_back(tmp_path):
    entries = [Entry("b", "x", 1 / 3), Entry("a", "y", 0.25), Entry("a", "z", 0.75), Entry("b", "w", 2 / 3)]
    path = tmp_path / "lexicon.tsv"
    path.write_text(lexicon_text(entries), encoding="utf-8")
    assert path.read_text().splitlines()[:2] == ["a\tz\t0.75", "a\ty\t0.25"]
    back = list(read_lexicon(path))
    assert [(e.source, e.target) for e in back] == [("a", "z"), ("a", "y"), ("b", "w"), ("b", "x")]
    assert [e.probability for e in back] == pytest.approx([0.75, 0.25, 2 / 3, 1 / 3], abs=1e-6)
    shuffled = random.Random(1).sample(entries, len(entries))
    assert lexicon_text(shuffled) == lexicon_text(entries)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty lexicon"),
        (b"a\tx\t1\n\n", ":2: not an entry"),
        (b"a\tx\n", ":1: not an entry"),
        (b"a\tx\t1\t1\n", ":1: not an entry"),
        (b"a\tx\tmuch\n", ":1: not an entry"),
        (b"a\t\xff\t1\n", ":1: not an entry"),
        (b"\tx\t1\n", ":1: an empty word"),
        (b"a\tx\t0\n", ":1: 0 is not a probability"),
        (b"a\tx\t1.5\n", ":1: 1.5 is not a probability"),
        (b"a\tx\tinf\n", ":1: inf is not a probability"),
        (b"a\tx\t-nan\n", ":1: -nan is not a probability"),
        (b"\x80\x04\x95" + b"\x00" * 40, ":1: not an entry"),
    ],
)
def test_a_broken_lexicon_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "lexicon.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(read_lexicon(path))
    with pytest.raises(UserError, match="not a readable lexicon"):
        list(read_lexicon(tmp_path / "none.tsv"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"forward": ["0-0", "0-x"]}, "forward:2: '0-x' is not a link"),
        ({"forward": ["0-0", "0-0:0.9"]}, "forward:2: '0-0:0.9' is not a link"),
        ({"forward": ["0-0", "-1-0"]}, "forward:2: '-1-0' is not a link"),
        ({"forward": ["0-0", "²-0"]}, "forward:2: '²-0' is not a link"),
        ({"reverse": ["0-0", "0-2"]}, "reverse:2: link 0-2, but the source has 1 words and the target 2"),
        ({"reverse": ["1-0", "0-0"]}, "reverse:1: link 1-0"),
        ({"reverse": ["9" * 9 + "-0", ""]}, "reverse:1: link 999999999-0"),
        ({"reverse": ["9" * 9999 + "-0", ""]}, "reverse:1: '9999"),
        ({"forward": ["0-0"]}, "forward: ends after 1 lines, but .*source goes on"),
        ({"target": ["x", "x y", "z"]}, "source: ends after 2 lines, but .*target goes on"),
        ({"forward": ["", ""], "reverse": ["", ""]}, "of 0 links in 2 lines none"),
        ({"source": ["", ""], "target": ["", ""], "forward": ["", ""], "reverse": ["", ""]}, "of 0 links"),
        ({"source": [], "target": [], "forward": [], "reverse": []}, "of 0 links in 0 lines"),
    ],
)
def test_broken_alignments_are_refused_with_their_line(tmp_path, changed, message):
    texts = {"source": ["a", "a"], "target": ["x", "x y"], "forward": ["0-0"] * 2, "reverse": ["0-0"] * 2}
    with pytest.raises(UserError, match=message):
        lexicon(write(tmp_path, **{**texts, **changed}))


def test_broken_bytes_are_refused_with_their_line(tmp_path):
    alignments = write(tmp_path, source=["a", "a"], target=["x", "x"], forward=["0-0", "0-0"])
    alignments.target.write_bytes(b"x\n\xff\n")
    with pytest.raises(UserError, match="target:2: broken UTF-8"):
        lexicon(alignments)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "--data DATA, or as --source FILE"),
        ({"source": Path("s")}, "--data DATA, or as --source FILE"),
        ({"data": Path("d"), "target": Path("t")}, "--data DATA, or as --source FILE"),
        ({"data": Path("d"), "reverse_alignments": Path("r")}, "--reverse-alignments needs --alignments"),
        ({"data": Path("d"), "alignments": Path("a")}, "holds no train.SRC-TGT"),
        ({"source": Path("s"), "target": Path("t"), "alignments": Path("a")}, "s: cannot be read"),
    ],
)
def test_inputs_that_do_not_go_together_are_refused(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        prepare_lexicon(LexiconInputs(**given), LexiconSettings(), Progress())


@pytest.mark.parametrize(
    ("settings", "flag"),
    [(LexiconSettings(1.5), "--min-probability 1.5"), (LexiconSettings(candidates=0), "--candidates 0")],
)
def test_settings_that_keep_nothing_are_refused(settings, flag):
    with pytest.raises(UserError, match=flag):
        prepare_lexicon(LexiconInputs(), settings, Progress())


# ---- the aligner -------------------------------------------------------------------------------


def test_without_eflomal_the_remedy_is_named_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"fairseq-vhm\[lexicon\].*--alignments"):
        prepare_lexicon(LexiconInputs(data=tmp_path / "none"), LexiconSettings(), Progress())


def aligner_is_installed() -> bool:
    return Path(sys.executable).with_name(ALIGNER).is_file() or shutil.which(ALIGNER) is not None


needs_eflomal = pytest.mark.skipif(not aligner_is_installed(), reason="eflomal is not installed")


@needs_eflomal
def test_eflomal_finds_the_translations_of_a_text_in_reversed_order(tmp_path):
    draw = random.Random(3)
    sentences = [[draw.randrange(30) for _ in range(draw.randint(0, 8))] for _ in range(400)]
    texts = write(
        tmp_path,
        source=[" ".join(f"s{word}" for word in sentence) for sentence in sentences],
        target=[" ".join(f"t{word}" for word in sentence[::-1]) for sentence in sentences],
        forward=[],
    )
    inputs = LexiconInputs(source=texts.source, target=texts.target)
    entries, account = prepare_lexicon(inputs, LexiconSettings(candidates=1), Progress())
    right = [entry for entry in entries if entry.source[1:] == entry.target[1:]]
    assert len(right) >= 27 and account["lines"] == 400


@needs_eflomal
def test_a_failure_of_eflomal_is_one_line(tmp_path):
    empty = write(tmp_path, source=[], target=[], forward=[])
    assert find_aligner()
    with pytest.raises(UserError, match=f"{ALIGNER} failed on .*ZeroDivisionError") as error:
        align(empty.source, empty.target, tmp_path, Progress())
    assert "\n" not in str(error.value)
