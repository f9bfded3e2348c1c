"""What a long run says on stderr: a bar for each stage on a terminal, elsewhere a line."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


class LineProgress(Progress):
    """One line for each stage."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def stage(self, name: str, total: int | None = None) -> None:
        self._console.print(printable(name), highlight=False, markup=False)


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
        self._bars.advance(self._current, count)


@contextmanager
def show_progress(quiet: bool) -> Iterator[Progress]:
    """The progress that suits stderr."""
    console = Console(stderr=True)
    if quiet:
        yield Progress()
    elif console.is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
        with Bars(*columns, MofNCompleteColumn(), TimeElapsedColumn(), console=console) as bars:
            yield BarProgress(bars)
    else:
        yield LineProgress(console)
