"""The files of a corpus of many languages, read with the checks that each needs; no torch.

Every fault is one line that names the file and the remedy.  Checks read headers, and arrays of numbers
(lengths and places of texts, own summaries, pairs) whole; of the texts themselves only their size.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fairseq_vhm.data import corpus_layout as layout
from fairseq_vhm.data.corpus_layout import KINDS
from fairseq_vhm.errors import UserError
from fairseq_vhm.files import map_array, parse_json
from fairseq_vhm.language_codes import check_codes

AGAIN = "run vhm prepare crosssum again"


def mapped(path: Path, dtype: DTypeLike, offset: int, count: int) -> np.ndarray:
    """``count`` numbers of a file from ``offset`` on; an empty file cannot be mapped."""
    if count == 0:
        return np.empty(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=(count,))


def load_array(path: Path) -> np.ndarray:
    """A memory-mapped ``.npy`` of int32."""
    try:
        array = map_array(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; {AGAIN}") from error
    except ValueError as error:
        raise UserError(f"{path}: cut short or no array; {AGAIN}") from error
    if array.dtype != np.int32:
        raise UserError(f"{path}: holds {array.dtype} where int32 belongs; {AGAIN}")
    return array


def _read_json(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; {AGAIN}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {AGAIN}") from error


def read_info(folder: Path) -> dict:
    """``corpus.json``, checked in itself and against the dictionary."""
    path = folder / layout.CORPUS
    if not path.is_file():
        raise UserError(f"{path}: missing; DATA is to be a folder that vhm prepare crosssum made")
    info = _read_json(path)
    if not isinstance(info, dict) or "format" not in info:
        raise UserError(f"{path}: is no description of a corpus; {AGAIN}")
    if info["format"] != layout.FORMAT:
        raise UserError(
            f"{path}: format {info['format']}, but this version reads format {layout.FORMAT}; {AGAIN}"
        )
    try:
        languages = _checked_codes(info["languages"], path)
        counts = [info["texts"][language][kind] for language in languages for kind in KINDS]
        known = info["segmenter"] in layout.SEGMENTERS and all(isinstance(n, int) for n in counts)
        hash_there, splits = info["dictionary"]["sha256"], info["splits"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: lacks {error}; {AGAIN}") from error
    if not known or not splits:
        raise UserError(f"{path}: unknown segmenter, or no splits; {AGAIN}")
    _check_dictionary(folder / layout.DICTIONARY, hash_there)
    return info


def _checked_codes(codes: list[str], path: Path) -> tuple[str, ...]:
    try:
        return check_codes(codes, str(path))
    except UserError as error:
        raise UserError(f"{error}; {AGAIN}") from error


def _check_dictionary(path: Path, expected: str) -> None:
    if not path.is_file():
        raise UserError(f"{path}: missing; {AGAIN}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise UserError(f"{path}: is not the dictionary that the texts were made with; {AGAIN}")


def read_groups(path: Path) -> tuple[tuple[tuple[str, str], ...], np.ndarray]:
    """Directions and offsets of the groups of a split."""
    path = path.with_suffix(".json")
    groups = _read_json(path)
    try:
        directions = tuple((group["source"], group["target"]) for group in groups)
        counts = [int(group["count"]) for group in groups]
        different, offsets = set(directions), np.cumsum([0, *counts], dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: a group lacks source, target or count; {AGAIN}") from error
    if len(different) < len(directions) or min(counts, default=1) < 1:
        raise UserError(f"{path}: a direction stands there twice, or has no pairs; {AGAIN}")
    return directions, offsets


def read_header(prefix: Path) -> tuple[int, int]:
    """Code of the ids' type and number of texts, from ``prefix.idx``.

    Raises:
        UserError: a file is missing, or the index is cut short or none.
    """
    for extension in (".idx", ".bin"):
        path = layout.with_extension(prefix, extension)
        if not path.is_file():
            raise UserError(f"{path}: missing; {AGAIN}")
    path = layout.with_extension(prefix, ".idx")
    with path.open("rb") as index:
        header = index.read(layout.HEADER.size)
    if len(header) < layout.HEADER.size:
        raise UserError(f"{path}: empty or cut short; {AGAIN}")
    magic, version, code, count = layout.HEADER.unpack(header)
    if magic != layout.MAGIC or version != layout.VERSION or code not in layout.ID_TYPES:
        raise UserError(f"{path}: no index of fairseq's memory-mapped format; {AGAIN}")
    if path.stat().st_size != layout.HEADER.size + 12 * count:
        raise UserError(f"{path}: cut short ({count:,} texts announced); {AGAIN}")
    return code, count


def check_store(prefix: Path, expected: int) -> None:
    """Check both files of a store against each other and the number of texts that it is to hold."""
    code, count = read_header(prefix)
    if count != expected:
        raise UserError(
            f"{layout.with_extension(prefix, '.idx')}: {count:,} texts where {layout.CORPUS} counts "
            f"{expected:,}; {AGAIN}"
        )
    path = layout.with_extension(prefix, ".bin")
    found, announced = path.stat().st_size, _announced(prefix, code, count)
    if found != announced:
        raise UserError(
            f"{path}: {found:,} bytes where its index announces {announced:,} (cut short?); {AGAIN}"
        )
    _check_places(prefix, code, count)


def _check_places(prefix: Path, code: int, count: int) -> None:
    """Check that every text begins where the one before it ends."""
    path = layout.with_extension(prefix, ".idx")
    lengths = mapped(path, np.int32, layout.HEADER.size, count)
    starts = mapped(path, np.int64, layout.HEADER.size + 4 * count, count)
    ends = np.cumsum(lengths, dtype=np.int64) * np.dtype(layout.ID_TYPES[code]).itemsize
    if count and ((lengths < 0).any() or starts[0] != 0 or not np.array_equal(starts[1:], ends[:-1])):
        raise UserError(f"{path}: lengths and places of texts disagree (corrupted?); {AGAIN}")


def _announced(prefix: Path, code: int, count: int) -> int:
    """Bytes of a ``.bin`` by the place and length of its last text."""
    if not count:
        return 0
    index, starts = layout.with_extension(prefix, ".idx"), layout.HEADER.size + 4 * count
    last = mapped(index, np.int32, starts - 4, 1)[0], mapped(index, np.int64, starts + 8 * (count - 1), 1)[0]
    return int(last[1]) + int(last[0]) * np.dtype(layout.ID_TYPES[code]).itemsize


def check_range(path: Path, numbers: np.ndarray, least: int, size: int, of_what: str) -> None:
    """Check that all ``numbers`` are from ``least`` to below ``size``."""
    if not len(numbers):
        return
    low, high = int(numbers.min()), int(numbers.max())
    if low < least or high >= size:
        wrong = low if low < least else high
        raise UserError(f"{path}: number {wrong} where there are {size:,} {of_what}; {AGAIN}")
