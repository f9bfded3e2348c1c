"""Runs killed at a moment, what stood on disk then, and whether the same command makes up for it.

A moment is a share of an undisturbed run's time, or, in the writing of checkpoints, one of its saves and a
share of the time that one took.
"""

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from server import Started

from fault_injection.bench import Bench, Undisturbed, broken
from fault_injection.jobs import Content, Job

SHARES = {"training": 15, "checkpoint writing": 15, "preparation": 8, "alignment": 6, "scoring": 6}
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
POLL = 0.0005  # seconds
SAVING, SAVED = "Preparing to save checkpoint", "Saved checkpoint"
AHEAD = 1.3  # of the writing of a checkpoint: until after it
ATTEMPTS = 6


@dataclass(frozen=True)
class Point:
    """Where to kill: a phase, a signal, and a share of its time."""

    phase: str
    signal: int
    share: float
    save: int = 0

    @property
    def name(self) -> str:
        return signal.Signals(self.signal).name


@dataclass(frozen=True)
class Outcome:
    """What a kill did; each of the four claims is ``None`` or what is against it.

    Args:
        status: exit status of the killed run.
        at: the last thing that it logged of its progress.
        half_written: a file under a final name that is not whole.
        lost: more than the updates since the last save (SIGKILL), or any (SIGTERM in training).
        not_resumed: the same command did not end well.
        unequal: a file that is not what an undisturbed run leaves, or is left over.
    """

    phase: str
    signal: str
    status: int
    at: str
    half_written: str | None
    lost: str | None
    not_resumed: str | None
    unequal: str | None

    @property
    def good(self) -> bool:
        return not (self.half_written or self.lost or self.not_resumed or self.unequal)

    def as_json(self) -> dict:
        return asdict(self)


def points(count: int, seed: int) -> list[Point]:
    """Random ones, shared out over the phases; SIGKILL and SIGTERM in turn."""
    draw, total = random.Random(seed), sum(SHARES.values())
    ends = [round(count * sum(list(SHARES.values())[: n + 1]) / total) for n in range(len(SHARES))]
    phases = [next(p for p, end in zip(SHARES, ends, strict=True) if n < end) for n in range(count)]
    return [
        Point(phase, SIGNALS[number % 2], draw.uniform(0.02, 1), draw.randrange(100))
        for number, phase in enumerate(phases)
    ]


class Killer:
    """Kills runs of a bench's jobs."""

    def __init__(self, bench: Bench):
        self.bench = bench

    def kill(self, point: Point) -> Outcome:
        """Kill at a point; a run that has ended before is killed earlier in another try."""
        job = self.bench.jobs[point.phase]
        whole = self.bench.undisturbed(job)
        for attempt in range(ATTEMPTS):
            folder = self.bench.new_folder()
            started = self.bench.start(job, folder)
            ended = self._wait_for(point, whole, started, 0.75**attempt)
            if not ended:
                os.kill(started.pid, point.signal)
            done = started.wait()
            if done.returncode != 0:
                return self._outcome(point, job, folder, done)
        raise AssertionError(f"{point}: the run always ended before it was killed")

    def _wait_for(self, point: Point, whole: Undisturbed, started: Started, shrink: float) -> bool:
        """Whether the run ended before the moment."""
        delay = point.share * whole.seconds * shrink
        if point.phase == "checkpoint writing":
            save = point.save % whole.saves
            ended = not any(log.count(SAVING) > save for log in _log_of(started))
            if ended:
                return True
            delay = point.share * whole.save_seconds * AHEAD * shrink
        until = time.monotonic() + delay
        while time.monotonic() < until:
            if started.has_ended():
                return True
            time.sleep(POLL)
        return started.has_ended()

    def _outcome(self, point: Point, job: Job, folder: Path, killed) -> Outcome:
        """Look at what is there, run the same command again, and look again."""
        there = job.content(folder)
        half_written = broken(there)
        if "fairseq-train" not in job.argv(folder):
            whole = self.bench.undisturbed(job).content
            half_written += [name for name in there if there[name] != whole.get(name)]
        resumed = self.bench.run(job, folder)
        not_resumed = (resumed.stderr.strip().splitlines() or ["?"])[-1] if resumed.returncode else None
        return Outcome(
            phase=point.phase,
            signal=point.name,
            status=killed.returncode,
            at=place_of(killed.stdout),
            half_written=", ".join(half_written) or None,
            lost=lost_by(killed, there),
            not_resumed=not_resumed,
            unequal=None if not_resumed else self.bench.difference(job, folder),
        )


def lost_by(killed, there: Content) -> str | None:
    """Updates that are gone and should not be: all those saved count, and after SIGTERM all those done."""
    saved = [int(n) for n in re.findall(rf"{SAVED} .* @ (\d+) updates", killed.stdout)]
    done = [int(n) for n in re.findall(r'"num_updates": "(\d+)"', killed.stdout)]
    due = max(saved, default=0)
    if killed.returncode != -signal.SIGKILL:
        due = max(done, default=0)
    last = there.get("checkpoint_last.pt", "0").split()[0]
    kept = int(last) if last.isdecimal() else 0
    return f"{due} updates due, {kept} kept" if kept < due else None


def place_of(log: str) -> str:
    """The last update that a log tells of, and whether a checkpoint was being written."""
    done = re.findall(r'"num_updates": "(\d+)"', log)
    writing = log.count(SAVING) > log.count(SAVED)
    return (f"update {done[-1]}" if done else "start") + (", writing" if writing else "")


def _log_of(started: Started) -> Iterator[str]:
    """What a run has logged so far, again and again until it has ended."""
    path = started.folder / "stdout"
    while not started.has_ended():
        if path.exists():
            yield path.read_text(encoding="utf-8")
        time.sleep(POLL)
