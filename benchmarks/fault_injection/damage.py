"""Disks without room, folders that cannot be written to, files that are damaged: what the commands say.

A full disk is a small file system in memory where this process may mount one (root), and everywhere a limit
on the size of a file, which the system reports as it reports a full disk: ``write`` fails.  A folder that
cannot be written to is a mount that is read-only, and everywhere a file in the folder's place: permissions
do not stop root.
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fault_injection.bench import Bench, broken, error_line
from fault_injection.jobs import INTERVAL, Job

FIRST = f"checkpoint_1_{INTERVAL}.pt"
TINY = {"preparation": "size=16k", "alignment": "size=32k", "scoring": "nr_inodes=1"}
"""Disks that are too small for what a command writes."""


ROOM = "size=1g,nr_inodes=10000"


@dataclass(frozen=True)
class Finding:
    """What a fault led to.

    Args:
        status: exit status of the command.
        line: the error or warning that it gave.
        against: what is wrong with that; ``None`` where nothing is.
    """

    fault: str
    command: str
    status: int
    line: str
    against: str | None

    def as_json(self) -> dict:
        return asdict(self)


class Damager:
    """Puts faults into the world of a bench's jobs."""

    def __init__(self, bench: Bench):
        self.bench = bench
        self.train = bench.jobs["training"]

    def findings(self) -> Iterator[Finding]:
        """Of all faults."""
        yield self.file_size_limit()
        for name in CHECKPOINTS:
            yield self.damaged_checkpoint(name)
        yield self.no_other_checkpoint()
        for name in DATA:
            yield self.damaged_data(name)
        yield self.file_for_folder("training")
        yield self.file_for_folder("preparation")
        yield self.file_for_folder("alignment")
        yield self.file_for_folder("scoring")
        if can_mount(self.bench.new_folder()):
            yield self.full_disk_in_training()
            for phase in TINY:
                yield self.full_disk(phase)
            yield self.read_only("training")
            yield self.read_only("preparation")

    # ---- no room -------------------------------------------------------------------------------

    def file_size_limit(self) -> Finding:
        """No file may grow any more once the first checkpoint is saved."""
        folder = self.bench.new_folder()
        started = self.bench.start(self.train, folder)
        while not (folder / "checkpoint_last.pt").exists():
            time.sleep(0.001)
        resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        done = started.wait()
        return self._refused("no file may grow (RLIMIT_FSIZE)", self.train, folder, done, lambda: None)

    def full_disk_in_training(self) -> Finding:
        """A disk with room for the first save, not for the second."""
        folder = self.bench.new_folder()
        size = max(path.stat().st_size for path in self._saved().glob("*.pt"))
        with mounted(folder, f"size={int(1.6 * size)}"):
            done = self.bench.run(self.train, folder)
            return self._refused("disk full", self.train, folder, done, lambda: remount(folder, ROOM))

    def full_disk(self, phase: str) -> Finding:
        """A disk with hardly any room."""
        folder, job = self.bench.new_folder(), self.bench.jobs[phase]
        with mounted(folder, TINY[phase]):
            done = self.bench.run(job, folder)
            return self._refused("disk full", job, folder, done, lambda: remount(folder, ROOM))

    def read_only(self, phase: str) -> Finding:
        """A file system that is not to be written to."""
        folder, job = self.bench.new_folder(), self.bench.jobs[phase]
        with mounted(folder, "ro"):
            done = self.bench.run(job, folder)
            return self._refused("read-only", job, folder, done, lambda: remount(folder, "rw"))

    def file_for_folder(self, phase: str) -> Finding:
        """A file stands where the folder of the output would be."""
        folder, job = self.bench.new_folder(), self.bench.jobs[phase]
        folder.rmdir()
        folder.write_text("no folder\n")
        done = self.bench.run(job, folder)

        def mend() -> None:
            folder.unlink()
            folder.mkdir()

        return self._refused("a file for the folder", job, folder, done, mend)

    # ---- damaged files -------------------------------------------------------------------------

    def damaged_checkpoint(self, name: str) -> Finding:
        """The run goes on from the checkpoint before, and ends as ever."""
        folder = self._copy_of_saved()
        last = folder / "checkpoint_last.pt"
        CHECKPOINTS[name](last)
        done = self.bench.run(self.train, folder)
        told = [line for line in done.stdout.splitlines() if "going on from" in line]
        against = None if done.returncode == 0 else f"status {done.returncode}"
        against = against or (None if len(told) == 1 else "no warning")
        against = against or self.bench.difference(self.train, folder)
        line = told[0].rpartition(" | ")[2] if told else (done.stderr.strip().splitlines() or [""])[-1]
        return self._finding(f"checkpoint_last.pt {name}", self.train, done, line, against)

    def no_other_checkpoint(self) -> Finding:
        """The only checkpoint is cut short; it is not to be trained over."""
        folder = self._copy_of_saved()
        for path in folder.glob("*.pt"):
            if path.name != "checkpoint_last.pt":
                path.unlink()
        last = folder / "checkpoint_last.pt"
        whole = last.read_bytes()
        cut(last)
        done = self.bench.run(self.train, folder)
        expected = {last.name: "broken"}
        there = {name: digest.partition(":")[0] for name, digest in self.train.content(folder).items()}
        last.write_bytes(whole)
        against = None if there == expected else "other files appeared"
        line = error_line(done)
        against = against or _against(done, line)
        return self._finding("the only checkpoint cut short", self.train, done, line or "", against)

    def damaged_data(self, name: str) -> Finding:
        """Training goes on with data that were damaged meanwhile."""
        file, damage = DATA[name]
        folder = self._copy_of_saved()
        path = Path(self.train.argv(folder)[1]) / "cls" / file
        whole = path.read_bytes()
        damage(path)
        try:
            done = self.bench.run(self.train, folder)
        finally:
            path.write_bytes(whole)
        return self._refused(f"{path.suffix} {name}", self.train, folder, done, lambda: None)

    # ---- what they share -----------------------------------------------------------------------

    def _refused(self, fault: str, job: Job, folder: Path, done, mend: Callable[[], None]) -> Finding:
        """One line and a status; nothing torn; after mending, the same command ends as ever."""
        line = error_line(done)
        against = _against(done, line)
        torn = broken(job.content(folder)) if folder.is_dir() else []
        against = against or (f"torn: {', '.join(torn)}" if torn else None)
        mend()
        again = self.bench.run(job, folder)
        if again.returncode:
            against = against or f"afterwards: {(again.stderr.strip().splitlines() or [''])[-1]}"
        against = against or self.bench.difference(job, folder)
        return self._finding(fault, job, done, line or _last_line(done), against)

    def _finding(self, fault: str, job: Job, done, line: str, against: str | None) -> Finding:
        program, *given = map(str, job.argv(Path(".")))
        name = f"{program} {given[0]}" if program == "vhm" else program
        return Finding(fault.strip(), name, done.returncode, self._without_paths(line), against)

    def _without_paths(self, line: str) -> str:
        for folder in sorted(self.bench.folder.glob("run*"), key=lambda path: -len(path.name)):
            line = line.replace(str(folder), "RUN")
        return line.replace(str(self.bench.folder), "").replace(str(self.bench.folder.parent), "")

    def _saved(self) -> Path:
        """A run's folder with two checkpoints of which one is ``checkpoint_last.pt``, to be copied."""
        if not hasattr(self, "_folder_of_saved"):
            folder = self.bench.new_folder()
            command, *arguments = self.train.argv(folder)
            self.bench.server(str(command), *arguments, "--max-update", 2 * INTERVAL)
            self._folder_of_saved = folder
        return self._folder_of_saved

    def _copy_of_saved(self) -> Path:
        folder = self.bench.new_folder()
        for path in sorted(self._saved().glob("*.pt"), key=lambda path: path.stat().st_mtime_ns):
            shutil.copy2(path, folder)
        return folder


def _against(done, line: str | None) -> str | None:
    if done.returncode == 0:
        return "status 0"
    return None if line else "no single line"


def _last_line(done) -> str:
    return (done.stderr.strip().splitlines() or [""])[-1]


# ---- damage ------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    """Take the second half off."""
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flip(path: Path) -> None:
    """Other bytes in the middle."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(byte ^ 0xFF for byte in content[middle : middle + 64])
    path.write_bytes(content)


def scramble_head(path: Path) -> None:
    """Another size and type in the header of an index."""
    content = bytearray(path.read_bytes())
    content[17:34] = bytes(byte ^ 0xFF for byte in content[17:34])
    path.write_bytes(content)


CHECKPOINTS = {"cut short": cut, "empty": empty, "with 64 bytes changed": flip}
DATA = {
    "cut short": ("train.en-zh.en.bin", cut),
    "with 64 bytes changed": ("train.en-zh.zh.bin", flip),
    "cut short ": ("train.en-zh.zh.idx", cut),
    "with 64 bytes changed ": ("train.en-zh.en.idx", flip),
    "with another header": ("train.en-zh.zh.idx", scramble_head),
}


# ---- disks -------------------------------------------------------------------------------------


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a file system."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    tried = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True)
    if tried.returncode == 0:
        subprocess.run(["umount", folder], check=True)
    return tried.returncode == 0


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory on a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, options: str) -> None:
    """Give it other options."""
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
