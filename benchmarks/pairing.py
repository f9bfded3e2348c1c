"""What the benchmarks of speed share: systems in turn on the same work, and what is written of them.

In each round every system does the same work once, and another one begins; so what slows the machine for a
while meets all of them.  The figure of two systems is the ratio of their costs in one round, over all rounds.
Cost is CPU time (user and system, all threads) on a CPU, wall time up to the last kernel's end on a GPU.
"""

import argparse
import json
import logging
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

import numpy as np
import torch

from fairseq_vhm.errors import UserError

PACKAGES = ("fairseq-fixed", "numpy")
ROOT = Path(__file__).parent.parent

Clock = Callable[[], float]


def cpu_seconds() -> float:
    """User and system time of this process, all its threads."""
    return time.process_time()


def gpu_seconds() -> float:
    """Wall time at which all that was asked of the GPU is done."""
    torch.cuda.synchronize()
    return time.perf_counter()


def clock_of(device: str) -> Clock:
    """What cost is measured by on ``cpu`` or ``cuda``."""
    return gpu_seconds if device == "cuda" else cpu_seconds


def seconds_of(clock: Clock, work: Callable[..., object], *arguments) -> float:
    """The cost of one call."""
    start = clock()
    work(*arguments)
    return clock() - start


def take_turns(
    systems: dict[str, Callable[[int], object]], rounds: int, clock: Clock, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each system in each round, those of the first ``warm_up`` rounds left out.

    A system is called with the round's number, from 0; each round another system begins.
    """
    names, found = list(systems), {name: [] for name in systems}
    for number in range(warm_up + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            spent = seconds_of(clock, systems[name], number)
            if number >= warm_up:
                found[name].append(spent)
    return found


@dataclass(frozen=True)
class Spread:
    """Middle and width of some figures."""

    median: float
    lower_quartile: float
    upper_quartile: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(*map(float, np.percentile(values, (50, 25, 75, 0, 100))))

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.least:.3f}-{self.most:.3f})"


def ratios(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """First to second, round by round."""
    return [a / b for a, b in zip(first, second, strict=True)]


def parse_pairs(texts: Sequence[str], known: Sequence[str]) -> list[tuple[str, str]]:
    """``vhm:fairseq`` as two names.

    Raises:
        UserError: not two known names.
    """
    pairs = []
    for text in texts:
        names = tuple(text.split(":"))
        if len(names) != 2 or set(names) - set(known):
            raise UserError(f"--pair {text}: give two of {', '.join(known)} joined by a colon")
        pairs.append(names)
    return pairs


def parse_range(text: str, flag: str) -> tuple[int, int]:
    """``30-50`` as two whole numbers.

    Raises:
        UserError: not such a range.
    """
    ends = text.split("-")
    if len(ends) != 2 or not all(end.isdecimal() for end in ends) or not 0 < int(ends[0]) <= int(ends[1]):
        raise UserError(f"{flag} {text}: give the least and the greatest number, such as 30-50")
    return int(ends[0]), int(ends[1])


# ---- memory ------------------------------------------------------------------------------------


def peak_memory(device: str = "cpu") -> int:
    """Bytes that this process has held at most: in memory (Linux), or in the GPU's."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return _of_status("VmHWM")


def memory_now() -> int:
    """Bytes of memory that this process holds (Linux)."""
    return _of_status("VmRSS")


def _of_status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))


def in_fresh_process(script: str, *flags: str) -> dict:
    """What a benchmark prints, as JSON in its last line, when run with these flags in a process of its own.

    Raises:
        UserError: it failed; its own error has been printed.
    """
    argv = [sys.executable, "-W", "ignore", script, *flags]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise UserError(f"{Path(script).name} {shlex.join(flags)}: ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


# ---- command line and results ------------------------------------------------------------------


def make_parser(description: str, rounds: int | None = 5) -> argparse.ArgumentParser:
    """A parser with the flags that these benchmarks share; without ``--rounds`` where that is ``None``."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help="rounds that count")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    return parser


def prepare(threads: int) -> None:
    """Let this process, and those that it starts, compute in so many threads; no log but warnings.

    Raises:
        UserError: fewer than one.
    """
    if threads < 1:
        raise UserError(f"--threads {threads}: give at least 1")
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    logging.disable(logging.INFO)


def check_device(device: str) -> None:
    """Refuse a GPU that is not there.

    Raises:
        UserError: ``cuda`` where torch finds none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no GPU here; use --device cpu")


def write_json(path: Path | None, script: str, figures: dict, threads: int) -> None:
    """Keep the figures with the command, versions and hardware that they were made by."""
    if path is None:
        return
    record = {
        "command": command(script),
        "versions": versions(),
        "hardware": hardware() | {"threads": threads},
        **figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(record), indent=1) + "\n", encoding="utf-8")


def _rounded(value):
    """Six significant digits are more than a clock knows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return _rounded(asdict(value)) if isinstance(value, Spread) else value


def command(script: str) -> str:
    """The command line, with absolute paths cut to their last part."""
    given = [Path(part).name if Path(part).is_absolute() else part for part in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *given])


def versions() -> dict[str, str]:
    """Of Python, of the packages that do the work, and of this project (its commit, where git knows it)."""
    # of torch its own word, which names the build: +cpu, +cu130
    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found | {"fairseq_vhm": _commit()}


def _commit() -> str:
    argv = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def hardware() -> dict:
    """The processor, its cores, memory in GiB, and the GPU where there is one."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = {
        "processor": model,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found
