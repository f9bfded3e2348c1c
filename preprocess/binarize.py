"""``fairseq-preprocess``, and what it wrote held against what it was given.

``fairseq-preprocess`` exits 0 on sides of unequal length and on lines that it split in two, so the
numbers of examples and symbols are read back from its index files.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from fairseq_vhm.data.corpus_layout import HEADER, ID_TYPES, MAGIC
from fairseq_vhm.errors import UserError
from preprocess import fairseq_preprocess

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


class Binarizer:
    """``fairseq-preprocess`` for one task after the other, in one process as long as the ``with`` block.

    It is begun with the first task: to import fairseq takes longer than to binarize a small corpus.

    Args:
        workers: of ``fairseq-preprocess``.
        keep_open: descriptors that the process inherits.
    """

    def __init__(self, workers: int, keep_open: tuple[int, ...] = ()) -> None:
        self._workers, self._keep_open = workers, keep_open
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        self._output = tempfile.TemporaryFile()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._output.close()
        if self._process is not None:
            if kind is not None:
                self._process.kill()
            self._process.communicate()

    def binarize(
        self, prefix: Path, splits: list[str], suffixes: tuple[str, str], dictionary: Path, out: Path
    ) -> None:
        """Run ``fairseq-preprocess`` on ``PREFIX.SPLIT.LANG`` into ``out``.

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
            "--workers": self._workers,
            **{f"--{split}pref": f"{prefix}.{split}" for split in splits},
        }
        if not self._is_done([str(word) for option in options.items() for word in option]):
            self._output.seek(0)
            last = self._output.read().decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
            raise UserError(f"fairseq-preprocess failed on {prefix}.*: {last[0]}")
        (out / _LOG).unlink(missing_ok=True)

    def _is_done(self, arguments: list[str]) -> bool:
        """Whether the process carried out a command; else it has ended."""
        self._process = self._process or self._start()
        requests, replies = self._process.stdin, self._process.stdout
        assert requests is not None and replies is not None
        with suppress(BrokenPipeError):
            requests.write(json.dumps(arguments).encode() + b"\n")
        return replies.readline() == fairseq_preprocess.DONE

    def _start(self) -> subprocess.Popen:
        # -u: what it prints stands in order; -P: modules of this folder hide none of fairseq's
        return subprocess.Popen(
            [sys.executable, "-uP", fairseq_preprocess.__file__],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            pass_fds=self._keep_open,
        )


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
