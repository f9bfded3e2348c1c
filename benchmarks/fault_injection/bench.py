"""Where runs are disturbed: folders of their own, and what undisturbed runs take and leave."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from server import ForkServer, Started

from fault_injection.jobs import Content, Job

OF_RANK = re.compile(r"^\[rank\d+\]: ")
"""What torch puts before the lines of an error in a group."""

ERRORS = ("fairseq_vhm: error: ", "vhm: error: ")


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happens to: seconds it takes, a save of its takes, and what it leaves."""

    seconds: float
    saves: int
    save_seconds: float
    content: Content


class Bench:
    """Starts jobs in folders of their own.

    Args:
        folder: all of them are below it.
        jobs: by phase.
    """

    def __init__(self, server: ForkServer, folder: Path, jobs: dict[str, Job]):
        self.server, self.folder, self.jobs = server, folder, jobs
        self._undisturbed: dict[Job, Undisturbed] = {}
        self._number = 0

    def start(self, job: Job, folder: Path) -> Started:
        command, *arguments = job.argv(folder)
        return self.server.start(str(command), *arguments)

    def run(self, job: Job, folder: Path):
        return self.start(job, folder).wait()

    def new_folder(self) -> Path:
        self._number += 1
        folder = self.folder / f"run{self._number}"
        folder.mkdir(parents=True)
        return folder

    def undisturbed(self, job: Job) -> Undisturbed:
        """Seconds are those of the second run, as the first reads everything from disk."""
        if job not in self._undisturbed:
            contents = []
            for _ in range(2):
                folder = self.new_folder()
                begun = time.monotonic()
                done = self.run(job, folder)
                seconds = time.monotonic() - begun
                assert done.returncode == 0, done.stderr[-2000:]
                contents.append(job.content(folder))
            assert contents[0] == contents[1], "two undisturbed runs differ"
            written = [float(s) for s in re.findall(r"writing took (\S+) seconds", done.stdout)]
            whole = Undisturbed(seconds, len(written), max(written, default=0.0), contents[0])
            self._undisturbed[job] = whole
        return self._undisturbed[job]

    def difference(self, job: Job, folder: Path) -> str | None:
        """The files in which a folder is not what an undisturbed run leaves, or that are left over."""
        whole, left = self.undisturbed(job).content, job.content(folder)
        names = [name for name in {**whole, **left} if whole.get(name) != left.get(name)]
        names += sorted(path.name for path in folder.rglob("*.tmp"))
        return ", ".join(names) or None


def broken(content: Content) -> list[str]:
    """The names of checkpoints that do not load."""
    return [name for name, digest in content.items() if digest.startswith("broken")]


def error_line(done) -> str | None:
    """The error in which a command ended, if that is one line, its last, and no stack trace."""
    lines = [OF_RANK.sub("", line) for line in done.stderr.strip().splitlines()]
    told = [line for line in lines if line.startswith(ERRORS)]
    if "Traceback" in done.stdout + done.stderr or len(told) != 1 or told[0] != lines[-1]:
        return None
    return told[0].partition("error: ")[2]
