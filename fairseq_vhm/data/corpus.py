"""A corpus of many languages: each text once, and pairs as two integers (made by ``vhm prepare crosssum``).

CrossSum (Bhattacharjee et al., ACL 2023) joins an article of one language with the summary of the same event
in another, in some 1,500 directions; an article stands in up to 44 of them.  Here each article and each
summary is binarised once, and a pair says which article and which summary
(:mod:`~fairseq_vhm.data.corpus_layout` names the files).

Opening reads headers, and the pairs to check them; texts are memory-mapped when they are first asked for,
and again in each process that a corpus is sent to.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq.data import FairseqDataset
from torch import Tensor

from fairseq_vhm.data import corpus_layout as layout
from fairseq_vhm.data.corpus_files import (
    AGAIN,
    check_range,
    check_store,
    load_array,
    mapped,
    read_groups,
    read_header,
    read_info,
)
from fairseq_vhm.data.corpus_layout import ARTICLES, KINDS, SUMMARIES, Direction
from fairseq_vhm.errors import UserError

DERIVED = ("ms", "mt")


class TextStore(FairseqDataset):
    """The texts of one kind and language, memory-mapped: item ``i`` is a LongTensor that ends in EOS.

    fairseq's own reader of this format reads a whole file once to warm it up; this one does not.  It pickles
    as its path.
    """

    def __init__(self, prefix: Path):
        self.prefix = Path(prefix)
        code, count = read_header(self.prefix)
        index = layout.with_extension(self.prefix, ".idx")
        start = layout.HEADER.size
        self.sizes = mapped(index, np.int32, start, count)
        self._starts = mapped(index, np.int64, start + 4 * count, count)
        ids, dtype = layout.with_extension(self.prefix, ".bin"), np.dtype(layout.ID_TYPES[code])
        self._ids = mapped(ids, dtype, 0, ids.stat().st_size // dtype.itemsize)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Tensor:
        start = int(self._starts[index]) // self._ids.itemsize
        return torch.from_numpy(self._ids[start : start + int(self.sizes[index])].astype(np.int64))

    def num_tokens(self, index: int) -> int:
        """Length of a text in tokens, EOS included."""
        return int(self.sizes[index])

    def size(self, index: int) -> int:
        """As :meth:`num_tokens`."""
        return int(self.sizes[index])

    def __reduce__(self) -> tuple:
        return type(self), (self.prefix,)


@dataclass(frozen=True, eq=False)
class PairTable:
    """Pairs of a split, grouped by direction; the number of a pair (0 to N - 1) is its place here.

    Args:
        directions: source and target language of each of P groups, each once.
        offsets: int64 (P + 1): group g is the pairs ``offsets[g]`` to ``offsets[g + 1]``.
        texts: int32 (N, 2): number of the source text and of the summary in their languages' stores.
        sources: which store the source texts are in: ``articles``, or ``summaries`` for MT.
    """

    directions: tuple[Direction, ...]
    offsets: np.ndarray
    texts: np.ndarray
    sources: str = ARTICLES

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def counts(self) -> np.ndarray:
        """int64 (P): how many pairs each direction has."""
        return np.diff(self.offsets)

    @cached_property
    def groups(self) -> dict[Direction, int]:
        """The number of each direction's group."""
        return {direction: group for group, direction in enumerate(self.directions)}

    def of(self, direction: Direction) -> np.ndarray:
        """int32 (n, 2): the pairs of a direction, none where it has none; a view."""
        if direction not in self.groups:
            return self.texts[:0]
        group = self.groups[direction]
        return self.texts[self.offsets[group] : self.offsets[group + 1]]

    def group_of(self, pairs: np.ndarray | int) -> np.ndarray:
        """The number of the group that each of ``pairs`` (numbers) is in."""
        return np.searchsorted(self.offsets, pairs, side="right") - 1

    def __reduce__(self) -> tuple:
        content = self.texts
        if isinstance(content, np.memmap) and _is_whole(content):
            return _mapped_table, (content.filename, self.directions, self.offsets, self.sources)
        return type(self), (self.directions, self.offsets, content, self.sources)


class Corpus:
    """Texts and pairs of a folder that ``vhm prepare crosssum`` made; :meth:`open` makes one."""

    def __init__(self, folder: Path, info: dict):
        self.folder, self.info = folder, info
        self.languages: tuple[str, ...] = tuple(info["languages"])
        self.splits: tuple[str, ...] = tuple(info["splits"])
        self.segmenter: str = info["segmenter"]
        self._opened: dict = {}

    @classmethod
    def open(cls, folder: str | Path) -> "Corpus":
        """The corpus of ``folder``, with its files held against each other.

        Raises:
            UserError: a file is missing, cut short or of another corpus; names it and the remedy.
        """
        folder = Path(folder)
        corpus = cls(folder, read_info(folder))
        for language in corpus.languages:
            corpus._check_texts(language)
        for split in corpus.splits:
            corpus._check_pairs(corpus.pairs(split), split)
        return corpus

    @property
    def dictionary(self) -> str:
        """Path of the fairseq dictionary of all languages."""
        return str(self.folder / layout.DICTIONARY)

    def count(self, kind: str, language: str) -> int:
        """How many texts of a kind (``articles``, ``summaries``) a language has."""
        return self.info["texts"][self._known(language)][kind]

    def texts(self, kind: str, language: str) -> TextStore:
        """The texts of a kind and language as token ids."""
        prefix = layout.text_prefix(self.folder, kind, self._known(language))
        return self._once((kind, language), lambda: TextStore(prefix))

    def articles(self, language: str) -> TextStore:
        """The articles of a language as token ids."""
        return self.texts(ARTICLES, language)

    def summaries(self, language: str) -> TextStore:
        """The summaries of a language as token ids."""
        return self.texts(SUMMARIES, language)

    def summary_texts(self, language: str) -> list[str]:
        """The summaries of a language as they are, to score against.

        Raises:
            UserError: there are not as many lines as summaries.
        """
        path = layout.raw_path(self.folder, self._known(language))
        try:
            lines = path.read_bytes().decode("utf-8").split("\n")[:-1]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); {AGAIN}") from error
        if len(lines) != self.count(SUMMARIES, language):
            raise UserError(
                f"{path}: {len(lines):,} lines for {self.count(SUMMARIES, language):,} summaries; {AGAIN}"
            )
        return lines

    def own_summaries(self, language: str) -> np.ndarray:
        """int32, one an article of a language: its own summary's number, -1 where it has none."""
        path = layout.own_path(self.folder, self._known(language))
        return self._once(("own", language), lambda: load_array(path))

    def pairs(self, split: str) -> PairTable:
        """The pairs of a split.

        Raises:
            UserError: no such split, or broken files.
        """
        if split not in self.splits:
            raise UserError(f"{self.folder}: has no split '{split}'; it has {', '.join(self.splits)}")
        path = layout.pairs_path(self.folder, split)
        return self._once(("pairs", split), lambda: _mapped_table(path, *read_groups(path)))

    def derived(self, split: str, task: str) -> PairTable:
        """Pairs of another task from the articles of a split's pairs, and from no others.

        ``ms``: each article once, with its own summary.  ``mt``: the own summary of a pair's article with
        the pair's summary, for pairs of two languages; its source texts are summaries too.

        Raises:
            UserError: no such split, or ``task`` is neither.
        """
        if task not in DERIVED:
            raise UserError(f"a corpus gives {', '.join(DERIVED)} beside its pairs, not '{task}'")
        derive = self._translations if task == "mt" else self._own_pairs
        return self._once((task, split), lambda: derive(self.pairs(split)))

    def _own_pairs(self, table: PairTable) -> PairTable:
        articles: dict[str, list[np.ndarray]] = {}
        for direction in table.directions:
            articles.setdefault(direction[0], []).append(table.of(direction)[:, 0])
        groups = {}
        for language, parts in sorted(articles.items()):
            numbers = np.unique(np.concatenate(parts))
            groups[language, language] = _with_own(numbers, self.own_summaries(language)[numbers])
        return _table(groups, ARTICLES)

    def _translations(self, table: PairTable) -> PairTable:
        groups = {}
        for source, target in table.directions:
            if source != target:
                pairs = table.of((source, target))
                own = self.own_summaries(source)[pairs[:, 0]]
                groups[source, target] = np.unique(np.stack([own, pairs[:, 1]], 1)[own >= 0], axis=0)
        return _table(groups, SUMMARIES)

    def _known(self, language: str) -> str:
        if language not in self.languages:
            raise UserError(
                f"{self.folder}: has no texts in '{language}'; its languages are {', '.join(self.languages)}"
            )
        return language

    def _once(self, key: tuple, open_it: Callable[[], Any]) -> Any:
        if key not in self._opened:
            self._opened[key] = open_it()
        return self._opened[key]

    def _check_texts(self, language: str) -> None:
        for kind in KINDS:
            check_store(layout.text_prefix(self.folder, kind, language), self.count(kind, language))
        raw = layout.raw_path(self.folder, language)
        if not raw.is_file():
            raise UserError(f"{raw}: missing; {AGAIN}")
        path, own = layout.own_path(self.folder, language), self.own_summaries(language)
        if own.shape != (self.count(ARTICLES, language),):
            raise UserError(
                f"{path}: {own.size:,} numbers for {self.count(ARTICLES, language):,} articles; {AGAIN}"
            )
        check_range(path, own, -1, self.count(SUMMARIES, language), f"summaries of {language}")

    def _check_pairs(self, table: PairTable, split: str) -> None:
        path = layout.pairs_path(self.folder, split)
        for unknown in {language for pair in table.directions for language in pair} - {*self.languages}:
            raise UserError(
                f"{path.with_suffix('.json')}: '{unknown}' is no language of {layout.CORPUS}; {AGAIN}"
            )
        for direction in table.directions:
            for side, (kind, language) in enumerate(zip(KINDS, direction, strict=True)):
                numbers = table.of(direction)[:, side]
                check_range(path, numbers, 0, self.count(kind, language), f"{kind} of {language}")

    def __reduce__(self) -> tuple:
        return type(self), (self.folder, self.info)


def _with_own(numbers: np.ndarray, own: np.ndarray) -> np.ndarray:
    return np.stack([numbers, own], axis=1)[own >= 0]


def _table(groups: dict[Direction, np.ndarray], sources: str) -> PairTable:
    """A table of groups, the empty ones left out."""
    groups = {direction: pairs for direction, pairs in groups.items() if len(pairs)}
    offsets = np.cumsum([0, *map(len, groups.values())], dtype=np.int64)
    texts = np.concatenate([np.empty((0, 2), np.int32), *groups.values()]).astype(np.int32, copy=False)
    return PairTable(tuple(groups), offsets, texts, sources)


def _is_whole(array: np.memmap) -> bool:
    """Whether a mapped array is all that its file holds, and not a part of it."""
    return array.offset + array.nbytes == Path(str(array.filename)).stat().st_size


def _mapped_table(
    path: Path, directions: Iterable, offsets: np.ndarray, sources: str = ARTICLES
) -> PairTable:
    """The pairs of ``path``, memory-mapped.

    Raises:
        UserError: it is missing or cut short, or has another size than its groups.
    """
    path = Path(path)
    texts = load_array(path)
    if texts.ndim != 2 or texts.shape[1] != 2 or len(texts) != offsets[-1]:
        raise UserError(
            f"{path}: an array of shape {texts.shape} where {path.with_suffix('.json').name} counts "
            f"{int(offsets[-1]):,} pairs; {AGAIN}"
        )
    return PairTable(tuple(directions), offsets, texts, sources)
