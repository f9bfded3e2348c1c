"""Duplicates between training and held-out text.

Two texts are the same if their keys are: NFKC, case-folded, letters and digits only.  A training
pair is a duplicate if both its keys also stand in held-out text (validation or test of any task),
or one of them does and is long enough not to recur by chance (24 bytes of UTF-8: about five English
words or eight Chinese characters).
"""

import hashlib
import unicodedata

from preprocess.records import Pair

_TELLING_BYTES = 24


def key_of(text: str) -> bytes:
    """What remains of a text when case, width, blanks and punctuation do not matter."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, folded)).encode()


class HeldOut:
    """Keys of the held-out texts (8 bytes each), by the split that they stand in."""

    def __init__(self) -> None:
        self._keys: dict[bytes, str] = {}

    def add(self, pair: Pair, where: str) -> None:
        """Remember both texts of a held-out pair; ``where`` is ``TASK.SPLIT``."""
        for text in (pair.source, pair.target):
            key = key_of(text)
            if key:
                self._keys.setdefault(_digest(key), where)

    def find(self, pair: Pair) -> str | None:
        """``SIDE TASK.SPLIT`` of a held-out text that makes ``pair`` a duplicate, else None."""
        found = {}
        telling = {}
        for side, text in (("source", pair.source), ("target", pair.target)):
            key = key_of(text)
            where = self._keys.get(_digest(key)) if key else None
            if where:
                found[side] = where
                if len(key) >= _TELLING_BYTES:
                    telling[side] = where
        if len(found) == 2:
            return f"both {found['source']}"
        return next((f"{side} {where}" for side, where in telling.items()), None)


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=8).digest()
