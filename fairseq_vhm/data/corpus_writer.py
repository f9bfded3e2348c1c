"""Writing a corpus of many languages (:mod:`~fairseq_vhm.data.corpus_layout`); no torch.

Texts are streamed; of a text store only the lengths of its texts are kept until it is closed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_vhm.data import corpus_layout as layout
from fairseq_vhm.data.corpus_layout import ARTICLES, KINDS, SUMMARIES, Direction
from fairseq_vhm.errors import UserError


class StoreWriter:
    """Writes one store of texts as fairseq's memory-mapped format; a context manager.

    Args:
        prefix: path without ``.bin`` and ``.idx``.
        dictionary_size: decides the type of the ids, as in ``fairseq-preprocess``.
        raw: whether texts are given beside their ids, and kept in ``prefix.txt``.
    """

    def __init__(self, prefix: Path, dictionary_size: int, raw: bool = False):
        self.prefix, self.code = prefix, layout.id_type(dictionary_size)[0]
        self.dtype = np.dtype(layout.ID_TYPES[self.code])
        self.lengths = bytearray()
        self._ids = layout.with_extension(prefix, ".bin").open("wb")
        self._raw = layout.with_extension(prefix, ".txt").open("wb") if raw else None

    def add(self, ids: np.ndarray, text: str | None = None) -> int:
        """Write a text (EOS included); returns its number."""
        self._ids.write(np.asarray(ids, self.dtype).tobytes())
        self.lengths += len(ids).to_bytes(4, "little")
        if self._raw:
            self._raw.write((text or "").encode() + b"\n")
        return len(self.lengths) // 4 - 1

    def extend(self, ids: np.ndarray, lengths: np.ndarray) -> None:
        """Write texts whose ids follow each other in one array."""
        self._ids.write(ids.astype(self.dtype).tobytes())
        self.lengths += lengths.astype("<i4").tobytes()

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._ids.close()
        if self._raw:
            self._raw.close()
        if kind is None:
            write_index(self.prefix, self.code, np.frombuffer(self.lengths, np.int32))


def write_index(prefix: Path, code: int, lengths: np.ndarray) -> None:
    """``prefix.idx`` for texts of ``lengths`` (int32) tokens that follow each other in ``prefix.bin``."""
    width = np.dtype(layout.ID_TYPES[code]).itemsize
    starts = np.zeros(len(lengths), np.int64)
    np.cumsum(lengths[:-1], out=starts[1:])
    with layout.with_extension(prefix, ".idx").open("wb") as index:
        index.write(layout.HEADER.pack(layout.MAGIC, layout.VERSION, code, len(lengths)))
        index.write(np.ascontiguousarray(lengths, np.int32).tobytes())
        index.write((starts * width).tobytes())


def write_own(folder: Path, language: str, own: np.ndarray) -> None:
    """The own summary of each article of a language, -1 where it has none."""
    np.save(layout.own_path(folder, language), np.asarray(own, np.int32), allow_pickle=False)


def write_pairs(folder: Path, split: str, groups: Mapping[Direction, np.ndarray]) -> None:
    """The pairs of a split: direction -> (n, 2) numbers of article and summary; written in their order."""
    path = layout.pairs_path(folder, split)
    groups = {direction: pairs for direction, pairs in groups.items() if len(pairs)}
    texts = np.concatenate([np.empty((0, 2), np.int32), *groups.values()]).astype(np.int32, copy=False)
    np.save(path, texts, allow_pickle=False)
    listed = [{"source": s, "target": t, "count": len(pairs)} for (s, t), pairs in groups.items()]
    path.with_suffix(".json").write_text(json.dumps(listed, indent=0) + "\n", encoding="utf-8")


def write_info(
    folder: Path, languages: Iterable[str], splits: Iterable[str], segmenter: str, **more: Any
) -> None:
    """``corpus.json``, last of all: it states what the other files hold."""
    languages = list(languages)
    dictionary = (folder / layout.DICTIONARY).read_bytes()
    info = {
        "format": layout.FORMAT,
        "languages": languages,
        "splits": list(splits),
        "segmenter": segmenter,
        "texts": {lang: {kind: _texts(folder, kind, lang) for kind in KINDS} for lang in languages},
        "dictionary": {"sha256": hashlib.sha256(dictionary).hexdigest()},
        **more,
    }
    text = json.dumps(info, ensure_ascii=False, indent=2) + "\n"
    (folder / layout.CORPUS).write_text(text, encoding="utf-8")


def _texts(folder: Path, kind: str, language: str) -> int:
    path = layout.with_extension(layout.text_prefix(folder, kind, language), ".idx")
    with path.open("rb") as index:
        return layout.HEADER.unpack(index.read(layout.HEADER.size))[3]


class CorpusWriter:
    """Writes a whole corpus into a folder that appears only when all of it is there; a context manager.

    ::

        with CorpusWriter(folder, dictionary_text, segmenter="sentencepiece") as writer:
            article = writer.add_article("en", ids)
            summary = writer.add_summary("fr", ids, "le texte")
            writer.add_pair("train", "en", "fr", article, summary)
            writer.set_own("en", article, own)

    Texts are numbered as they come; it is the caller's to add each once.

    Raises:
        UserError: ``folder`` exists already.
    """

    def __init__(
        self,
        folder: Path,
        dictionary: str,
        segmenter: str,
        splits: Sequence[str] = ("train", "valid", "test"),
    ) -> None:
        self.folder = Path(folder)
        if self.folder.exists():
            raise UserError(f"{folder}: exists already; choose another folder")
        self.segmenter, self.splits = segmenter, tuple(splits)
        self.size = dictionary.count("\n") + 4
        self._partial = self.folder.parent / f".{self.folder.name}.partial"
        shutil.rmtree(self._partial, ignore_errors=True)
        for name in (layout.TEXTS, layout.PAIRS):
            (self._partial / name).mkdir(parents=True)
        (self._partial / layout.DICTIONARY).write_text(dictionary, encoding="utf-8")
        self._stores: dict[tuple[str, str], StoreWriter] = {}
        self._own: dict[str, dict[int, int]] = {}
        self._pairs: dict[str, dict[Direction, list]] = {split: {} for split in self.splits}

    def add_article(self, language: str, ids: np.ndarray) -> int:
        """Write an article (ids with EOS); returns its number in its language."""
        return self._store(ARTICLES, language).add(ids)

    def add_summary(self, language: str, ids: np.ndarray, text: str) -> int:
        """Write a summary (ids with EOS, and as it is); returns its number in its language."""
        return self._store(SUMMARIES, language).add(ids, text)

    def set_own(self, language: str, article: int, summary: int) -> None:
        """Say which summary an article has in its own language."""
        self._own.setdefault(language, {})[article] = summary

    def add_pair(self, split: str, source: str, target: str, article: int, summary: int) -> None:
        """Say that a split has this pair."""
        self._pairs[split].setdefault((source, target), []).append((article, summary))

    def _store(self, kind: str, language: str) -> StoreWriter:
        if (kind, language) not in self._stores:
            prefix = layout.text_prefix(self._partial, kind, language)
            self._stores[kind, language] = StoreWriter(prefix, self.size, raw=kind == SUMMARIES)
        return self._stores[kind, language]

    def __enter__(self) -> "CorpusWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        languages = sorted({language for _, language in self._stores})
        for language in languages if kind is None else ():
            for each in KINDS:
                self._store(each, language)
        for store in self._stores.values():
            store.__exit__(kind)
        if kind is not None:
            shutil.rmtree(self._partial)
            return
        for language in languages:
            own = np.full(len(self._stores[ARTICLES, language].lengths) // 4, -1, np.int32)
            for article, summary in self._own.get(language, {}).items():
                own[article] = summary
            write_own(self._partial, language, own)
        for split, groups in self._pairs.items():
            write_pairs(self._partial, split, {d: np.array(groups[d]) for d in sorted(groups)})
        write_info(self._partial, languages, self.splits, self.segmenter)
        os.replace(self._partial, self.folder)
