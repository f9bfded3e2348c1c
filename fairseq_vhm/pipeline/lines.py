"""The input: UTF-8 text, a document a line, read once to check it and then in chunks."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import written_whole

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Seen:
    """What a whole reading of the input found."""

    documents: int
    empty: int
    sha256: str


def spool(stream: BinaryIO, path: Path) -> None:
    """Keep what comes from ``stream``, so that it can be read again; whole or not at all.

    Raises:
        UserError: there is no room for it.
    """
    with written_whole(path) as part, part.open("wb") as kept:
        shutil.copyfileobj(stream, kept)


def examine(path: Path, name: str) -> Seen:
    """Read all of the input once.

    Args:
        name: of the input in messages.

    Raises:
        UserError: it is missing, empty, or not UTF-8 (with the line's number).
    """
    digest, documents, empty = hashlib.sha256(), 0, 0
    for line in _lines(path, name):
        digest.update(line)
        documents += 1
        empty += not _text(line, documents, name)
    if documents == empty:
        raise UserError(f"{name}: holds no text; give one document a line")
    return Seen(documents, empty, digest.hexdigest())


def chunks(path: Path, name: str, documents: int) -> Iterator[list[str]]:
    """Texts of at most ``documents`` lines, or fewer where they are very long; blank lines are ``""``."""
    chunk: list[str] = []
    size = 0
    for number, line in enumerate(_lines(path, name), start=1):
        chunk.append(_text(line, number, name))
        size += len(line)
        if len(chunk) == documents or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _lines(path: Path, name: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise UserError(
            f"{name}: cannot be read ({error.strerror}); give a text file, or - for stdin"
        ) from error


def _text(line: bytes, number: int, name: str) -> str:
    if number == 1:
        line = line.removeprefix(_BYTE_ORDER_MARK)
    try:
        return line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise UserError(f"{name}:{number}: not UTF-8; convert the file, for instance with iconv") from error
