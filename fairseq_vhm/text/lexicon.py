"""The file of a probabilistic bilingual lexicon: ``SOURCE<tab>TARGET<tab>PROBABILITY`` a line, UTF-8.

Words are the symbols of a prepared folder (words or subwords, as its dictionary has them); the
probability is P(target | source).  ``vhm prepare lexicon`` writes such files, and any tool may.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fairseq_vhm.errors import UserError


class Entry(NamedTuple):
    """One translation of a source word."""

    source: str
    target: str
    probability: float


def lexicon_text(entries: Iterable[Entry]) -> str:
    """The content of a file of ``entries``: by source, the most probable translation first."""
    ranked = sorted(entries, key=lambda entry: (entry.source, -entry.probability, entry.target))
    return "".join(f"{source}\t{target}\t{p:.6g}\n" for source, target, p in ranked)


def read_lexicon(path: Path) -> Iterator[Entry]:
    """The entries of a file in its order.

    Raises:
        UserError: there is no such file, it holds nothing, or a line is not an entry.
    """
    number = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield _entry(line, f"{path}:{number}")
    except OSError as error:
        raise UserError(f"{path}: not a readable lexicon ({error.strerror})") from error
    if number == 0:
        raise UserError(f"{path}: an empty lexicon; make it with `vhm prepare lexicon`")


def _entry(line: bytes, place: str) -> Entry:
    try:
        source, target, number = line.decode("utf-8").rstrip("\r\n").split("\t")
        probability = float(number)
    except ValueError as error:  # of UnicodeDecodeError too
        raise UserError(f"{place}: not an entry of a lexicon (SOURCE, TARGET, PROBABILITY)") from error
    if not source.strip() or not target.strip():
        raise UserError(f"{place}: an empty word")
    if not 0 < probability <= 1:
        raise UserError(f"{place}: {number} is not a probability above 0 and up to 1")
    return Entry(source, target, probability)
