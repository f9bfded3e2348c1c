"""One hostile case at a time: what comes of reading it, and whether it stays within its bounds.

A reader may succeed or raise ``UserError`` with one line.  Another error, more than :data:`CPU_SECONDS` of
computing, more memory than the process is given, a file changed outside of the case's folder, a program
started, an address asked for, or anything unpickled is a finding.  The last four are heard of through
Python's audit hooks (PEP 578), which also hear what libraries written in Python do.
"""

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fairseq_vhm.errors import UserError

Case = Mapping[str, bytes]
"""Files of a case by their paths in its folder."""

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / name) + os.sep for name in ("fairseq_vhm", "preprocess", "examples"))
CPU_SECONDS = 3
ADDRESS_SPACE = 1 << 30
"""Bytes that a case may take beyond what the process has when it begins."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {
    *("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod"),
    "shutil.rmtree",
}
_FORBIDDEN = {
    *("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system", "os.exec"),
    *("os.posix_spawn", "os.spawn", "pickle.find_class", "ctypes.dlopen"),
}


class TooLong(BaseException):
    """A case computes for longer than it may; no ``except Exception`` of a reader's catches it."""


@dataclass(frozen=True)
class Finding:
    """What a reader did that it must not; ``kind`` and the place in our code tell findings apart."""

    reader: str
    kind: str
    place: str
    detail: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.reader, self.kind, self.place


class Watch:
    """Runs cases in ``folder``; :meth:`outcome` is ``None`` where all is well.

    An audit hook cannot be taken away again: outside of :meth:`outcome` it returns at once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))
        self._armed = False
        self._heard: list[tuple[str, str, str]] = []
        sys.addaudithook(self._hear)
        signal.signal(signal.SIGPROF, _too_long)

    def outcome(self, reader: str, read: Callable[[Path], object], case: Case) -> Finding | None:
        """Write the files of ``case``, and let ``read`` read the folder."""
        clear(self.folder)
        write(self.folder, case)
        self._heard.clear()
        finding = None
        try:
            with self._bounds():
                read(self.folder)
        except UserError as error:
            if "\n" in str(error) or not str(error):
                finding = Finding(reader, "message of several lines", place_of(error), str(error))
        except (Exception, TooLong, SystemExit) as error:  # what is looked for
            finding = Finding(reader, type(error).__name__, place_of(error), shortly(error))
        return finding or self._misdeed(reader)

    @contextmanager
    def _bounds(self) -> Iterator[None]:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        caching, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # of what is imported in there
        self._armed = True
        try:
            yield
        finally:
            self._armed = False
            sys.dont_write_bytecode = caching
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _misdeed(self, reader: str) -> Finding | None:
        return next((Finding(reader, *heard) for heard in self._heard), None)

    def _hear(self, event: str, given: tuple) -> None:
        if not self._armed:
            return
        if event in _FORBIDDEN or any(map(self._is_outside, _changed(event, given))):
            self._heard.append((event, place_of_stack(), _shown(given)))

    def _is_outside(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False  # a file that is open already
        found = os.path.realpath(os.fsdecode(path))
        return not found.startswith(f"{self.folder}{os.sep}") and found not in (str(self.folder), os.devnull)


def _shown(given: tuple) -> str:
    """What an event came with, shortly."""
    return ", ".join(map(str, given))[:200]


def _changed(event: str, given: tuple) -> tuple:
    """The paths that an event changes."""
    if event == "open":
        path, mode, flags = given
        return (path,) if isinstance(flags, int) and flags & _WRITES else ()
    if event not in _CHANGING:
        return ()
    return given[:2] if event in ("os.rename", "os.link") else given[1:2] if "symlink" in event else given[:1]


def _too_long(*_) -> None:
    raise TooLong(f"more than {CPU_SECONDS} seconds of computing")


def limit_memory(beyond: int = ADDRESS_SPACE) -> None:
    """Give this process so many bytes more than it has now; what is beyond fails with ``MemoryError``."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + beyond
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def write(folder: Path, case: Case) -> None:
    """The files of a case."""
    for name, content in case.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def clear(folder: Path) -> None:
    """An empty folder."""
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(place, name))
        for name in folders:
            path = os.path.join(place, name)
            os.unlink(path) if os.path.islink(path) else os.rmdir(path)


def place_of(error: BaseException) -> str:
    """``FILE:FUNCTION`` of this project in which an error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    return _innermost([(frame.filename, frame.name) for frame in frames])


def place_of_stack() -> str:
    """Likewise of the call that is under way."""
    frames = traceback.extract_stack()
    return _innermost([(frame.filename, frame.name) for frame in frames])


def _innermost(frames: list[tuple[str, str]]) -> str:
    ours = [(file, function) for file, function in frames if os.path.abspath(file).startswith(OURS)]
    if not ours:
        return "outside of this project"
    file, function = ours[-1]
    return f"{os.path.relpath(file, ROOT)}:{function}"


def shortly(error: BaseException) -> str:
    """The beginning of what an error says."""
    return " ".join(str(error).split())[:160]
