"""The nearest summary of one language to each of another, by cosine, with FAISS (Douze et al., 2024).

A task is one ordered pair of languages; its answer is a file, so a stopped run goes on where it was.  One
language's index is in memory at a time, and queries come in blocks.  Only distinct summaries are searched.
"""

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_vhm.align.keys import array_key
from fairseq_vhm.align.settings import Searching
from fairseq_vhm.align.store import BLOCK, VectorStore, as_npy
from fairseq_vhm.align.workers import Workers
from fairseq_vhm.files import write_bytes

TRAINING = 39
"""Vectors for each list below which FAISS warns that IVF's clusters are badly trained; then the search is
exact, which for so few vectors is as fast."""
MOST_TRAINING = 64
SAMPLE = 200
"""Queries whose exact answer IVF's is held against, for each ordered pair of languages."""


@dataclass(frozen=True)
class Neighbours:
    """The answer for N summaries of one language.

    Args:
        target: (N, int32) the nearest summary of the other language, or -1 where IVF found none.
        cosine: (N, float32) its cosine, computed from the two vectors whatever the index is.
        sample, exact: queries for which the exact greatest cosine is known, and that (none if all are).
    """

    target: np.ndarray
    cosine: np.ndarray
    sample: np.ndarray
    exact: np.ndarray


@dataclass(frozen=True)
class SearchTask:
    """Keys of two languages' summaries lie in files, so that a process reads what it needs."""

    store: VectorStore
    source: Path
    target: Path
    out: Path
    mark: str
    settings: Searching


class Searches:
    """The answers of all ordered pairs of languages, below ``folder``."""

    def __init__(
        self, folder: Path, store: VectorStore, keys: dict[str, np.ndarray], settings: Searching
    ) -> None:
        """``keys``: language -> keys of its distinct summaries."""
        self.folder, self.store, self.keys, self.settings = folder, store, keys, settings
        self._digests = {language: array_key(kept) for language, kept in keys.items()}

    def run(self, workers: Workers, progress: Any) -> int:
        """Search what has not been searched yet; says how many ordered pairs of languages that were."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for language, keys in self.keys.items():
            write_bytes(self._keys(language), as_npy(keys))
        tasks = [self._task(*pair) for pair in self._pairs() if self.read(*pair) is None]
        if tasks:
            progress.stage(f"search {len(tasks):,} pairs of languages", len(tasks))
            for _ in workers.map(search, tasks):
                progress.advance(1)
            _index.cache_clear()
        return len(tasks)

    def read(self, source: str, target: str) -> Neighbours | None:
        """The answer, if it is there and that of these vectors and settings."""
        try:
            with np.load(self._out(source, target), allow_pickle=False) as file:
                if str(file["mark"]) == self._mark(source, target):
                    return Neighbours(*(file[name] for name in ("target", "cosine", "sample", "exact")))
        except Exception:  # not there, or damaged, on which numpy and zipfile fail in many ways: to be made
            return None
        return None

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """Ordered pairs, those of one target together: a process keeps its index."""
        return ((source, target) for target, source in permutations(self.keys, 2))

    def _task(self, source: str, target: str) -> SearchTask:
        keys = self._keys(source), self._keys(target)
        return SearchTask(
            self.store, *keys, self._out(source, target), self._mark(source, target), self.settings
        )

    def _mark(self, source: str, target: str) -> str:
        """All that an answer depends on."""
        return f"{self.store.name} {self._digests[source]} {self._digests[target]} {self.settings}"

    def _keys(self, language: str) -> Path:
        return self.folder / f"{language}.keys-{self._digests[language]}.npy"

    def _out(self, source: str, target: str) -> Path:
        return self.folder / f"{source}-{target}.npz"


def search(task: SearchTask) -> Path:
    """Do one task; returns the file that holds its answer."""
    source, target = np.load(task.source), np.load(task.target)
    index = _index(task.store.folder.parent, task.store.precision, task.target, task.settings)
    queries = Stored(task.store, source)
    starts = range(0, len(source), BLOCK)
    found = np.concatenate([nearest(index, queries[start : start + BLOCK]) for start in starts])
    cosine = np.full(len(source), -1, dtype=np.float32)
    there = found >= 0
    cosine[there] = task.store.cosines(source[there], target[found[there]])
    sample = np.empty(0, dtype=np.int64) if is_exact(index) else _spread(len(source), SAMPLE)
    exact = best_cosines(queries[sample], Stored(task.store, target))
    arrays: dict[str, Any] = {"target": found, "cosine": cosine, "sample": sample, "exact": exact}
    arrays["mark"] = np.array(task.mark)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(task.out, buffer.getvalue())
    return task.out


@dataclass(frozen=True)
class Stored:
    """Vectors of a store as if they were one array: slices and lists of rows are read from disk."""

    store: VectorStore
    keys: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.store.gather(self.keys[rows])


def build_index(vectors: "Stored | np.ndarray", settings: Searching) -> Any:
    """FAISS's index of N vectors (N x D, float32), read in blocks: IVF where wanted and trainable."""
    faiss = _read_faiss()
    size = len(vectors)
    lists = settings.lists or round(4 * size**0.5)
    index = faiss.IndexFlatIP(vectors[:1].shape[1])
    if settings.index == "ivf" and size >= TRAINING * lists:
        index = faiss.IndexIVFFlat(index, index.d, lists, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = min(settings.probes, lists)
        index.train(vectors[_spread(size, MOST_TRAINING * lists)])
    else:
        index.codes.resize(size * index.code_size)  # room for all: as it grows, FAISS would copy it
    for start in range(0, size, BLOCK):
        index.add(vectors[start : start + BLOCK])
    return index


def _read_faiss() -> Any:
    """The library, kept from telling how it looks for itself where fairseq has set all loggers to DEBUG."""
    logging.getLogger("faiss").setLevel(logging.WARNING)
    import faiss

    return faiss


def nearest(index: Any, queries: np.ndarray) -> np.ndarray:
    """The nearest vector to each query (n, int32); -1 where none was found."""
    return index.search(queries, 1)[1][:, 0].astype(np.int32)


def is_exact(index: Any) -> bool:
    return not hasattr(index, "nprobe")


def best_cosines(queries: np.ndarray, vectors: "Stored | np.ndarray") -> np.ndarray:
    """The greatest cosine of each query to any of ``vectors`` (n, float32), by comparing all."""
    best = np.full(len(queries), -1, dtype=np.float32)
    for start in range(0, len(vectors) if len(queries) else 0, BLOCK):
        best = np.maximum(best, (queries @ vectors[start : start + BLOCK].T).max(axis=1))
    return best


def _spread(size: int, most: int) -> np.ndarray:
    """At most ``most`` of ``size`` rows, evenly chosen."""
    return np.unique(np.linspace(0, size - 1, min(most, size)).round().astype(np.int64))


@lru_cache(maxsize=1)
def _index(folder: Path, precision: str, keys: Path, settings: Searching) -> Any:
    """The index of a language; a process keeps its last. The path of the keys names their digest."""
    return build_index(Stored(VectorStore(folder, precision), np.load(keys)), settings)
