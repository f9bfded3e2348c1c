"""What fairseq reads wrongly without a word, found before training from the files themselves.

A missing target, sides of unequal length, files cut short, dictionaries that differ or do not belong to
the data: each ends in one line that names the file and the remedy.
"""

import filecmp
import logging
import os
from dataclasses import dataclass

import numpy as np
from fairseq.data.indexed_dataset import _code_to_dtype

from fairseq_vhm.data.corpus_layout import HEADER, MAGIC, VERSION
from fairseq_vhm.errors import UserError

logger = logging.getLogger(__name__)

AGAIN = "run fairseq-preprocess (or vhm prepare) again"
_OTHER_FORMATS = (b"TNTIDX\0\0", b"HUFFIDX\0\0")
_SCAN_WHOLE = 1 << 28  # bytes; larger files are sampled for ids beyond the dictionary
_SAMPLES = 4096
_NAMED = 3  # lines


@dataclass(frozen=True)
class BinarisedText:
    """One side of a split as ``fairseq-preprocess`` wrote it.

    Args:
        prefix: path without ``.bin`` / ``.idx``.
        sizes: lengths of the texts in tokens, EOS included.
        dtype: of the token ids.
    """

    prefix: str
    sizes: np.ndarray
    dtype: np.dtype

    def empty_lines(self) -> np.ndarray:
        """Numbers, from 1, of the lines that hold nothing but EOS."""
        return np.flatnonzero(self.sizes <= 1) + 1

    def largest_id(self) -> int:
        """The largest token id (in files beyond 256 MiB: of 4,096 texts spread over the file)."""
        tokens: np.ndarray = np.memmap(self.prefix + ".bin", dtype=self.dtype, mode="r")
        tokens = tokens.view(self.dtype.str.replace("i", "u"))  # what is below 0 is beyond every dictionary
        if tokens.nbytes <= _SCAN_WHOLE:
            return int(tokens.max())
        ends, full = np.cumsum(self.sizes, dtype=np.int64), np.flatnonzero(self.sizes)
        chosen = full[np.linspace(0, len(full) - 1, _SAMPLES).astype(int)]
        return max(int(tokens[ends[i] - self.sizes[i] : ends[i]].max()) for i in chosen)


def read_binarised(prefix: str) -> BinarisedText | None:
    """Check ``prefix.idx`` against its own header and ``prefix.bin``.

    Returns:
        What the files hold, or ``None`` where they are in another of fairseq's formats than mmap.

    Raises:
        UserError: a file is missing, empty, cut short or no such file.
    """
    for extension in (".idx", ".bin"):
        if not os.path.exists(prefix + extension):
            raise UserError(f"{prefix}{extension}: missing; {AGAIN}")
    index = _read_index(prefix)
    if index is None:
        return None
    sizes, starts, dtype = index
    ends = np.cumsum(sizes, dtype=np.int64)
    if (sizes < 0).any() or (starts != (ends - sizes) * dtype.itemsize).any():
        raise UserError(f"{prefix}.idx: its texts do not follow each other (corrupted?); {AGAIN}")
    expected, found = int(sizes.sum(dtype=np.int64)) * dtype.itemsize, os.path.getsize(prefix + ".bin")
    if found != expected:
        raise UserError(
            f"{prefix}.bin: {found:,} bytes where its index announces {expected:,} (cut short?); {AGAIN}"
        )
    if not expected:
        raise UserError(f"{prefix}.bin: holds no text; {AGAIN}")
    return BinarisedText(prefix, sizes, dtype)


def _read_index(prefix: str) -> tuple[np.ndarray, np.ndarray, np.dtype] | None:
    """Lengths of texts, places in bytes where they begin, type of the ids; ``None`` as above."""
    with open(prefix + ".idx", "rb") as index:
        header = index.read(HEADER.size)
        if header.startswith(_OTHER_FORMATS):
            return None
        if not header.startswith(MAGIC) and not MAGIC.startswith(header):
            raise UserError(f"{prefix}.idx: no index of fairseq's; {AGAIN}")
        if len(header) < HEADER.size:
            raise UserError(f"{prefix}.idx: empty or cut short; {AGAIN}")
        _, version, code, count = HEADER.unpack(header)
        if os.path.getsize(prefix + ".idx") != HEADER.size + 12 * count:
            raise UserError(f"{prefix}.idx: cut short ({count:,} texts announced); {AGAIN}")
        sizes = np.frombuffer(index.read(4 * count), dtype=np.int32)
        starts = np.frombuffer(index.read(8 * count), dtype=np.int64)
    if version != VERSION or np.dtype(_code_to_dtype.get(code, "f")).kind not in "iu":
        raise UserError(f"{prefix}.idx: unknown version or type {code} of token ids (corrupted?); {AGAIN}")
    return sizes, starts, np.dtype(_code_to_dtype[code])


def check_pair(source_prefix: str, target_prefix: str, dictionary_size: int, dictionary: str) -> None:
    """Check both sides of a split: equal length, a dictionary that covers them, no empty source.

    Raises:
        UserError: names the file and the remedy.
    """
    source, target = read_binarised(source_prefix), read_binarised(target_prefix)
    if source is None or target is None:
        return
    if len(source.sizes) != len(target.sizes):
        raise UserError(
            f"{target_prefix}.bin: {len(target.sizes):,} texts, but {source_prefix}.bin has "
            f"{len(source.sizes):,}: source and target must be line-aligned; mend the text and {AGAIN}"
        )
    for side in (source, target):
        _check_ids(side, dictionary_size, dictionary)
    if len(empty := source.empty_lines()):
        raise UserError(
            f"{source_prefix}.bin: {_lines(empty)} without a token: an empty document has no summary; "
            f"take such lines out of both sides of the text and {AGAIN}"
        )
    _warn_of_empty(target)


def check_text(prefix: str, dictionary_size: int, dictionary: str) -> None:
    """Check one side of a split, and that the dictionary covers it.

    Raises:
        UserError: names the file and the remedy.
    """
    if (text := read_binarised(prefix)) is not None:
        _check_ids(text, dictionary_size, dictionary)
        _warn_of_empty(text)


def _check_ids(text: BinarisedText, dictionary_size: int, dictionary: str) -> None:
    if (largest := text.largest_id()) >= dictionary_size:
        raise UserError(
            f"{text.prefix}.bin: token id {largest} is beyond {dictionary} "
            f"({dictionary_size} symbols): it was made with another dictionary; {AGAIN}"
        )


def _warn_of_empty(text: BinarisedText) -> None:
    if len(empty := text.empty_lines()):
        logger.warning(f"{text.prefix}.bin: {_lines(empty)} without a token, of {len(text.sizes):,}")


def _lines(numbers: np.ndarray) -> str:
    """``line 8``, or ``5 lines (8, 10, 11, ...)``."""
    if len(numbers) == 1:
        return f"line {numbers[0]:,}"
    named = ", ".join(map(str, numbers[:_NAMED])) + (", ..." if len(numbers) > _NAMED else "")
    return f"{len(numbers):,} lines ({named})"


def check_dictionaries(paths: list[str]) -> None:
    """Check that there is one joined dictionary, the same in all folders.

    Raises:
        UserError: names the first file that is missing or differs.
    """
    for path in paths:
        if not os.path.exists(path):
            raise UserError(f"{path}: missing; {AGAIN}")
        if not filecmp.cmp(paths[0], path, shallow=False):
            raise UserError(
                f"{path} differs from {paths[0]}: cls, mt and ms need one joined dictionary; "
                "run fairseq-preprocess with --joined-dictionary and then with --srcdict and --tgtdict, "
                "or vhm prepare"
            )
