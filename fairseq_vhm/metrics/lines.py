"""Texts from files, one a line, in UTF-8; what is something else is refused by what it is."""

import re
from collections.abc import Sequence
from pathlib import Path

from fairseq_vhm.errors import UserError, unreadable
from fairseq_vhm.files import parse_json

FOREIGN_STARTS = {
    b"\x1f\x8b": "compressed by gzip",
    b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character, which JSON can hold and UTF-8 cannot."""


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file without their ends: ``\\n`` or ``\\r\\n``, and no other character.

    Raises:
        UserError: it cannot be read, is empty, or is not UTF-8 (with the line's number).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if not content.strip():
        raise UserError(f"{path}: is empty; give a file with a text on each line")
    _check_bytes(path, content)
    rows = content.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").split(b"\n")
    return [_decode(path, number, row) for number, row in enumerate(rows, 1)]


def is_json(lines: Sequence[str]) -> bool:
    """Is every line a JSON object?  The first one is read, the others looked at."""
    if not all(line.startswith("{") for line in lines):
        return False
    try:
        return isinstance(parse_json(lines[0]), dict)
    except ValueError:
        return False


def unequal(path: Path, lines: int, other: Path, expected: int) -> UserError:
    """That two files have not the same number of lines."""
    return UserError(
        f"{path} has {lines} lines, {other} has {expected}; give the same texts in the same order"
    )


def _check_bytes(path: Path, content: bytes) -> None:
    """Refuse what is no lines of UTF-8, though parts of it may decode."""
    for start, kind in FOREIGN_STARTS.items():
        if content.startswith(start):
            raise UserError(f"{path}: is {kind}; give plain text in UTF-8")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise UserError(
            f"{path}, line {line}: holds a NUL byte, so it is no text in UTF-8;"
            " if it is UTF-16, convert it, for example with iconv"
        )
    if b"\r" in content.strip() and b"\n" not in content:
        raise UserError(f"{path}: its lines end in CR alone; convert them to LF, for example with tr")


def _decode(path: Path, number: int, row: bytes) -> str:
    try:
        return row.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, line {number}: not UTF-8 from byte 0x{row[error.start]:02x} on;"
            " convert the file, for example with iconv"
        ) from error
