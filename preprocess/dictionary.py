"""One joined dictionary in fairseq's format: ``SYMBOL COUNT`` a line, most frequent first."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.symbols import SPECIAL_SYMBOLS

SPECIALS = len(SPECIAL_SYMBOLS)
SPECIAL_BY_ID = ("<s>", "<pad>", "</s>", "<unk>")


Entries = list[tuple[str, int]]


def most_frequent(counts: Counter[str], size: int) -> Entries:
    """The symbols seen most often, as many as a dictionary of ``size`` has room for beside its 4
    special ones; equally frequent ones in the order of their characters."""
    return _ranked(counts)[: size - SPECIALS]


def rank_listed(counts: Counter[str], symbols: Iterable[str]) -> Entries:
    """Exactly ``symbols``, by falling count; unseen ones last, with count 0."""
    return _ranked({symbol: counts[symbol] for symbol in symbols})


def _ranked(counts: Mapping[str, int]) -> Entries:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def write(entries: Entries, path: Path) -> None:
    """Write a dictionary that ``fairseq.data.Dictionary`` loads."""
    path.write_text("".join(f"{symbol} {count}\n" for symbol, count in entries), encoding="utf-8")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable dictionary") from error


def symbols_of(path: Path) -> list[str]:
    """The symbols of a dictionary file in the order of their ids, fairseq's 4 special ones first.

    Raises:
        UserError: a line is not ``SYMBOL COUNT``, or a symbol stands there twice.
    """
    symbols = dict.fromkeys(SPECIAL_BY_ID)
    for number, line in enumerate(_lines(path), start=1):
        symbol, _, count = line.rstrip().removesuffix(" #fairseq:overwrite").rpartition(" ")
        if not symbol or not count.isdigit():
            raise UserError(f"{path}:{number}: not a line of a dictionary ('SYMBOL COUNT')")
        if symbol in symbols:
            raise UserError(f"{path}:{number}: '{symbol}' stands there twice")
        symbols[symbol] = None
    return list(symbols)


def size_of(path: Path) -> int:
    """Number of symbols of a dictionary file in fairseq's eyes, its 4 special ones included."""
    return len(symbols_of(path))


def save_counts(counts: Counter[str], path: Path) -> None:
    """Keep counts for a later run in the format of a dictionary."""
    write(sorted(counts.items()), path)


def load_counts(path: Path) -> Counter[str]:
    """Inverse of :func:`save_counts`.

    Raises:
        UserError: a line holds no count.
    """
    entries = (line.rpartition(" ") for line in _lines(path) if line)
    try:
        return Counter({symbol: int(count) for symbol, _, count in entries})
    except ValueError as error:
        raise UserError(f"{path}: damaged; delete the folder that it is in, and prepare again") from error
