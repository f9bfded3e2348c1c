"""Collecting: each text of a language written once, the pairs as numbers, the own summary of each article.

Held-out splits are read before training, which is held against them.  In memory are kept some 60 bytes of a
text (two digests: its own and its page's) and 8 of a pair.
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from fairseq_vhm.data import corpus_layout as layout
from fairseq_vhm.data.corpus_layout import ARTICLES, KINDS, SUMMARIES
from fairseq_vhm.data.corpus_writer import write_own, write_pairs
from fairseq_vhm.errors import UserError
from preprocess.crosssum.digests import Numbers, digest
from preprocess.crosssum.leaks import HeldOutRows, Leak
from preprocess.crosssum.rows import Row
from preprocess.progress import Progress
from preprocess.records import Dropped, Pair, Problem

READING_ORDER = ("valid", "test", "train")
RAW = "raw"
_NONE = -1


def raw_path(folder: Path, kind: str, language: str) -> Path:
    """Where the texts of a store are as text, one a line; those of summaries stay in the corpus."""
    if kind == SUMMARIES:
        return layout.raw_path(folder, language)
    return folder / RAW / f"{kind}.{language}.txt"


class TextPool:
    """The texts of one kind and language, each written once, one a line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._numbers, self._of_page = Numbers(), Numbers()
        self.count = 0

    def number(self, text: str) -> int:
        """The number of a text, -1 where it is not there."""
        return self._numbers.get(digest(text))

    def add(self, text: str) -> int:
        """The number of a text, written now if it is new."""
        number = self._numbers.setdefault(digest(text), self.count)
        if number == self.count:
            self._file.write(text + "\n")
            self.count += 1
        return number

    def of_page(self, page: str, number: int) -> int:
        """The text of a page: ``number`` from now on if the page had none."""
        return self._of_page.setdefault(digest(page), number)

    def pages(self) -> tuple[np.ndarray, np.ndarray]:
        """Digests of pages and the number of each one's text."""
        return self._of_page.items()

    def close(self) -> None:
        self._file.close()


class Collector:
    """Writes texts, pairs and own summaries of all splits below ``folder``; :meth:`close` ends it.

    Args:
        findings: where each problem, leak and contradiction is listed.
        on_error: ``stop`` at bad rows, or ``drop`` them.
        drop_leaks: leave out training rows that are held out.

    Attributes:
        first_leak: where the first of them stands.
    """

    def __init__(self, folder: Path, findings: TextIO, on_error: str, drop_leaks: bool) -> None:
        self.folder, self.findings, self.on_error = folder, findings, on_error
        self.drop_leaks = drop_leaks
        self.first_leak: str | None = None
        self._pools: dict[tuple[str, str], TextPool] = {}
        self._own: dict[str, array] = {}
        self._held_out = HeldOutRows()
        self._before: dict[tuple[str, str], int] = {}
        self._leaking: dict[int, Leak] = {}

    @property
    def languages(self) -> list[str]:
        """All languages that have a text, in the order of their codes."""
        return sorted({language for _, language in self._pools})

    def collect(self, split: str, items: Iterator[Pair | Problem], progress: Progress) -> dict:
        """Read a split and write its pairs.

        Returns:
            Counts: ``rows`` that are sound, ``pairs`` written, ``directions``, ``repeated`` pairs that were
            left out, ``dropped`` by reason, ``leaks`` and ``contradictions`` by what.

        Raises:
            UserError: a problem under ``stop``, or no pair is left.
        """
        dropped = Dropped(self.on_error, self.findings)
        groups: dict[tuple[str, str], array] = {}
        leaks: Counter[str] = Counter()
        contradictions: Counter[str] = Counter()
        rows = 0
        self._before = {key: pool.count for key, pool in self._pools.items()}
        rows_of_split: Iterator = progress.counted(dropped.filter(items))
        for row in rows_of_split:
            rows += 1
            if leak := self._leak(row, split):
                leaks[" ".join(leak)] += 1
                if self._drops(row, split, leak):
                    continue
            groups.setdefault(row.direction, array("i")).extend(self._add(row, contradictions))
            if split != "train":
                self._held_out.add(row, split)
        written = self._write(split, groups, rows)
        return {
            "rows": rows,
            "pairs": written,
            "directions": len(groups),
            "repeated": sum(map(len, groups.values())) // 2 - written,
            "dropped": dict(sorted(dropped.reasons.items())),
            "leaks": dict(sorted(leaks.items())),
            "contradictions": dict(sorted(contradictions.items())),
        }

    def close(self) -> dict[str, dict[str, int]]:
        """Write own summaries and end all files.

        Returns:
            For each language the number of ``articles``, ``summaries``, and ``own``: articles whose own
            summary is known.
        """
        return {language: self._close(language) for language in self.languages}

    def _pool(self, kind: str, language: str) -> TextPool:
        if (kind, language) not in self._pools:
            self._pools[kind, language] = TextPool(raw_path(self.folder, kind, language))
        return self._pools[kind, language]

    def _add(self, row: Row, contradictions: Counter) -> tuple[int, int]:
        """The numbers of a row's article and summary."""
        texts, pages = (row.source, row.target), (row.source_page, row.target_page)
        numbers = []
        for kind, language, text, page in zip(KINDS, row.direction, texts, pages, strict=True):
            pool = self._pool(kind, language)
            is_new, number = pool.number(text) < 0, pool.add(text)
            if page and pool.of_page(page, number) != number and is_new:
                self._contradict(row, f"another text in {kind} of {page}, both kept", contradictions, kind)
            numbers.append(number)
        if row.source_lang == row.target_lang:
            self._set_own(row, numbers[0], numbers[1], contradictions)
        return numbers[0], numbers[1]

    def _set_own(self, row: Row, article: int, summary: int, contradictions: Counter) -> None:
        own = self._own.setdefault(row.source_lang, array("i"))
        own.extend([_NONE] * (article + 1 - len(own)))
        if own[article] == _NONE:
            own[article] = summary
        elif own[article] != summary:
            self._contradict(row, "another own summary of its article, first kept", contradictions, "own")

    def _contradict(self, row: Row, what: str, contradictions: Counter, kind: str) -> None:
        contradictions[kind] += 1
        self.findings.write(f"{row.origin}: {what}\n")

    def _leak(self, row: Row, split: str) -> Leak | None:
        """What of a row another split holds out."""
        found = (
            self._held_out.find_page(row, split),
            self._text_leak(ARTICLES, row.source_lang, row.source, split),
            self._text_leak(SUMMARIES, row.target_lang, row.target, split),
        )
        return next(filter(None, found), None)

    def _text_leak(self, kind: str, language: str, text: str, split: str) -> Leak | None:
        """The leak of a text; one that this split has had before was judged then."""
        if self._pool(kind, language).number(text) >= self._before.get((kind, language), 0):
            return self._leaking.get(digest(text))
        leak = self._held_out.find_text(kind, text, split)
        if leak:
            self._leaking[digest(text)] = leak
        return leak

    def _drops(self, row: Row, split: str, leak: Leak) -> bool:
        drops = self.drop_leaks and split == "train"
        if split == "train" and self.first_leak is None:
            self.first_leak = row.origin
        fate = "dropped" if drops else "kept"
        self.findings.write(f"{row.origin}: held out, {fate}: {leak.what} {leak.split}\n")
        return drops

    def _write(self, split: str, groups: dict[tuple[str, str], array], rows: int) -> int:
        """Write the pairs of a split by direction, each once in the order of reading; how many."""
        pairs = {direction: _each_once(groups[direction]) for direction in sorted(groups)}
        write_pairs(self.folder, split, pairs)
        if not pairs:
            raise UserError(f"{split}: no pair is left of {rows:,} sound rows (see --on-error, --dedup)")
        return sum(map(len, pairs.values()))

    def _close(self, language: str) -> dict[str, int]:
        pools = {kind: self._pool(kind, language) for kind in KINDS}
        for pool in pools.values():
            pool.close()
        own = np.full(pools[ARTICLES].count, _NONE, np.int32)
        pages = (pool.pages() for pool in pools.values())
        (articles, article_numbers), (summaries, summary_numbers) = pages
        _, left, right = np.intersect1d(articles, summaries, return_indices=True)
        own[article_numbers[left]] = summary_numbers[right]
        stated = np.array(self._own.get(language, ()), np.int32)
        own[: len(stated)] = np.where(stated >= 0, stated, own[: len(stated)])
        write_own(self.folder, language, own)
        return {kind: pools[kind].count for kind in KINDS} | {"own": int((own >= 0).sum())}


def _each_once(group: array) -> np.ndarray:
    """int32 (n, 2): the different pairs of a direction in the order in which they came."""
    pairs = np.array(group, np.int32).reshape(-1, 2)
    _, first = np.unique(pairs, axis=0, return_index=True)
    return pairs[np.sort(first)]
