"""Every fault of binarised data ends in one line that names the file, before anything trains."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq.data.indexed_dataset import IndexedDatasetBuilder, MMapIndexedDataset, MMapIndexedDatasetBuilder

from fairseq_vhm.data.checks import (
    BinarisedText,
    check_dictionaries,
    check_pair,
    check_text,
    read_binarised,
)
from fairseq_vhm.data.corpus_writer import write_index
from fairseq_vhm.errors import UserError

SIZE = 44  # symbols of the toy dictionary without tags


@pytest.fixture
def pair(toy_data, tmp_path):
    """Prefixes of both sides of a copy of the toy CLS training data."""
    shutil.copytree(toy_data / "cls", tmp_path / "cls")
    return [str(tmp_path / "cls" / f"train.en-zh.{lang}") for lang in ("en", "zh")]


def refused(pair, named: str, size: int = SIZE):
    with pytest.raises(UserError) as caught:
        check_pair(*pair, size, "dict.en.txt")
    message = str(caught.value)
    assert named in message and "\n" not in message
    return message


def cut(path: str, keep: int) -> None:
    with open(path, "r+b") as file:
        file.truncate(keep)


def test_sound_data_pass_and_are_read_as_fairseq_reads_them(pair):
    check_pair(*pair, SIZE, "dict.en.txt")
    assert read_binarised(pair[0]).sizes.tolist() == MMapIndexedDataset(pair[0]).sizes.tolist()


def test_files_of_fairseqs_older_format_are_left_to_fairseq(tmp_path, toy_data):
    builder = IndexedDatasetBuilder(str(tmp_path / "old.bin"), dtype=np.int32)
    for _ in range(3):
        builder.add_item(torch.tensor([SIZE + 9, 2]))
    builder.finalize(str(tmp_path / "old.idx"))
    old, new = str(tmp_path / "old"), str(toy_data / "cls" / "train.en-zh.en")
    assert read_binarised(old) is None
    for pair in ((old, new), (new, old)):
        check_pair(*pair, SIZE, "dict.en.txt")
    check_text(old, SIZE, "dict.en.txt")


def test_one_side_by_itself_is_held_against_the_dictionary(pair, caplog):
    write_empty(pair[0], {2: [2]})
    check_text(pair[0], SIZE, "dict.en.txt")
    assert "train.en-zh.en.bin: line 2 without a token, of 60" in caplog.text
    with pytest.raises(UserError, match="is beyond dict.en.txt"):
        check_text(pair[0], 20, "dict.en.txt")


@pytest.mark.parametrize("sizes", [[], [0, 0]])
def test_files_without_any_token_are_named(pair, sizes):
    open(pair[0] + ".bin", "wb").close()
    write_index(Path(pair[0]), 8, np.array(sizes, np.int32))
    refused(pair, "train.en-zh.en.bin: holds no text")


def test_of_a_large_file_texts_from_its_first_to_its_last_tell_the_largest_id(tmp_path):
    """400 MB of zeros, which no disk keeps; empty texts at both ends and between."""
    count, length = 20_000, 10_000
    sizes = np.where(np.arange(count) % 7 == 0, 0, length).astype(np.int32)
    tokens = np.memmap(tmp_path / "x.bin", dtype=np.uint16, mode="w+", shape=(int(sizes.sum()),))
    text = BinarisedText(str(tmp_path / "x"), sizes, np.dtype(np.uint16))
    assert tokens.nbytes > 1 << 28 and text.largest_id() == 0
    for place in (0, -1):
        tokens[place] = 77
        assert text.largest_id() == 77
        tokens[place] = 0


def test_missing_target_is_named(pair):
    os.remove(pair[1] + ".bin")
    refused(pair, "train.en-zh.zh.bin: missing")


@pytest.mark.parametrize("keep", [0, 5, 20, 200])
def test_index_cut_short_is_named(pair, keep):
    cut(pair[0] + ".idx", keep)
    refused(pair, "train.en-zh.en.idx")


@pytest.mark.parametrize(
    ("place", "byte", "named"),
    [(0, b"X", "no index of fairseq's"), (9, b"\7", "unknown version"), (17, b"\6", "type 6")],
)
def test_an_index_of_another_kind_is_named(pair, place, byte, named):
    """Magic, version and type of the ids; 6 is that of floating-point numbers."""
    with open(pair[0] + ".idx", "r+b") as file:
        file.seek(place)
        file.write(byte)
    refused(pair, f"train.en-zh.en.idx: {named}" if place != 17 else named)


@pytest.mark.parametrize("keep", [0, 100])
def test_data_cut_short_are_named(pair, keep):
    cut(pair[1] + ".bin", keep)
    refused(pair, "train.en-zh.zh.bin")


@pytest.mark.parametrize("place", [40, 200, 600])
def test_an_index_in_which_a_byte_has_changed_is_named(pair, place):
    """Lengths of 60 texts, 4 bytes each, begin at byte 26; their places follow."""
    with open(pair[0] + ".idx", "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x80]))
    refused(pair, "train.en-zh.en.idx" if place > 266 else "train.en-zh.en")


def test_sides_of_unequal_length_are_named_with_both_counts(toy_data, pair):
    for extension in (".bin", ".idx"):
        shutil.copy(toy_data / "cls" / f"valid.en-zh.zh{extension}", pair[1] + extension)
    message = refused(pair, "train.en-zh.zh.bin")
    assert "12" in message and "60" in message


def test_dictionary_smaller_than_the_data_is_named(pair):
    refused(pair, "dict.en.txt", size=20)


def test_dictionaries_that_differ_or_are_missing_are_named(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("x 1\n")
    second.write_text("y 1\n")
    check_dictionaries([str(first), str(first)])
    with pytest.raises(UserError, match="b.txt differs from"):
        check_dictionaries([str(first), str(second)])
    with pytest.raises(UserError, match="c.txt: missing"):
        check_dictionaries([str(first), str(tmp_path / "c.txt")])


def write_empty(prefix: str, lines: dict[int, list[int]]) -> None:
    """The texts of a prefix again, with other ids in some lines (from 1)."""
    texts = MMapIndexedDataset(prefix)
    builder = MMapIndexedDatasetBuilder(prefix + ".new.bin", dtype=np.int32)
    for number, text in enumerate(texts, start=1):
        builder.add_item(torch.tensor(lines.get(number, text.tolist())))
    builder.finalize(prefix + ".new.idx")
    for extension in (".bin", ".idx"):
        os.replace(prefix + ".new" + extension, prefix + extension)


@pytest.mark.parametrize(
    ("lines", "named"),
    [([8], "line 8 "), ([8, 60], "2 lines (8, 60)"), (range(3, 8), "5 lines (3, 4, 5, ...)")],
)
def test_empty_sources_are_refused_by_file_and_line(pair, lines, named):
    write_empty(pair[0], {line: [2] for line in lines})
    assert "both sides" in refused(pair, f"train.en-zh.en.bin: {named}")


def test_an_empty_target_is_warned_of_and_kept(pair, caplog):
    write_empty(pair[1], {1: [2]})
    check_pair(*pair, SIZE, "dict.en.txt")
    assert "train.en-zh.zh.bin: line 1 without a token, of 60" in caplog.text


def test_a_source_of_one_token_is_no_empty_one(pair):
    write_empty(pair[0], {1: [5, 2]})
    check_pair(*pair, SIZE, "dict.en.txt")
