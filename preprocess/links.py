"""Word alignments of a parallel text, counted.

P(t | s) is the maximum-likelihood estimate on the links of s, averaged over the alignments of both
directions, for pairs of words that both directions link in some sentence.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from fairseq_vhm.errors import UserError
from preprocess.aligner import BadLinks, Link, parse_links
from preprocess.text import numbered_lines

_MERGE_AT = 1 << 22
_TARGET_BITS = 32
_DIRECTIONS = ("forward", "reverse")


@dataclass(frozen=True)
class Alignments:
    """A line-aligned text and its word alignments.

    Args:
        forward: links of one direction or, without ``reverse``, links that are already symmetric.
        reverse: links of the other direction, source first as well.
    """

    source: Path
    target: Path
    forward: Path
    reverse: Path | None = None

    def read(self) -> Iterator[tuple[list[str], list[str], list[set[Link]]]]:
        """Words of both sides and the links of each direction, a sentence pair at a time.

        Raises:
            UserError: files of unequal length, or a broken line; names it.
        """
        files = [path for path in (self.source, self.target, self.forward, self.reverse) if path]
        for number, lines in enumerate(zip_longest(*map(numbered_lines, files)), start=1):
            if None in lines:
                self._refuse_unequal(files, lines, number)
            source, target, *links = (
                _decode(path, number, line) for path, (_, line) in zip(files, lines, strict=True)
            )
            sides = source.split(), target.split()
            yield *sides, [
                _links(path, number, text, *map(len, sides))
                for path, text in zip(files[2:], links, strict=True)
            ]

    @staticmethod
    def _refuse_unequal(files: list[Path], lines: tuple, number: int) -> None:
        ended = files[lines.index(None)]
        longer = next(path for path, line in zip(files, lines, strict=True) if line is not None)
        raise UserError(
            f"{ended}: ends after {number - 1:,} lines, but {longer} goes on: texts and alignments must "
            "correspond line by line"
        )


def _decode(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number}: broken UTF-8") from error


def _links(path: Path, number: int, text: str, source_length: int, target_length: int) -> set[Link]:
    try:
        return parse_links(text, source_length, target_length)
    except BadLinks as bad:
        raise UserError(f"{path}:{number}: {bad}") from bad


class PairCounts:
    """How often each pair of word ids was linked: 16 bytes a pair, whatever the number of links."""

    def __init__(self) -> None:
        self._keys = np.empty(0, dtype=np.int64)
        self._counts = np.empty(0, dtype=np.int64)
        self._new = array("q")

    def add(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Count pairs (source id, target id) once more."""
        self._new.extend(source << _TARGET_BITS | target for source, target in pairs)
        if len(self._new) >= _MERGE_AT:
            self._merge()

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Sorted keys (:func:`split_keys` takes them apart) and their counts."""
        self._merge()
        return self._keys, self._counts

    def _merge(self) -> None:
        keys, counts = np.unique(np.array(self._new, dtype=np.int64), return_counts=True)
        self._keys, places = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        weights = np.concatenate([self._counts, counts])
        self._counts = np.bincount(places, weights, len(self._keys)).astype(np.int64)
        self._new = array("q")


def split_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Source and target ids of the keys of :class:`PairCounts`."""
    return keys >> _TARGET_BITS, keys & ((1 << _TARGET_BITS) - 1)


class LinkCounter:
    """Counts the links of a corpus, those of each direction and those in both."""

    def __init__(self) -> None:
        self.sources: dict[str, int] = {}
        self.targets: dict[str, int] = {}
        self.directions: list[PairCounts] = []
        self.both = PairCounts()
        self.running: Counter[str] = Counter()
        self.links: Counter[str] = Counter()
        self.lines = 0

    def count(self, source: list[str], target: list[str], links: list[set[Link]]) -> None:
        """Take in one sentence pair with the links of one direction or of both."""
        sources = [self.sources.setdefault(word, len(self.sources)) for word in source]
        targets = [self.targets.setdefault(word, len(self.targets)) for word in target]
        self.directions = self.directions or [PairCounts() for _ in links]
        for counts, of_direction in zip(self.directions, links, strict=True):
            counts.add((sources[i], targets[j]) for i, j in of_direction)
        agreed = set.intersection(*links)
        self.both.add((sources[i], targets[j]) for i, j in agreed)
        self.running.update(source)
        self.lines += 1
        for name, of_direction in zip(_DIRECTIONS, links, strict=False):
            self.links[name] += len(of_direction)
        self.links["both"] += len(agreed)

    def probabilities(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Source id, target id and P(target | source) of the pairs that are linked in both directions."""
        kept, _ = self.both.result()
        estimates = []
        for counts in self.directions:
            keys, numbers = counts.result()
            sources, _ = split_keys(keys)
            total = np.bincount(sources, numbers, len(self.sources))
            estimates.append((numbers / total[sources])[np.searchsorted(keys, kept)])
        return *split_keys(kept), np.mean(estimates, axis=0)
