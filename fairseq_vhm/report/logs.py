"""fairseq's training logs: curves, time and hardware.

Read are ``--log-format json`` and ``simple`` (and the epoch lines of ``tqdm`` and ``none``), as printed
or as ``--log-file`` keeps them, without a prefix.  A log may end anywhere, and may hold a run that was
resumed or started again: where the number of updates falls back, what was logged beyond is dropped,
since the later process went on from there.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from fairseq_vhm.errors import unreadable
from fairseq_vhm.files import parse_json

Point = dict[str, float]

INNER, EPOCH, VALID = KINDS = ("train_inner", "train", "valid")
PREFIXES = {INNER: "", EPOCH: "train_", VALID: "valid_"}
SIMPLE_INNER = re.compile(r"epoch (\d+):\s+\d+ / \d+ (\S+=.*)")
SIMPLE_END = re.compile(r"epoch (\d+) \| (?:valid on '(\w+)' subset \| )?(\S+ \S+ \|.*)")
DEVICES = re.compile(r"\| fairseq_cli\.train \| training on (\d{1,9}) devices")
GPU = re.compile(r"rank +\d+: capabilities = .* name = (.+?) *$")
PARAMETERS = re.compile(r"num\. (?:shared )?model params: (\d[\d,]{0,30})")
ENDED = "done training in"

BATCHES = 100
ROUNDING = 0.5  # seconds by which a line's train_wall may be off
ROUNDING_SHARE = 0.05


@dataclass(frozen=True)
class Timing:
    """Seconds for 100 updates, and what they were taken from."""

    seconds: float
    basis: str


@dataclass
class TrainingLog:
    """Points by kind, each with ``num_updates``; figures as fairseq logs them.

    ``restarts`` are the updates at which the count fell back; ``hardware`` is ``None`` where the log
    does not say, and ``parameters`` what fairseq counted when it began.
    """

    points: dict[str, list[Point]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    restarts: list[int] = field(default_factory=list)
    devices: int | None = None
    gpus: Counter[str] = field(default_factory=Counter)
    parameters: int | None = None
    ended: bool = False

    @property
    def updates(self) -> int:
        """The last update that the log tells of."""
        return int(max((points[-1]["num_updates"] for points in self.points.values() if points), default=0))

    @property
    def hardware(self) -> str | None:
        if self.gpus:
            return ", ".join(f"{count} x {name}" for name, count in self.gpus.items())
        if self.devices is None:
            return None
        return "CPU" if self.devices == 1 else f"CPU, {self.devices} processes"

    def series(self, kind: str, key: str) -> tuple[list[float], list[float]]:
        """Updates and values of a figure where it was logged."""
        there = [point for point in self.points[kind] if key in point]
        return [point["num_updates"] for point in there], [point[key] for point in there]

    def timing(self) -> Timing | None:
        """Seconds that 100 updates took: the time in training steps (fairseq's ``train_wall``).

        That leaves out validation, saving, and waiting for data.  fairseq rounds it to whole seconds
        a line, so the lines (of epochs or of intervals) with the smaller error are taken; where the
        steps are too quick for either, the median of ``ups``, which has waiting for data in it.
        """
        measured = [m for kind in (EPOCH, INNER) if (m := self._step_time(kind))]
        if measured:
            error, seconds, basis = min(measured)
            if error <= ROUNDING_SHARE:
                return Timing(seconds, basis)
        speeds = [point["ups"] for point in self.points[INNER][1:] if point.get("ups")]
        return Timing(BATCHES / median(speeds), "updates a second") if speeds else None

    def _step_time(self, kind: str) -> tuple[float, float, str] | None:
        """Share that rounding may be off, seconds for 100 updates, what from."""
        lines = list(self._whole_lines(kind))
        updates, seconds = (sum(column) for column in zip(*lines, strict=True)) if lines else (0, 0)
        if not updates or not seconds:
            return None
        basis = "training steps of epochs" if kind == EPOCH else "training steps of log intervals"
        return ROUNDING * len(lines) / seconds, BATCHES * seconds / updates, basis

    def _whole_lines(self, kind: str) -> Iterator[tuple[float, float]]:
        """Updates and seconds of each line whose begin is known.

        An epoch's line tells of the whole epoch, resumed or not, for its meters are in the checkpoint.
        """
        points = self.points[kind]
        if kind == EPOCH and points and points[0].get("epoch") == 1:
            points = [{"epoch": 0.0, "num_updates": 0.0}, *points]
        for before, point in zip(points, points[1:], strict=False):
            follows = kind == INNER or point.get("epoch") == before.get("epoch", 0) + 1
            resumed = kind == INNER and any(
                before["num_updates"] < restart <= point["num_updates"] for restart in self.restarts
            )
            if follows and not resumed and "train_wall" in point:
                yield point["num_updates"] - before["num_updates"], point["train_wall"]

    def _add(self, kind: str, point: Point) -> None:
        now = point["num_updates"]
        if any(points and points[-1]["num_updates"] > now for points in self.points.values()):
            self.restarts.append(int(now))
        for other, points in self.points.items():
            while points and _is_beyond(points[-1]["num_updates"], now, other == kind):
                points.pop()
        self.points[kind].append(point)


def read_logs(paths: Sequence[Path]) -> TrainingLog:
    """The training log that one or more files hold, joined in the order of their updates.

    Raises:
        UserError: a file cannot be read.
    """
    log = TrainingLog()
    for lines in sorted(map(_lines, paths), key=_first_update):
        _read(lines, log)
    return log


def read_log(path: Path) -> TrainingLog:
    """The training log that a file holds, likewise."""
    return read_logs([path])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise unreadable(path, error) from error


def is_training_log(head: str) -> bool:
    """Whether a text's beginning is that of a training log."""
    return any(
        " | fairseq_cli.train | " in line or PARAMETERS.search(line) or parse_line(line)
        for line in head.splitlines()
    )


def parse_line(line: str) -> tuple[str, Point] | None:
    """Kind and figures of a line that has any, without the prefixes ``train_`` and ``valid_``."""
    if "num_updates" not in line:
        return None
    kind, raw = _parse_json(line) or _parse_simple(line) or (None, {})
    point = {key: number for key, value in raw.items() if (number := _number(value)) is not None}
    return (kind, point) if kind and "num_updates" in point else None


def _read(lines: Iterable[str], log: TrainingLog) -> None:
    for line in lines:
        if found := parse_line(line):
            log.ended = False
            log._add(*found)
        elif match := GPU.search(line):
            log.gpus[match[1]] += 1
        elif match := DEVICES.search(line):
            log.devices = int(match[1])
        elif match := PARAMETERS.search(line):
            log.parameters = int(match[1].replace(",", ""))
            log.gpus.clear()
        elif ENDED in line:
            log.ended = True


def _is_beyond(logged: float, now: float, same_kind: bool) -> bool:
    return logged > now or (same_kind and logged == now)


def _first_update(lines: Sequence[str]) -> float:
    found = next(filter(None, map(parse_line, lines)), None)
    return found[1]["num_updates"] if found else 0.0


def _parse_json(line: str) -> tuple[str, dict] | None:
    brace = line.find('{"')
    try:
        raw = parse_json(line[brace:]) if brace >= 0 else None
    except ValueError:  # a line that is still being written, or no JSON
        return None
    if not isinstance(raw, dict):
        return None
    for kind in (EPOCH, VALID, INNER):
        if f"{PREFIXES[kind]}num_updates" in raw:
            return kind, {key.removeprefix(PREFIXES[kind]): value for key, value in raw.items()}
    return None


def _parse_simple(line: str) -> tuple[str, dict] | None:
    if match := SIMPLE_INNER.search(line):
        return INNER, {"epoch": match[1], **_pairs(match[2].split(", "), "=")}
    if match := SIMPLE_END.search(line):
        kind = {None: EPOCH, VALID: VALID}.get(match[2])
        return (kind, {"epoch": match[1], **_pairs(match[3].split(" | "), " ")}) if kind else None
    return None


def _pairs(parts: Iterable[str], mark: str) -> dict[str, str]:
    return {key.strip(): value for key, found, value in (part.partition(mark) for part in parts) if found}


def _number(value: object) -> float | None:
    """A finite number; what a diverged run logs (``nan``, ``inf``) is left out."""
    try:
        number = float(value)  # type: ignore[arg-type]  # what it cannot take is the error below
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
