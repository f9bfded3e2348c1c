"""What a long run says on stderr: on a terminal a bar for each stage, with the time that is left."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import length_hint
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from fairseq_vhm.errors import printable

Item = TypeVar("Item")


class Progress:
    """Says nothing; what the work reports to."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage begins; ``total`` is the number of texts in it, if it is known."""

    def advance(self, count: int) -> None:
        """``count`` more texts are done."""

    def counted(self, items: Iterable[Item], every: int = 1000) -> Iterator[Item]:
        """``items``, reported as they pass."""
        passed = 0
        for item in items:
            yield item
            passed += 1
            if passed % every == 0:
                self.advance(every)
        self.advance(passed % every)

    def track(self, items: Iterable[Item], name: str) -> Iterable[Item]:
        """``items``, as a stage of their own within the one under way."""
        return items


class BarProgress(Progress):
    """A bar for the stage that is under way, a line for each one that is over."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._current: TaskID | None = None

    def stage(self, name: str, total: int | None = None) -> None:
        if self._current is not None:
            over = self._bars.tasks[0]
            self._bars.console.print(f"{over.description} ({over.elapsed:.0f} s)", highlight=False)
            self._bars.remove_task(self._current)
        self._current = self._bars.add_task(escape(printable(name)), total=total)

    def advance(self, count: int) -> None:
        if self._current is not None:
            self._bars.advance(self._current, count)

    def track(self, items: Iterable[Item], name: str) -> Iterator[Item]:
        bar = self._bars.add_task(escape(printable(name)), total=length_hint(items) or None)
        try:
            for item in items:
                yield item
                self._bars.advance(bar)
        finally:
            self._bars.remove_task(bar)


def is_watched() -> bool:
    """Whether a person looks at stderr: a terminal, and not that of a CI service."""
    return sys.stderr.isatty() and not os.environ.get("CI")


@contextmanager
def show_progress(quiet: bool) -> Iterator[Progress]:
    """Bars for whoever looks at stderr; nothing in a pipe, a file or CI."""
    if quiet or not is_watched():
        yield Progress()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Bars(*columns, *times, console=Console(stderr=True)) as bars:
        yield BarProgress(bars)
