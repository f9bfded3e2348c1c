"""Outputs joined with what a corpus knows of their examples, pair by pair."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairseq_vhm.data.corpus import Corpus, Direction, PairTable
from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.outputs import read_numbered
from fairseq_vhm.metrics.pieces import PostProcess


@dataclass(frozen=True)
class PairExamples:
    """The outputs of one pair; ``own`` are the summaries of the articles in their own language, ``None``
    where an article has none."""

    source: str
    target: str
    hypotheses: list[str]
    references: list[str]
    own: list[str | None]


@dataclass(frozen=True)
class Examples:
    """All pairs that have outputs, and the directions of the split that have none."""

    pairs: list[PairExamples]
    without_outputs: list[Direction]


def read_examples(corpus: Corpus, split: str, hyp: Path, post_process: PostProcess = "none") -> Examples:
    """Outputs of a split by pair; a pair has an output for each of its examples, or none at all.

    Args:
        hyp: as :func:`~fairseq_vhm.metrics.outputs.read_numbered` takes it; an example's number is its place
            in the split.

    Raises:
        UserError: a pair lacks some of its outputs, or a file cannot be used.
    """
    table = corpus.pairs(split)
    outputs = read_numbered(hyp, len(table), post_process)
    there = [direction for direction in table.directions if _has_outputs(hyp, table, direction, outputs)]
    references = _References(corpus, table, there)
    pairs = [
        PairExamples(
            *direction,
            [outputs[number] for number in _numbers(table, direction)],
            references.targets(direction),
            references.own(direction),
        )
        for direction in there
    ]
    scored = set(there)
    return Examples(pairs, [direction for direction in table.directions if direction not in scored])


def _numbers(table: PairTable, direction: Direction) -> range:
    group = table.groups[direction]
    return range(int(table.offsets[group]), int(table.offsets[group + 1]))


def _has_outputs(hyp: Path, table: PairTable, direction: Direction, outputs: Mapping[int, str]) -> bool:
    """Whether there are outputs for a direction.

    Raises:
        UserError: for some of its examples only.
    """
    numbers = _numbers(table, direction)
    missing = [number for number in numbers if number not in outputs]
    if missing and len(missing) < len(numbers):
        raise UserError(
            f"{hyp}: {len(missing)} of the {len(numbers)} sentences of {'-'.join(direction)} are missing"
            f" (first: {missing[0]}); the log is cut short, or of another split"
        )
    return not missing


class _References:
    """The summaries that some directions are scored against; each file is read once, and no more is kept."""

    def __init__(self, corpus: Corpus, table: PairTable, directions: list[Direction]) -> None:
        self._corpus, self._table = corpus, table
        needed: dict[str, set[int]] = {}
        for source, target in directions:
            needed.setdefault(target, set()).update(table.of((source, target))[:, 1].tolist())
            needed.setdefault(source, set()).update(self._own_numbers((source, target)).tolist())
        self._texts = {language: self._read(language, numbers) for language, numbers in needed.items()}

    def targets(self, direction: Direction) -> list[str]:
        """The reference of each example."""
        texts = self._texts[direction[1]]
        return [texts[number] for number in self._table.of(direction)[:, 1].tolist()]

    def own(self, direction: Direction) -> list[str | None]:
        """The summary of each article in its own language."""
        texts = self._texts[direction[0]]
        return [texts.get(number) for number in self._own_numbers(direction).tolist()]

    def _own_numbers(self, direction: Direction) -> np.ndarray:
        return self._corpus.own_summaries(direction[0])[self._table.of(direction)[:, 0]]

    def _read(self, language: str, numbers: set[int]) -> dict[int, str]:
        lines = self._corpus.summary_texts(language)
        return {number: lines[number] for number in numbers if number >= 0}
