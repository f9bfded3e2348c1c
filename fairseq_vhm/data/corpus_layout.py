"""Where the files of a corpus of many languages are, and the form of its texts; no torch.

::

    DATA/corpus.json               format, languages, splits, segmenter, number of texts, hash of dict.txt
    DATA/dict.txt                  fairseq dictionary: the pieces of all languages
    DATA/texts/articles.LANG.*     .bin, .idx: fairseq's memory-mapped format, each text once
    DATA/texts/summaries.LANG.*    .bin, .idx likewise; .txt: the summaries as they are, one a line
    DATA/texts/own.LANG.npy        int32, one an article: its own summary in its own language, or -1
    DATA/pairs/SPLIT.npy           int32 (N, 2): article, summary; grouped by direction
    DATA/pairs/SPLIT.json          the directions in the order of the groups, and the size of each
"""

import struct
from pathlib import Path

import numpy as np

Direction = tuple[str, str]
"""(source language, target language)."""

FORMAT = 1
CORPUS, DICTIONARY = "corpus.json", "dict.txt"
TEXTS, PAIRS = "texts", "pairs"
ARTICLES, SUMMARIES = "articles", "summaries"
KINDS = (ARTICLES, SUMMARIES)
"""What texts are."""
SEGMENTERS = ("sentencepiece", "mt5")

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<9sQBQ")
"""Head of an ``.idx``: magic, version, code of the token ids' type, number of texts; behind it their lengths
(int32) and the places where they begin in the ``.bin``, in bytes (int64)."""
VERSION = 1
ID_TYPES = {4: np.int32, 5: np.int64, 8: np.uint16, 9: np.uint32}
_LARGEST_SMALL_DICTIONARY = 65500


def id_type(dictionary_size: int) -> tuple[int, type]:
    """Code and type of token ids, as wide as ``fairseq-preprocess`` makes them."""
    code = 8 if dictionary_size < _LARGEST_SMALL_DICTIONARY else 4
    return code, ID_TYPES[code]


def text_prefix(folder: Path, kind: str, language: str) -> Path:
    """Path of a store of texts without its extension; ``kind`` is one of :data:`KINDS`."""
    return folder / TEXTS / f"{kind}.{language}"


def with_extension(prefix: Path, extension: str) -> Path:
    """``prefix`` with ``.bin``, ``.idx`` or ``.txt`` behind it (a code such as ``zh-CN`` has no dot)."""
    return prefix.with_name(prefix.name + extension)


def raw_path(folder: Path, language: str) -> Path:
    """The summaries of a language as they are, one a line."""
    return with_extension(text_prefix(folder, SUMMARIES, language), ".txt")


def own_path(folder: Path, language: str) -> Path:
    """Which summary is the own one of each article of a language."""
    return folder / TEXTS / f"own.{language}.npy"


def pairs_path(folder: Path, split: str) -> Path:
    """The pairs of a split; beside it the same name with ``.json``."""
    return folder / PAIRS / f"{split}.npy"
