"""The training texts of a plan: how many pairs, how long they are, what they take on disk.

Here they are files with a text a line, or numbers that the user gives.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fairseq_vhm.data.corpus_layout import HEADER, id_type
from fairseq_vhm.data.pairs import few_shot_subset
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS

Cut = Callable[[list[str]], list[int]]
"""Tokens of each of some lines, EOS apart."""

UNITS = {"": 1, "k": 10**3, "M": 10**6}
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(k|M|)")
INDEX_BYTES_A_TEXT = 12
"""In an ``.idx``: a text's length (4) and place (8)."""
DICTIONARY_LINE = 12
"""Bytes of a line of ``dict.txt``, symbol and count, where nobody has seen it: an assumption."""
LINES_AT_ONCE = 10_000


@dataclass(frozen=True)
class Texts:
    """The training pairs of one task.

    Args:
        source, target: mean tokens of a side, EOS included; of prepared data as the model gets them, cut and
            with their marks.
        lengths: the tokens of each pair, (pairs x 2), where they are known.
    """

    task: str
    pairs: int
    source: float
    target: float
    lengths: np.ndarray | None = None

    @classmethod
    def of_lengths(cls, task: str, lengths: np.ndarray) -> "Texts":
        """From the tokens of each pair (pairs x 2).

        Raises:
            UserError: there are none.
        """
        if not len(lengths):
            raise UserError(f"{task}: there are no training pairs")
        source, target = lengths.mean(axis=0).tolist()
        return cls(task, len(lengths), source, target, lengths)

    @property
    def tokens(self) -> int:
        """Of both sides, each EOS included."""
        return round(self.pairs * (self.source + self.target))

    def few_shot(self, fraction: float, seed: int) -> "Texts":
        """The part of them that ``--cls-fraction`` and ``--fraction-seed`` leave in use."""
        if fraction >= 1:
            return self
        if self.lengths is None:
            return replace(self, pairs=max(1, round(self.pairs * fraction)))
        return Texts.of_lengths(self.task, self.lengths[few_shot_subset(self.pairs, fraction, seed)])

    def disk(self, symbols: int) -> int:
        """Bytes of both sides' ``.bin`` and ``.idx`` as ``fairseq-preprocess`` writes them."""
        _, kind = id_type(symbols)
        return self.tokens * np.dtype(kind).itemsize + 2 * (HEADER.size + INDEX_BYTES_A_TEXT * self.pairs)


def dictionary_bytes(symbols: int, tasks: int) -> int:
    """Bytes of the copies of a joined dictionary beside the texts, two a task; an assumption."""
    return 2 * tasks * symbols * DICTIONARY_LINE


# ---- numbers that the user gives ---------------------------------------------------------------


def amount(text: str, flag: str) -> float:
    """``1.7M`` as 1,700,000.

    Raises:
        UserError: no such number.
    """
    found = AMOUNT.fullmatch(text)
    if not found or not float(found[1]):
        raise UserError(f"{flag}: '{text}' is no number above 0, such as 1700000, 250k or 1.7M")
    return float(found[1]) * UNITS[found[2]]


def by_task(words: Iterable[str], flag: str) -> dict[str, str]:
    """``cls=A,mt=B`` as task -> text.

    Raises:
        UserError: something else, or a task twice.
    """
    found: dict[str, str] = {}
    for part in (part for word in words for part in word.split(",") if part):
        task, equals, value = part.partition("=")
        if task not in TASKS or not equals or task in found:
            raise UserError(f"{flag}: '{part}' is not TASK=NUMBER with {', '.join(TASKS)} once each")
        found[task] = value
    return found


def of_numbers(sizes: Mapping[str, str], lengths: Mapping[str, str]) -> list[Texts]:
    """From task -> pairs (``1.7M``) and task -> lengths (``100:20``).

    Raises:
        UserError: a task has pairs and no lengths, or a number is none.
    """
    if lacking := [task for task in sizes if task not in lengths]:
        raise UserError(
            f"--lengths: say how many tokens the pairs of {lacking[0]} have, as in {lacking[0]}=100:20"
        )
    found = []
    for task, size in sizes.items():
        source, colon, target = lengths[task].partition(":")
        if not colon:
            raise UserError(f"--lengths: '{lengths[task]}' is not SOURCE:TARGET, as in 100:20 (with EOS)")
        count = max(1, round(amount(size, "--pairs")))
        found.append(Texts(task, count, amount(source, "--lengths"), amount(target, "--lengths")))
    return found


# ---- files with a text a line ------------------------------------------------------------------


def of_lines(task: str, source: Path, target: Path, cut: Cut) -> Texts:
    """From two aligned files.

    Raises:
        UserError: a file cannot be read, or they have unequal numbers of lines.
    """
    sides = [np.fromiter(_lengths(path, cut), dtype=np.int64) for path in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise UserError(
            f"{target}: {len(sides[1]):,} lines where {source} has {len(sides[0]):,}; they must be aligned"
        )
    return Texts.of_lengths(task, np.stack(sides, axis=1))


def _lengths(path: Path, cut: Cut) -> Iterator[int]:
    lines: list[str] = []
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                lines.append(line)
                if len(lines) == LINES_AT_ONCE:
                    yield from _with_eos(lines, cut)
                    lines = []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    yield from _with_eos(lines, cut)


def _with_eos(lines: list[str], cut: Cut) -> list[int]:
    return [length + 1 for length in cut(lines)] if lines else []


def cut_of(spm: Path | None) -> Cut:
    """Pieces of a SentencePiece model; without one, the words that stand there.

    Raises:
        UserError: the file is no such model.
    """
    if spm is None:
        return lambda lines: [len(line.split()) for line in lines]
    from fairseq_vhm.text.subword import SubwordSegmenter

    segmenter = SubwordSegmenter(spm, False)
    segmenter.check()
    return lambda lines: [len(segmenter.piece_ids(line.rstrip("\n"))) for line in lines]
