"""Every fault of binarised data ends in one line that names the file, before anything trains."""

import os
import shutil

import numpy as np
import pytest
import torch
from fairseq.data.indexed_dataset import MMapIndexedDataset, MMapIndexedDatasetBuilder

from fairseq_vhm.data.checks import check_dictionaries, check_pair, read_binarised
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


def test_missing_target_is_named(pair):
    os.remove(pair[1] + ".bin")
    refused(pair, "train.en-zh.zh.bin: missing")


@pytest.mark.parametrize("keep", [0, 5, 20, 200])
def test_index_cut_short_is_named(pair, keep):
    cut(pair[0] + ".idx", keep)
    refused(pair, "train.en-zh.en.idx")


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
