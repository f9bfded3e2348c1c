"""Segmenting a file line by line on several cores, in order and in bounded memory.

Truncation: a text of more than ``limit`` symbols keeps its first ``limit``, and is counted; 0 is no
limit.
"""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

from fairseq_vhm.text.segment import Segmenter
from preprocess.lengths import Lengths
from preprocess.progress import Progress

_CHUNK_LINES = 500
_CHUNKS_A_WORKER = 4


@dataclass
class Encoded:
    """What was seen while lines were segmented; lengths are those before truncation."""

    lines: int = 0
    symbols: int = 0
    truncated: int = 0
    lengths: Lengths = field(default_factory=Lengths)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, symbols: list[str], limit: int) -> list[str]:
        """Count one text and return what is kept of it."""
        self.lines += 1
        self.lengths.add(len(symbols))
        if 0 < limit < len(symbols):
            symbols = symbols[:limit]
            self.truncated += 1
        self.symbols += len(symbols)
        self.counts.update(symbols)
        return symbols

    def merge(self, other: "Encoded") -> None:
        self.lines += other.lines
        self.symbols += other.symbols
        self.truncated += other.truncated
        self.lengths.merge(other.lengths)
        self.counts.update(other.counts)

    def summary(self) -> dict:
        return {
            "lines": self.lines,
            "symbols": self.symbols,
            "truncated": self.truncated,
            "length": self.lengths.summary(),
        }


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


Map = Callable[[Callable, Iterator], Iterator]


class Encoder:
    """Segments files with an ordered, lazy ``map`` that may run elsewhere."""

    def __init__(self, mapped: Map, progress: Progress) -> None:
        self._map = mapped
        self._progress = progress

    def encode_file(self, raw: Path, out: Path, lang: str, limit: int) -> Encoded:
        """Write the symbols of each line of ``raw`` to ``out`` and say what was seen."""
        total = Encoded()
        encode = partial(_encode_chunk, lang, limit)
        with raw.open(encoding="utf-8", newline="\n") as lines, out.open("wb") as written:
            for block, seen in self._map(encode, chunks(lines)):
                written.write(block)
                total.merge(seen)
                self._progress.advance(seen.lines)
        return total


@contextmanager
def encoder(segmenter: Segmenter, workers: int, progress: Progress) -> Iterator[Encoder]:
    """An :class:`Encoder` whose processes (none for one worker) live as long as the block."""
    with ordered_map(workers, _start_worker, segmenter) as mapped:
        yield Encoder(mapped, progress)


@contextmanager
def ordered_map(workers: int, start: Callable, *arguments: Any) -> Iterator[Map]:
    """A lazy ``map`` over ``workers`` processes (none for one) in each of which ``start(*arguments)`` ran."""
    if workers == 1:
        start(*arguments)
        yield map
        return
    with (
        multiprocessing.Pool(workers, _start_process, (start, arguments)) as pool,
        _ahead(pool, workers * _CHUNKS_A_WORKER) as mapped,
    ):
        yield mapped


@contextmanager
def _ahead(pool: Any, most: int) -> Iterator[Map]:
    """``pool.imap`` that reads its input only ``most`` items ahead of what was taken from it.

    The thread of ``pool`` that waits to read on is let go at the end, or the pool could not be ended.
    """
    slots, over = Semaphore(most), Event()

    def admitted(items: Iterator) -> Iterator:
        for item in items:
            slots.acquire()
            if over.is_set():
                return
            yield item

    def mapped(function: Callable, items: Iterator) -> Iterator:
        for result in pool.imap(function, admitted(items)):
            slots.release()
            yield result

    try:
        yield mapped
    finally:
        over.set()
        slots.release()


def chunks(lines: Iterator[str]) -> Iterator[list[str]]:
    """Lines in lists of the size that one worker takes at a time."""
    while chunk := list(islice(lines, _CHUNK_LINES)):
        yield chunk


_segmenter: Segmenter | None = None


def _start_worker(segmenter: Segmenter) -> None:
    global _segmenter
    _segmenter = segmenter


def _start_process(start: Callable, arguments: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to meet
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # how a pool ends its processes, whatever the main one does
    start(*arguments)


def _encode_chunk(lang: str, limit: int, lines: list[str]) -> tuple[bytes, Encoded]:
    assert _segmenter is not None, "see _start_worker"
    seen = Encoded()
    kept = []
    for line in lines:
        encoded = _segmenter.encode(line.removesuffix("\n"), lang)
        symbols = encoded.split(" ") if encoded else []
        kept.append(" ".join(seen.add(symbols, limit)) + "\n")
    return "".join(kept).encode(), seen
