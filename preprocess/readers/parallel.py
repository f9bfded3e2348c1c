"""Sentence-parallel text without splits, as the LDC corpora are commonly kept.

``parallel:PATH`` is two files ``PATH.SOURCE`` and ``PATH.TARGET``, or, if ``PATH`` itself is a
file, one with both sides on a line: ``source ||| target``, or the two with a tab between them.
"""

from collections.abc import Iterator
from pathlib import Path

from preprocess.readers.base import Request
from preprocess.readers.lines import read_aligned
from preprocess.records import Pair, Problem, origin
from preprocess.text import BadText, numbered_lines, to_full_text

_SEPARATORS = (b"|||", b"\t")


class ParallelReader:
    """Reads two aligned files or one with both sides."""

    def __init__(self, path: str, request: Request) -> None:
        self.path = path
        self.suffixes = request.suffixes

    def files(self, split: str | None) -> list[Path]:
        """The same files for ``train`` and for a specification of one split."""
        if split not in ("train", None):
            return []
        if Path(self.path).is_file():
            return [Path(self.path)]
        return [Path(f"{self.path}.{suffix}") for suffix in self.suffixes]

    def read(self, files: list[Path]) -> Iterator[Pair | Problem]:
        """Pairs in the order of the lines."""
        return read_aligned(*files) if len(files) == 2 else _read_joined(files[0])


def _read_joined(path: Path) -> Iterator[Pair | Problem]:
    for number, line in numbered_lines(path):
        try:
            source, target = _split(line)
            yield Pair(to_full_text(source), to_full_text(target), origin(path, number))
        except BadText as bad:
            yield Problem(bad.reason, origin(path, number), bad.detail)


def _split(line: bytes) -> list[bytes]:
    """Both sides of a line; the first separator that the line has at all decides."""
    separator = next((sign for sign in _SEPARATORS if sign in line), None)
    if separator is None:
        raise BadText("no separator", "write `source ||| target`, or a tab between them")
    sides = line.split(separator)
    if len(sides) != 2:
        raise BadText("not two sides", f"{len(sides)} sides between '{separator.decode()}'")
    return sides
