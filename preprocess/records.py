"""What readers yield: pairs of texts, and what they find wrong, each with its file and line."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from fairseq_vhm.errors import UserError

ON_ERROR = ("stop", "drop")


@dataclass(frozen=True, slots=True)
class Pair:
    """A source text and its target text; ``origin`` is ``FILE:LINE`` of the source."""

    source: str
    target: str
    origin: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the input.

    ``reason`` is what it is counted under, ``detail`` says more, ``fatal`` problems stop a run under
    every policy because what follows them cannot be trusted.
    """

    reason: str
    origin: str
    detail: str = ""
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.origin}: {self.reason}" + (f": {self.detail}" if self.detail else "")


def origin(path: Path, line: int) -> str:
    """``FILE:LINE`` as problems name it."""
    return f"{path}:{line}"


class Dropped:
    """The policy for problems: stop at the first, or drop what it concerns, list it and count it."""

    def __init__(self, on_error: str, listing: TextIO) -> None:
        self.on_error = on_error
        self.reasons: Counter[str] = Counter()
        self._listing = listing

    def filter(self, stream: Iterator[Pair | Problem]) -> Iterator[Pair]:
        """The pairs of ``stream``.

        Raises:
            UserError: a problem under ``stop``, or a fatal one.
        """
        for item in stream:
            if isinstance(item, Pair):
                yield item
            else:
                self._meet(item)

    def _meet(self, problem: Problem) -> None:
        if problem.fatal:
            raise UserError(str(problem))
        if self.on_error == "stop":
            raise UserError(f"{problem} (mend it, or leave such lines out with --on-error drop)")
        self.reasons[problem.reason] += 1
        self._listing.write(f"{problem}\n")
