"""What a reader is asked for, and what every reader offers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from preprocess.records import Pair, Problem

TASKS = ("cls", "mt", "ms")
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class ReaderOptions:
    """Choices of single formats; each is a flag of ``vhm prepare trio`` of the same name."""

    jsonl_keys: tuple[str, str] = ("source", "target")
    ncls_articles: str | None = None
    ignore_tags: tuple[str, ...] = ()
    lcsts_min_label: int = 3


@dataclass(frozen=True)
class Request:
    """The pairs wanted of a corpus: those of ``task`` between two languages."""

    task: str
    source_lang: str
    target_lang: str
    options: ReaderOptions = field(default_factory=ReaderOptions)

    @property
    def suffixes(self) -> tuple[str, str]:
        """File suffixes of both sides; monolingual summaries have one of their own."""
        return suffixes_of(self.task, self.source_lang, self.target_lang)


def suffixes_of(task: str, source_lang: str, target_lang: str) -> tuple[str, str]:
    """``en``, ``zh`` for cls and mt, ``en``, ``en_sum`` for ms."""
    if task == "ms":
        return source_lang, f"{source_lang}_sum"
    return source_lang, target_lang


class Reader(Protocol):
    """Streams the pairs of one corpus."""

    def files(self, split: str | None) -> list[Path]:
        """The files of a split, in the order ``read`` takes them; they need not exist.

        ``None`` asks for the files of a specification that names one split by itself.
        """

    def read(self, files: list[Path]) -> Iterator[Pair | Problem]:
        """Pairs and problems in the order of the files."""
