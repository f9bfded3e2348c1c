"""LCSTS blocks by their identifier, for corpora that point into LCSTS.

Places in the file are kept in memory (24 bytes a block, 58 MB for all of LCSTS), texts are not.
"""

import re
from array import array
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from preprocess.readers import lcsts
from preprocess.readers.blocks import Block, parse_blocks
from preprocess.records import Problem

_TAGS = frozenset({lcsts.TEXT_TAG, lcsts.SUMMARY_TAG, lcsts.LABEL_TAG})
_MOST_DIGITS = 18  # identifiers are kept as 64-bit integers
_START = re.compile(rb"\s*<doc\s+id\s*=\s*[\"']?(\d{1,%d})[\"']?\s*>" % _MOST_DIGITS, re.IGNORECASE)


class Articles:
    """Random access to the blocks of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identifiers, self._places, self._lines = _index(path)
        self._file = path.open("rb")

    def find(self, identifier: str) -> Block | Problem | None:
        """The block of that identifier, the problem with it, or None if there is none."""
        if not identifier.isdecimal() or len(identifier) > _MOST_DIGITS:
            return None
        rank = int(np.searchsorted(self._identifiers, int(identifier)))
        if rank == len(self._identifiers) or self._identifiers[rank] != int(identifier):
            return None
        self._file.seek(int(self._places[rank]))
        lines = self._lines_from(int(self._lines[rank]))
        return next(parse_blocks(lines, self.path, _TAGS.__contains__))

    def _lines_from(self, number: int) -> Iterator[tuple[int, bytes]]:
        while line := self._file.readline():
            yield number, line
            number += 1


@lru_cache(maxsize=1)
def open_articles(path: Path) -> Articles:
    """The articles of a file; indexed once for all splits and tasks that share it."""
    return Articles(path)


def _index(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Identifier, byte and line of each block's start, by rising identifier."""
    identifiers, places, numbers = array("q"), array("q"), array("q")
    place = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if b"<doc" in line and (start := _START.match(line)):
                identifiers.append(int(start[1]))
                places.append(place)
                numbers.append(number)
            place += len(line)
    columns = [np.array(column, dtype=np.int64) for column in (identifiers, places, numbers)]
    order = np.argsort(columns[0], kind="stable")
    return columns[0][order], columns[1][order], columns[2][order]
