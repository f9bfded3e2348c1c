"""Embeddings on disk by key of model and text, in shards: nothing is embedded twice, whatever stopped a run.

A shard is ``NAME.vectors.npy`` (n x D, float32 or float16, unit length) and ``NAME.keys.npy`` (n, uint64),
the latter written last; ``NAME`` is the digest of the keys, so two processes that make the same shard write
the same files.  Vectors are read memory-mapped.
"""

import io
from collections import Counter
from functools import cached_property
from pathlib import Path

import numpy as np

from fairseq_vhm.align.keys import KEY, array_key
from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import map_array, write_bytes

KEYS, VECTORS = ".keys.npy", ".vectors.npy"
BLOCK = 16384
"""Vectors gathered at a time where no more is needed."""


class VectorStore:
    """The vectors of one model: ``folder`` is named for the model's weights and settings."""

    def __init__(self, folder: Path, precision: str) -> None:
        self.folder = folder / precision
        self.precision = precision

    def __reduce__(self) -> tuple:
        return VectorStore, (self.folder.parent, self.precision)  # without what has been read

    @property
    def name(self) -> str:
        """What the vectors depend on besides the texts."""
        return f"{self.folder.parent.name}-{self.precision}"

    def write(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        """Keep a shard.

        Raises:
            UserError: a vector is not finite or zero, or the folder cannot be written to.
        """
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise UserError(f"{self.folder.parent.name}: the model gives vectors that are no numbers or zero")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(f"--cache {self.folder}", error) from error
        name = array_key(keys)
        write_bytes(self.folder / (name + VECTORS), as_npy((vectors / norms).astype(self.precision)))
        write_bytes(self.folder / (name + KEYS), as_npy(keys))

    def missing(self, keys: np.ndarray) -> np.ndarray:
        """Those of ``keys`` that no whole shard holds, in their order."""
        return keys[~self._index.holds(keys)]

    def refresh(self) -> None:
        """Look again at what there is."""
        self.__dict__.pop("_index", None)

    def gather(self, keys: np.ndarray) -> np.ndarray:
        """Vectors of ``keys`` (n x D, float32, unit length).

        Raises:
            UserError: one is not there.
        """
        if not self._index.holds(keys).all():
            self.refresh()
        if not self._index.holds(keys).all():
            raise UserError(f"{self.folder}: embeddings are missing; run again")
        found = self._index.gather(keys).astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def cosines(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Cosine of each pair of keys (n, float32); equal whichever of the two comes first."""
        found = np.empty(len(first), dtype=np.float32)
        for start in range(0, len(first), BLOCK):
            part = slice(start, start + BLOCK)
            one, other = self.gather(first[part]), self.gather(second[part])
            found[part] = np.einsum("nd,nd->n", one, other, dtype=np.float64)
        return found

    @cached_property
    def _index(self) -> "_Index":
        return _Index(self.folder)


class _Index:
    """Which shard and row holds a key."""

    def __init__(self, folder: Path) -> None:
        self._vectors: list[np.ndarray] = []
        keys, places = [np.empty(0, np.uint64)], [np.empty((0, 2), np.int32)]
        for shard in _of_one_width(folder):
            keys.append(shard[0])
            rows = np.arange(len(shard[0]), dtype=np.int32)
            places.append(np.stack([np.full_like(rows, len(self._vectors)), rows], axis=1))
            self._vectors.append(shard[1])
        self._keys, first = np.unique(np.concatenate(keys), return_index=True)
        self._places = np.concatenate(places)[first]

    def holds(self, keys: np.ndarray) -> np.ndarray:
        if not len(self._keys):
            return np.zeros(len(keys), dtype=bool)
        return self._keys[self._at(keys)] == keys

    def gather(self, keys: np.ndarray) -> np.ndarray:
        if not len(keys):
            return np.empty((0, self._vectors[0].shape[1] if self._vectors else 0))
        places = self._places[self._at(keys)]
        shards = np.unique(places[:, 0])
        found = np.empty((len(keys), self._vectors[shards[0]].shape[1]), self._vectors[shards[0]].dtype)
        for shard in shards:
            rows = np.flatnonzero(places[:, 0] == shard)
            found[rows] = self._vectors[shard][places[rows, 1]]
        return found

    def _at(self, keys: np.ndarray) -> np.ndarray:
        return np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)


def as_npy(values: np.ndarray) -> bytes:
    """``values`` as the bytes of an ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _of_one_width(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The shards that are whole; where they are of several widths, those of the most frequent one."""
    found = [shard for path in sorted(folder.glob(f"*{KEYS}")) if (shard := _read_shard(path))]
    widths = Counter(vectors.shape[1] for _, vectors in found)
    return [shard for shard in found if shard[1].shape[1] == widths.most_common(1)[0][0]]


def _read_shard(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Keys and vectors; ``None`` for one that is damaged, which then counts as missing."""
    try:
        keys = np.array(map_array(path))
        vectors = map_array(Path(str(path).removesuffix(KEYS) + VECTORS))
    except (OSError, ValueError):
        return None
    fitting = keys.ndim == 1 and vectors.ndim == 2 and len(keys) == len(vectors)
    return (keys, vectors) if fitting and keys.dtype == KEY and vectors.dtype.kind == "f" else None
