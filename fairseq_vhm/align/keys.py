"""Texts by their digests: 64 bits, so that a million differ but for one chance in 10^7."""

import hashlib
import re
import unicodedata

import numpy as np

KEY = np.uint64
_MARKS = re.compile(r"[\W_]+")


def key_of(text: str) -> int:
    """Digest of a text, byte for byte."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")


def folded_key(text: str) -> int:
    """Digest of the letters and digits of a text, whatever their case and width; of all if there are none.

    Marks that combine with letters, such as vowel signs of Hindi, are neither.
    """
    return key_of(_MARKS.sub("", unicodedata.normalize("NFKC", text).casefold()) or text)


def array_key(*arrays: np.ndarray) -> str:
    """Digest of arrays, as a part of file names."""
    total = hashlib.blake2b(digest_size=8)
    for array in arrays:
        total.update(f"{array.dtype}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
