"""What readers yield: pairs of texts, and what they find wrong, each with its file and line."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
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


class Level(Enum):
    """How a run meets a problem."""

    FILTERED = "left out on purpose under every policy, and counted"
    ERROR = "stops the run, or is left out and counted, as --on-error says"
    FATAL = "stops the run under every policy, since what follows cannot be trusted"


@dataclass(frozen=True, slots=True)
class Problem:
    """No pair, and why: counted under ``reason``; ``detail`` says more."""

    reason: str
    origin: str
    detail: str = ""
    level: Level = Level.ERROR

    def __str__(self) -> str:
        return f"{self.origin}: {self.reason}" + (f": {self.detail}" if self.detail else "")


def origin(path: Path, line: int) -> str:
    """``FILE:LINE`` as problems name it."""
    return f"{path}:{line}"


class Dropped:
    """The policy for problems: stop at the first, or leave its text out, list and count it."""

    def __init__(self, on_error: str, listing: TextIO) -> None:
        self.on_error = on_error
        self.reasons: Counter[str] = Counter()
        self._listing = listing

    def filter(self, stream: Iterable[Pair | Problem]) -> Iterator[Pair]:
        """The pairs of ``stream``.

        Raises:
            UserError: an error under ``stop``, or a fatal one.
        """
        for item in stream:
            if isinstance(item, Pair):
                yield item
            else:
                self._meet(item)

    def _meet(self, problem: Problem) -> None:
        if problem.level is Level.FATAL:
            raise UserError(str(problem))
        if problem.level is Level.ERROR and self.on_error == "stop":
            raise UserError(f"{problem} (mend it, or leave such texts out with --on-error drop)")
        self.reasons[problem.reason] += 1
        self._listing.write(f"{problem}\n")
