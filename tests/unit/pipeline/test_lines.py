"""The input of a pipeline."""

import hashlib
import io

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.lines import chunks, examine, spool


@pytest.fixture
def write(tmp_path):
    def write_bytes(content: bytes):
        path = tmp_path / "docs.txt"
        path.write_bytes(content)
        return path

    return write_bytes


def test_documents_and_blank_lines_are_counted_and_the_bytes_hashed(write):
    content = "一\n\n two \r\n\t\nthree".encode()
    seen = examine(write(content), "docs")
    assert (seen.documents, seen.empty) == (5, 2)
    assert seen.sha256 == hashlib.sha256(content).hexdigest()


def test_chunks_hold_every_line_once_and_in_order(write):
    path = write("".join(f"line {i}\n" for i in range(10)).encode())
    parts = list(chunks(path, "docs", 4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert [line for part in parts for line in part] == [f"line {i}" for i in range(10)]


def test_a_chunk_of_very_long_documents_is_closed_early(write):
    path = write(("x" * 3_000_000 + "\n").encode() * 4)
    assert [len(part) for part in chunks(path, "docs", 100)] == [2, 2]


def test_a_line_breaks_at_a_line_feed_alone(write):
    path = write("a\u2028b\x0bc\rd\n".encode())
    assert list(chunks(path, "docs", 10)) == [["a\u2028b\x0bc\rd"]]


def test_a_byte_order_mark_is_no_text(write):
    assert list(chunks(write(b"\xef\xbb\xbfone\n"), "docs", 10)) == [["one"]]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf\n"])
def test_an_input_without_text_is_refused(write, content):
    with pytest.raises(UserError, match="^docs: holds no text"):
        examine(write(content), "docs")


def test_broken_bytes_are_named_by_their_line(write):
    with pytest.raises(UserError, match="^docs:3: not UTF-8"):
        examine(write(b"one\ntwo\nthr\xff\n"), "docs")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match="^docs: cannot be read"):
            examine(path, "docs")


def test_a_stream_is_kept_whole(tmp_path):
    spool(io.BytesIO(b"one\ntwo"), tmp_path / "stdin.txt")
    assert (tmp_path / "stdin.txt").read_bytes() == b"one\ntwo"
    assert [path.name for path in tmp_path.iterdir()] == ["stdin.txt"]
