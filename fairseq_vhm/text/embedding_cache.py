"""Embeddings kept: sentence vectors on disk between runs, token vectors in memory within one."""

import hashlib
from collections import OrderedDict
from pathlib import Path

import numpy as np

from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import write_bytes

CHECKSUM_BYTES = 16
RECENT_BYTES = 1 << 30


class EmbeddingFolder:
    """One file for each text below ``folder/key``; a file that is damaged counts as missing.

    ``key`` names all that a vector depends on besides the text: the model's weights and settings.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / key

    @staticmethod
    def check(folder: Path, flag: str) -> None:
        """Refuse a place where no folder can be made, before long work is done for it."""
        if (folder.exists() and not folder.is_dir()) or not folder.parent.is_dir():
            raise UserError(f"{flag} {folder}: not a folder, nor can it be made; give another one")

    def get(self, text: str) -> np.ndarray | None:
        try:
            content = self._path(text).read_bytes()
        except OSError:
            return None
        checksum, vector = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
        if not vector or checksum != _checksum(vector):
            return None
        return np.frombuffer(vector, dtype=np.float32)

    def put(self, text: str, vector: np.ndarray) -> None:
        path, content = self._path(text), vector.astype(np.float32).tobytes()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path.parent, error) from error
        write_bytes(path, _checksum(content) + content)

    def _path(self, text: str) -> Path:
        name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / name[:2] / name


class RecentArrays:
    """Arrays by key, those that were used last within a limit of bytes."""

    def __init__(self, limit: int = RECENT_BYTES) -> None:
        self.limit = limit
        self._arrays: OrderedDict[object, np.ndarray] = OrderedDict()
        self._bytes = 0

    def get(self, key: object) -> np.ndarray | None:
        if key in self._arrays:
            self._arrays.move_to_end(key)
        return self._arrays.get(key)

    def put(self, key: object, array: np.ndarray) -> None:
        if key in self._arrays:
            return
        self._arrays[key] = array
        self._bytes += array.nbytes
        while self._bytes > self.limit and len(self._arrays) > 1:
            _, oldest = self._arrays.popitem(last=False)
            self._bytes -= oldest.nbytes


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:CHECKSUM_BYTES]
