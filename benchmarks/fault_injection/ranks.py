"""Groups of processes of which one dies, stands still, is late, is told to stop, or is out of data first."""

import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ranks import PROGRAM, free_port
from server import Started

from fault_injection.bench import Bench, error_line
from fault_injection.jobs import digest_of

SIZES = (2, 4)
LIMIT = 8
"""Seconds of ``--heartbeat-timeout``."""

BOUND = 60
"""Seconds after which a group counts as hanging."""

AFTER = 6
"""Updates after which something happens."""

ENDLESS = 100_000
"""Updates of a run that something else is to end."""

UNEVEN = 280
"""``--max-tokens`` with which the steps of an epoch are an odd number."""

END_OF_EPOCH = re.compile(r"checkpoint1\.pt \(epoch 1 @ (\d+) updates")


@dataclass(frozen=True)
class Finding:
    """What became of a group.

    Args:
        statuses: exit status of each rank.
        line: what the ranks that are left said.
        seconds: from the fault to the last one's end.
        against: what is wrong; ``None`` where nothing is.
    """

    fault: str
    ranks: int
    statuses: list[int]
    line: str
    seconds: float
    against: str | None

    def as_json(self) -> dict:
        return asdict(self)


class Ranks:
    """Groups of processes that train on the CPU (gloo), every rank with a folder of its own."""

    def __init__(self, bench: Bench):
        self.bench = bench
        self._whole: dict[int, str] = {}

    def findings(self) -> Iterator[Finding]:
        """Of every fault for every size of group."""
        for size in SIZES:
            yield self.out_of_data_first(size)
            for victim in (0, size - 1):
                yield self.gone(size, victim, signal.SIGKILL, f"rank {victim} killed")
                yield self.gone(size, victim, signal.SIGSTOP, f"rank {victim} stands still")
            yield self.slow(size)
            yield self.told_to_stop(size)

    def out_of_data_first(self, size: int) -> Finding:
        """The steps of an epoch, as one process counts them, are no multiple of the ranks."""
        flags = ["--max-tokens", UNEVEN]
        folder = self.bench.new_folder()
        _, *arguments = self.bench.jobs["training"].argv(folder)
        alone = self.bench.server("fairseq-train", *arguments, *flags, "--max-epoch", 1)
        steps = int(END_OF_EPOCH.search(alone.stdout)[1])
        started, folders = self.start(size, flags=flags)
        begun = time.monotonic()
        done = [rank.wait() for rank in started]
        line = f"{steps} steps an epoch; parameters equal on all ranks"
        found = self._ended_well("a rank out of data first", size, folders, done, begun, line, known=False)
        return found if steps % size else replace(found, against=f"{steps} steps are even")

    def slow(self, size: int) -> Finding:
        """A rank that stands still for a while that is allowed."""
        started, folders = self.start(size)
        begun = self.wait_for_update(started[0])
        os.kill(started[-1].pid, signal.SIGSTOP)
        time.sleep(LIMIT / 4)
        os.kill(started[-1].pid, signal.SIGCONT)
        done = [rank.wait() for rank in started]
        fault = f"rank {size - 1} {LIMIT // 4} s late"
        return self._ended_well(fault, size, folders, done, begun, "parameters equal on all ranks")

    def gone(self, size: int, victim: int, how: signal.Signals, fault: str) -> Finding:
        """The others end in time and name it."""
        started, _ = self.start(size, flags=["--max-update", ENDLESS])
        begun = self.wait_for_update(started[0])
        os.kill(started[victim].pid, how)
        others = [rank for rank in started if rank is not started[victim]]
        while not all(rank.has_ended() for rank in others) and time.monotonic() - begun < BOUND:
            time.sleep(0.05)
        seconds = time.monotonic() - begun
        for rank in started:
            os.kill(rank.pid, signal.SIGKILL)
        done = [rank.wait() for rank in started]
        lines = [error_line(one) for one in done if one is not done[victim]]
        against = None if seconds < BOUND else "hangs"
        against = against or (None if all(lines) else "no single line")
        named = all(f"rank {victim} " in line.partition("cannot go on:")[2] for line in lines if line)
        against = against or (None if named else "another rank is named")
        line = next((line for line in lines if line), "")
        return Finding(fault, size, [one.returncode for one in done], line, round(seconds, 1), against)

    def told_to_stop(self, size: int) -> Finding:
        """SIGTERM to one rank: all save the same update and exit with status 75; then they go on."""
        started, folders = self.start(size)
        begun = self.wait_for_update(started[0])
        os.kill(started[-1].pid, signal.SIGTERM)
        done = [rank.wait() for rank in started]
        statuses = [one.returncode for one in done]
        line = next((x.rpartition(" | ")[2] for x in done[0].stdout.splitlines() if "stopped by" in x), "")
        resumed = [rank.wait() for rank in self.start(size, folders)[0]]
        fault = f"rank {size - 1} gets SIGTERM"
        found = self._ended_well(fault, size, folders, resumed, begun, line)
        against = found.against or (None if set(statuses) == {75} else "another status than 75")
        return replace(found, statuses=statuses, line=line, against=against)

    # ---- what they share -----------------------------------------------------------------------

    def start(
        self, size: int, folders: list[Path] | None = None, flags: Sequence = ()
    ) -> tuple[list[Started], list[Path]]:
        """All ranks of a group, rank 0 first, and their folders."""
        group = ["--distributed-world-size", size, "--distributed-no-spawn", "--ddp-backend", "legacy_ddp"]
        group += ["--distributed-init-method", f"tcp://127.0.0.1:{free_port()}"]
        group += ["--distributed-backend", "gloo", "--heartbeat-timeout", LIMIT]
        folders = folders or [self.bench.new_folder() for _ in range(size)]
        started = []
        for rank, folder in enumerate(folders):
            _, *arguments = self.bench.jobs["training"].argv(folder)
            arguments += [*flags, *group, "--distributed-rank", rank]
            started.append(self.bench.server.start(str(PROGRAM), *arguments))
        return started, folders

    def wait_for_update(self, rank: Started) -> float:
        """The time at which its log tells of the update."""
        rank.wait_for(f'"num_updates": "{AFTER}"')
        return time.monotonic()

    def _ended_well(
        self, fault: str, size: int, folders, done, begun: float, line: str, known=True
    ) -> Finding:
        """All ranks end with the parameters that an undisturbed group ends with."""
        seconds, statuses = time.monotonic() - begun, [one.returncode for one in done]
        against = f"statuses {statuses}" if any(statuses) else None
        lasts = [folder / "checkpoint_last.pt" for folder in folders if against is None]
        digests = set(map(digest_of, lasts))
        against = against or (None if len(digests) == 1 else "parameters differ between ranks")
        if against is None and known:
            whole = self._whole.setdefault(size, *digests)
            against = None if {whole} == digests else "other parameters than undisturbed"
        return Finding(fault, size, statuses, line, round(seconds, 1), against)
