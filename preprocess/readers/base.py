"""What a reader is asked for, and what every reader offers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from preprocess.records import Pair, Problem

TASKS = ("cls", "mt", "ms")
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class ReaderOptions:
    """Choices of single formats, each a flag of ``vhm prepare trio`` of the same name.

    ``ncls_articles`` is the LCSTS file that holds the documents of Zh2EnSum; ``ignore_tags`` are
    tags of block formats to pass over; LCSTS pairs with a human label below ``lcsts_min_label`` are
    left out, as its authors do for evaluation (Hu et al., EMNLP 2015, section 3).
    """

    ncls_articles: str | None = None
    ignore_tags: tuple[str, ...] = ()
    lcsts_min_label: int = 3

    def ignores(self, tag: str) -> bool:
        """Whether a tag is one to pass over; case and numbers in it do not matter."""
        return _plain_tag(tag) in map(_plain_tag, self.ignore_tags)


def _plain_tag(tag: str) -> str:
    return re.sub(r"\d+", "", tag).lower()


@dataclass(frozen=True)
class Request:
    """The pairs wanted of a corpus: those of ``task`` between two languages."""

    task: str
    source_lang: str
    target_lang: str
    options: ReaderOptions = field(default_factory=ReaderOptions)

    @property
    def suffixes(self) -> tuple[str, str]:
        """File suffixes of both sides: ``en``, ``zh`` for cls and mt, ``en``, ``en_sum`` for ms."""
        if self.task == "ms":
            return self.source_lang, f"{self.source_lang}_sum"
        return self.source_lang, self.target_lang


class Reader(Protocol):
    """Streams the pairs of one corpus.  Made from the path of its specification and a request."""

    def files(self, split: str | None) -> list[Path]:
        """The files of a split, in the order ``read`` takes them; they need not exist.

        ``None`` asks for the files of a specification that names one split by itself.  Formats
        whose files know no splits have their files in ``train`` and none in the others.
        """

    def read(self, files: list[Path]) -> Iterator[Pair | Problem]:
        """Pairs and problems in the order of the files."""
