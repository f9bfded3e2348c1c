"""``fairseq-preprocess`` for one task, and what it wrote held against what it was given.

``fairseq-preprocess`` exits 0 on sides of unequal length and on lines that it split in two, so the
numbers of examples and symbols are read back from its index files.
"""

import os
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairseq_vhm.data.corpus_layout import HEADER, ID_TYPES, MAGIC
from fairseq_vhm.errors import UserError

_BYTES_OF_TEXT = 12  # in the index: its size and its place
_UNK = 3
_BLOCK = 1 << 22
_LOG = "preprocess.log"


@dataclass(frozen=True)
class Binary:
    """Contents of one ``.bin``: examples, tokens (end marks apart), and the unknown ones."""

    examples: int
    tokens: int
    unknown: int


def binarize(
    prefix: Path,
    splits: list[str],
    suffixes: tuple[str, str],
    dictionary: Path,
    out: Path,
    workers: int,
    keep_open: tuple[int, ...] = (),
) -> None:
    """Run ``fairseq-preprocess`` on ``PREFIX.SPLIT.LANG`` into ``out``.

    Args:
        keep_open: descriptors that it inherits.

    Raises:
        UserError: it failed; the message ends with its last line.
    """
    source, target = suffixes
    options = {
        "--source-lang": source,
        "--target-lang": target,
        "--srcdict": dictionary,
        "--tgtdict": dictionary,
        "--destdir": out,
        "--workers": workers,
        **{f"--{split}pref": f"{prefix}.{split}" for split in splits},
    }
    command = [sys.executable, "-m", "fairseq_cli.preprocess"]
    command += [str(word) for option in options.items() for word in option]
    done = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=keep_open)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise UserError(f"fairseq-preprocess failed on {prefix}.*: {last[0]}")
    (out / _LOG).unlink(missing_ok=True)


def open_binary(prefix: Path) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of all texts in one array, and the size of each text, end mark included.

    Raises:
        UserError: no such binary, or not one of fairseq's memory-mapped format.
    """
    try:
        with Path(f"{prefix}.idx").open("rb") as index:
            magic, _version, code, examples = HEADER.unpack(index.read(HEADER.size))
            if magic != MAGIC:
                raise UserError(f"{prefix}.idx: not an index of fairseq-preprocess")
            if os.fstat(index.fileno()).st_size != index.tell() + _BYTES_OF_TEXT * examples:
                raise ValueError("another number of texts than it announces")
            sizes = np.frombuffer(index.read(4 * examples), dtype=np.int32)
        tokens = np.memmap(f"{prefix}.bin", dtype=ID_TYPES[code], mode="r")
    except (OSError, struct.error, KeyError, ValueError) as error:
        raise UserError(f"{prefix}.bin, .idx: missing or cut short; prepare them again") from error
    if (sizes < 0).any() or int(sizes.sum(dtype=np.int64)) != len(tokens):
        raise UserError(f"{prefix}.bin, .idx: cut short; prepare them again")
    return tokens, sizes


def read_binary(prefix: Path) -> Binary:
    """Count what ``PREFIX.bin`` and ``PREFIX.idx`` hold (fairseq's memory-mapped format)."""
    data, sizes = open_binary(prefix)
    unknown = sum(int((data[at : at + _BLOCK] == _UNK).sum()) for at in range(0, len(data), _BLOCK))
    return Binary(len(sizes), len(data) - len(sizes), unknown)
