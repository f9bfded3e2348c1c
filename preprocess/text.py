"""Bytes of one line to text, and everything that can be wrong with them.

Lines end in ``\\n`` or ``\\r\\n``; blanks at both ends are not part of a text; nothing else is
changed. What would add lines or end a text in a program that reads the line later is refused here.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from fairseq_vhm.errors import UserError, unreadable
from fairseq_vhm.text.invisible import shows_nothing

LONGEST_PACKED_LINE = 1 << 26
_BOM = b"\xef\xbb\xbf"
_LINE_BREAKING = {
    "\r": "carriage return inside a line",
    "\0": "NUL character",
    "\x0b": "line-breaking character U+000B",
    "\x0c": "line-breaking character U+000C",
    "\x1c": "line-breaking character U+001C",
    "\x1d": "line-breaking character U+001D",
    "\x1e": "line-breaking character U+001E",
    "\x85": "line-breaking character U+0085",
    "\u2028": "line-breaking character U+2028",
    "\u2029": "line-breaking character U+2029",
}
_SUSPECTS = frozenset(_LINE_BREAKING)


class BadText(ValueError):
    """A line that is not text; ``reason`` is what it is counted under, ``detail`` says where."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each line of ``path``, without its end; ``.gz`` is unpacked.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            lines = _bounded(file, path) if isinstance(file, gzip.GzipFile) else file
            for number, line in enumerate(lines, start=1):
                yield number, line.removesuffix(b"\n").removesuffix(b"\r")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: not gzip, or cut short: {error}") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _bounded(file: gzip.GzipFile, path: Path) -> Iterator[bytes]:
    """The lines of an unpacked file, which may be a thousand times as large as what is on the disk."""
    while line := file.readline(LONGEST_PACKED_LINE):
        if len(line) == LONGEST_PACKED_LINE:
            raise UserError(f"{path}: a line is longer than {LONGEST_PACKED_LINE >> 20} MiB; unpack the file")
        yield line


def decode(line: bytes) -> str:
    """The characters of a line as they are.

    Raises:
        BadText: broken UTF-8, or a byte order mark.
    """
    if line.startswith(_BOM):
        raise BadText("byte order mark", "save the file as UTF-8 without BOM")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadText("broken UTF-8", f"byte {error.start + 1} of the line") from error


def to_text(line: bytes) -> str:
    """The text of a line, blanks at its ends removed; may be empty.

    Raises:
        BadText: broken UTF-8, a byte order mark, or a character that breaks lines.
    """
    return clean(decode(line))


def clean(text: str) -> str:
    """``text`` without blanks at its ends.

    Raises:
        BadText: a character that breaks lines.
    """
    if not _SUSPECTS.isdisjoint(text):
        place, char = next((n, c) for n, c in enumerate(text, 1) if c in _SUSPECTS)
        raise BadText(_LINE_BREAKING[char], f"character {place} of the line")
    return text.strip()


def to_full_text(line: bytes) -> str:
    """:func:`to_text` of a line that has to say something.

    Raises:
        BadText: also for an empty line.
    """
    text = to_text(line)
    if shows_nothing(text):
        raise BadText("empty line")
    return text
