"""Duplicates between training and held-out text.

Two texts are the same if their keys are: NFKC, case-folded, letters and digits only.  A training
pair is a duplicate if validation or test data of any task hold the same pair, or if one of its texts
stands there on either side and is long enough not to recur by chance (a key of 24 bytes of UTF-8:
about five English words or eight Chinese characters).
"""

import hashlib
import unicodedata

from preprocess.records import Pair

_TELLING_BYTES = 24


def key_of(text: str) -> bytes:
    """The letters and digits of a text, whatever their case and width; marks that combine are neither."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, folded)).encode()


def is_telling(key: bytes) -> bool:
    """Whether a text's key is long enough not to recur by chance."""
    return len(key) >= _TELLING_BYTES


class HeldOut:
    """Digests (8 bytes) of held-out pairs and of their telling texts, and where they stand."""

    def __init__(self) -> None:
        self._places: dict[bytes, str] = {}

    def add(self, pair: Pair, place: str) -> None:
        """Remember a held-out pair; ``place`` is ``TASK.SPLIT``."""
        for digest in _digests(pair).values():
            self._places.setdefault(digest, place)

    def find(self, pair: Pair) -> str | None:
        """What makes ``pair`` a duplicate, as in ``pair cls.test`` or ``target mt.valid``."""
        for what, digest in _digests(pair).items():
            if place := self._places.get(digest):
                return f"{what} {place}"
        return None


def _digests(pair: Pair) -> dict[str, bytes]:
    """Digests to compare: that of the pair, and of each text that tells enough by itself."""
    keys = {"source": key_of(pair.source), "target": key_of(pair.target)}
    compared = {"pair": b"\0".join(keys.values())} if all(keys.values()) else {}
    compared |= {side: key for side, key in keys.items() if is_telling(key)}
    return {what: hashlib.blake2b(key, digest_size=8).digest() for what, key in compared.items()}
