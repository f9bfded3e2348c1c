"""Numbers by digests of texts, some 30 bytes an entry: what tells whether a text was met before."""

import hashlib

import numpy as np

_SMALLEST = 1 << 10
_NONE = -1


def digest(text: str | bytes) -> int:
    """64 bits that stand for a text; not 0."""
    data = text.encode() if isinstance(text, str) else text
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1


class Numbers:
    """Digest -> number, open addressing with linear probing at most half full."""

    def __init__(self) -> None:
        self._count = 0
        self._make(_SMALLEST)

    def __len__(self) -> int:
        return self._count

    def get(self, key: int) -> int:
        """The number of a digest, -1 where it has none."""
        return self._values[self._slot(key)]

    def setdefault(self, key: int, number: int) -> int:
        """The number of a digest, which is ``number`` from now on if it had none."""
        slot = self._slot(key)
        if self._keys[slot]:
            return self._values[slot]
        self._keys[slot], self._values[slot] = key, number
        self._count += 1
        if 2 * self._count > self._mask:
            self._grow()
        return number

    def items(self) -> tuple[np.ndarray, np.ndarray]:
        """All digests (uint64) and their numbers (int32), in no order."""
        keys, values = np.asarray(self._keys), np.asarray(self._values)
        return keys[keys != 0], values[keys != 0]

    def _make(self, size: int) -> None:
        self._mask = size - 1
        self._keys = memoryview(np.zeros(size, np.uint64))  # type: ignore[arg-type]  # it has a buffer
        self._values = memoryview(np.full(size, _NONE, np.int32))  # type: ignore[arg-type]  # likewise

    def _slot(self, key: int) -> int:
        keys, mask = self._keys, self._mask
        slot = key & mask
        while keys[slot] and keys[slot] != key:
            slot = slot + 1 & mask
        return slot

    def _grow(self) -> None:
        keys, values = self.items()
        self._make(2 * (self._mask + 1))
        for key, value in zip(keys.tolist(), values.tolist(), strict=True):
            slot = self._slot(key)
            self._keys[slot], self._values[slot] = key, value
