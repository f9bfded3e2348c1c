"""Line-aligned text: ``PREFIX.SPLIT.LANG`` for each side, one example a line."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from preprocess.readers.base import Request
from preprocess.records import Level, Pair, Problem, origin
from preprocess.text import BadText, numbered_lines, to_full_text


class LinesReader:
    """Reads ``PREFIX.SPLIT.SOURCE`` beside ``PREFIX.SPLIT.TARGET``."""

    def __init__(self, path: str, request: Request) -> None:
        self.prefix = path
        self.suffixes = request.suffixes

    def files(self, split: str | None) -> list[Path]:
        """The two files of a split; for ``None`` those without a split in their names."""
        stem = self.prefix if split is None else f"{self.prefix}.{split}"
        return [Path(f"{stem}.{suffix}") for suffix in self.suffixes]

    def read(self, files: list[Path]) -> Iterator[Pair | Problem]:
        """Pairs of line n of both files."""
        return read_aligned(*files)


def read_aligned(source: Path, target: Path) -> Iterator[Pair | Problem]:
    """Pairs of line n of ``source`` and line n of ``target``."""
    sides = zip_longest(numbered_lines(source), numbered_lines(target))
    for number, (left, right) in enumerate(sides, start=1):
        if left is None or right is None:
            yield _unequal(source, target, number, left is None, sides)
            return
        yield _aligned_pair(source, target, number, left[1], right[1])


def _aligned_pair(source: Path, target: Path, number: int, left: bytes, right: bytes) -> Pair | Problem:
    """One pair, or what is wrong with its first bad side."""
    texts = []
    for path, line in ((source, left), (target, right)):
        try:
            texts.append(to_full_text(line))
        except BadText as bad:
            return Problem(bad.reason, origin(path, number), bad.detail)
    return Pair(texts[0], texts[1], origin(source, number))


def _unequal(source: Path, target: Path, number: int, source_ended: bool, rest: Any) -> Problem:
    """The sides no longer belong together, and nobody knows since when: never dropped."""
    longer_total = number + sum(1 for _ in rest)
    shorter, longer = (source, target) if source_ended else (target, source)
    detail = f"{shorter} has {number - 1} lines, {longer} has {longer_total}; align them again"
    return Problem("unequal sides", origin(shorter, number), detail, Level.FATAL)
