"""Articles of XL-Sum (Hasan et al., Findings of ACL 2021): read once, kept as keys and places in their files.

A line is an object with ``url`` or ``id`` (or both), ``summary`` and ``text``; ``images`` and ``identical``,
lists of hashes or addresses, say what a page has that others may have too.  Texts stay on disk: of an article
some hundred bytes are in memory.  The articles of a language stand in the order of their addresses, so
nothing depends on the order of files or lines.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fairseq_vhm.align.files import Source
from fairseq_vhm.align.keys import KEY, folded_key, key_of
from fairseq_vhm.align.settings import SPLITS
from fairseq_vhm.errors import UserError, unreadable
from fairseq_vhm.files import parse_json

NO_SPLIT = -1
CONTENT = ("images", "identical")
FORMULA = ("=", "+", "-", "@")
"""Beginnings that no address has: ``pairs.tsv``, opened in a spreadsheet, would compute it."""
_FIELDS = {"summary": KEY, "folded": KEY, "text": KEY, "offset": np.int64, "length": np.int64}
_CODES = {KEY: "Q", np.int64: "q", np.int32: "i"}


class BadRecord(ValueError):
    """A line that is no article, and why."""


@dataclass(frozen=True)
class Article:
    """One article as its line says."""

    url: str
    id: str
    summary: str
    text: str
    content: tuple[str, ...]

    @classmethod
    def parse(cls, line: bytes) -> "Article":
        """Raises BadRecord: no object, or one without address, summary or text."""
        try:
            record = parse_json(line.decode("utf-8"))
        except ValueError as error:  # of UTF-8 and of JSON
            raise BadRecord(f"not JSON: {error}") from error
        if not isinstance(record, dict):
            raise BadRecord("not a JSON object")
        url, ident = (_text(record, key, needed=False) for key in ("url", "id"))
        if not url and not ident:
            raise BadRecord("neither 'url' nor 'id'")
        content = tuple(value for key in CONTENT for value in _listed(record, key))
        summary, text = (_text(record, key) for key in ("summary", "text"))
        return cls(url or ident, ident, summary, text, content)


@dataclass(frozen=True)
class Articles:
    """The N articles of one language, in the order of their addresses.

    Args:
        urls: address of each, or its id.
        summary: key of each summary as it is.
        folded, text: keys of each summary and text without case, blanks and punctuation.
        split: number of each article's split in ``SPLITS``, or ``NO_SPLIT``.
        file, offset, length: where its line is: number in ``files``, first byte, number of bytes.
        content: (M, 2): article, and key of an image or other content that its page has.
    """

    language: str
    files: tuple[Path, ...]
    urls: Sequence[str]
    summary: np.ndarray
    folded: np.ndarray
    text: np.ndarray
    split: np.ndarray
    file: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    content: np.ndarray

    def __len__(self) -> int:
        return len(self.urls)

    def read(self, places: Iterable[int]) -> Iterator[Article]:
        """The articles at ``places``, from their files.

        Raises:
            UserError: a file is gone, or holds something else by now.
        """
        opened: dict[int, BinaryIO] = {}
        try:
            for place in places:
                number = int(self.file[place])
                if number not in opened:
                    opened[number] = self._open(number)
                opened[number].seek(self.offset[place])
                yield self._parse(opened[number].read(self.length[place]), number)
        finally:
            for file in opened.values():
                file.close()

    def _open(self, number: int) -> BinaryIO:
        try:
            return self.files[number].open("rb")
        except OSError as error:
            raise unreadable(self.files[number], error) from error

    def _parse(self, line: bytes, number: int) -> Article:
        try:
            return Article.parse(line)
        except BadRecord as bad:
            raise UserError(f"{self.files[number]}: changed while it was used ({bad}); run again") from bad


@dataclass
class Reading:
    """What was left out while reading, and what it was counted under."""

    on_error: str = "stop"
    dropped: Counter[str] = field(default_factory=Counter)

    def meet(self, bad: BadRecord, path: Path, line: int) -> None:
        if self.on_error == "stop":
            raise UserError(
                f"{path}:{line}: {bad} (mend it, or leave such lines out with --on-error drop)"
            ) from bad
        self.dropped[str(bad).partition(":")[0]] += 1


def read_articles(sources: Sequence[Source], reading: Reading, progress: Any) -> list[Articles]:
    """The articles of each language, languages in order; exact repetitions once.

    Args:
        progress: a ``preprocess.progress.Progress``.

    Raises:
        UserError: a file cannot be read, a line is wrong and ``reading`` does not drop it, or a language
            has no article.
    """
    progress.stage(f"read {len(sources)} files")
    found = []
    for language, group in groupby(sources, key=lambda source: source.language):
        columns = _Columns(language)
        for source in group:
            columns.read(source, reading, progress)
        found.append(columns.sorted(reading))
    return found


class _Columns:
    """What is kept of a language's articles, in the order in which they are read."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.files: list[Path] = []
        self.names: list[tuple[str, str]] = []
        self.split, self.file = array("i"), array("i")
        self.columns = {name: array(_CODES[kind]) for name, kind in _FIELDS.items()}
        self.owner, self.content = array("q"), array("Q")

    def read(self, source: Source, reading: Reading, progress: Any) -> None:
        self.files.append(source.path)
        split = NO_SPLIT if source.split is None else SPLITS.index(source.split)
        offset = 0
        try:
            with source.path.open("rb") as lines:
                for number, line in enumerate(progress.counted(lines), start=1):
                    self._take(line, offset, number, split, source.path, reading)
                    offset += len(line)
        except OSError as error:
            raise unreadable(source.path, error) from error

    def _take(self, line: bytes, offset: int, number: int, split: int, path: Path, reading: Reading) -> None:
        if not line.strip():
            return
        try:
            article = Article.parse(line)
        except BadRecord as bad:
            reading.meet(bad, path, number)
            return
        self.owner.extend([len(self.names)] * len(article.content))
        self.content.extend(map(key_of, article.content))
        self.names.append((article.url, article.id))
        self.split.append(split)
        self.file.append(len(self.files) - 1)
        keys = key_of(article.summary), folded_key(article.summary), folded_key(article.text)
        for name, value in zip(_FIELDS, (*keys, offset, len(line)), strict=True):
            self.columns[name].append(value)

    def sorted(self, reading: Reading) -> Articles:
        """By address, id, summary, text; of exact repetitions the one in the last split of ``SPLITS``."""
        if not self.names:
            raise UserError(f"{self.files[0]}: no article of language {self.language}; give another file")
        summary, text = self.columns["summary"], self.columns["text"]

        def same(place: int) -> tuple:
            return (*self.names[place], summary[place], text[place])

        order = sorted(range(len(self.names)), key=lambda place: (*same(place), -self.split[place]))
        kept = [place for i, place in enumerate(order) if i == 0 or same(place) != same(order[i - 1])]
        if len(kept) < len(order):
            reading.dropped["repeated article"] += len(order) - len(kept)
        return self._articles(np.array(kept))

    def _articles(self, kept: np.ndarray) -> Articles:
        columns = {name: np.frombuffer(self.columns[name], kind)[kept] for name, kind in _FIELDS.items()}
        return Articles(
            self.language,
            tuple(self.files),
            [self.names[place][0] for place in kept],
            split=np.frombuffer(self.split, np.int32)[kept].astype(np.int8),
            file=np.frombuffer(self.file, np.int32)[kept],
            content=self._content(kept),
            **columns,
        )

    def _content(self, kept: np.ndarray) -> np.ndarray:
        """(M, 2), uint64: the place of an article among ``kept``, and a key of its content; each once."""
        place = np.full(len(self.names), -1, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        owner = place[np.array(self.owner, dtype=np.int64)]
        rows = np.stack([owner.astype(KEY), np.array(self.content, dtype=KEY)], axis=1)
        return np.unique(rows[owner >= 0], axis=0)


def _text(record: dict, key: str, needed: bool = True) -> str:
    value = record.get(key, "" if not needed else None)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise BadRecord(f"no '{key}'" if key not in record else f"'{key}' is not a string")
    _check_characters(value, key)
    if not needed and any(char in value for char in "\t\r\n"):
        raise BadRecord(f"line break or tabulator in '{key}'")
    if not needed and value.strip().startswith(FORMULA):
        raise BadRecord(f"'{key}' begins as a formula of a spreadsheet does")
    if needed and not value.strip():
        raise BadRecord(f"empty '{key}'")
    return value.strip()


def _listed(record: dict, key: str) -> list[str]:
    values = record.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadRecord(f"'{key}' is not a list of strings")
    _check_characters("".join(values), key)
    return values


def _check_characters(text: str, key: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadRecord(f"broken UTF-8 in '{key}'") from error
