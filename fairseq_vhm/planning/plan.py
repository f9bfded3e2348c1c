"""The plan of a run: disk, memory and time, and which of the figures are measured, counted or assumed."""

from collections.abc import Iterator
from dataclasses import dataclass

from fairseq_vhm.planning.batches import Material, Schedule
from fairseq_vhm.planning.devices import Device
from fairseq_vhm.planning.measure import Measured, measure
from fairseq_vhm.planning.run import Run
from fairseq_vhm.planning.storage import Memory, checkpoint, checkpoints_kept, memory
from fairseq_vhm.planning.unit_costs import UnitCosts
from fairseq_vhm.tables import Table

GIB, GIGA = 2**30, 10**9
MINUTE, HOUR, DAY = 60, 3600, 86400
YES = {True: "yes", False: "no"}


@dataclass(frozen=True)
class Wanted:
    """What to plan.

    Args:
        gpus: numbers of GPUs to give the time for.
        utilisation: the share of the published rate that training is taken to reach.
        updates: to measure here; 0: none.
    """

    run: Run
    material: Material
    devices: list[Device]
    gpus: list[int]
    utilisation: float
    updates: int = 0


@dataclass(frozen=True)
class Time:
    """The run's examples on a number of GPUs."""

    device: Device
    gpus: int
    updates: float
    seconds: float
    fits: bool


@dataclass(frozen=True)
class Plan:
    """All figures; bytes, seconds, multiply-adds."""

    wanted: Wanted
    parameters: int
    schedule: Schedule
    work: float
    checkpoint_bytes: int
    checkpoints: int
    memory: Memory
    times: list[Time]
    measured: Measured | None = None

    @property
    def disk(self) -> int:
        return self.wanted.material.disk + self.checkpoint_bytes * self.checkpoints

    # ---- for programs --------------------------------------------------------------------------

    def as_json(self) -> dict:
        """All figures in bytes, seconds and multiply-adds."""
        run, material, memory = self.wanted.run, self.wanted.material, self.memory
        return {
            "run": {"arch": run.args.arch, "task": run.task, "symbols": material.symbols},
            "texts": [
                {"task": t.task, "pairs": t.pairs, "source": t.source, "target": t.target, "tokens": t.tokens}
                for t in material.texts
            ],
            "parameters": self.parameters,
            "disk": {
                "data": material.disk,
                "checkpoint": self.checkpoint_bytes,
                "checkpoints": self.checkpoints,
                "total": self.disk,
            },
            "memory": {**vars(memory), "total": memory.total},
            "updates": self.schedule.updates,
            "epochs": self.schedule.epochs,
            "multiply_adds_an_update": self.work,
            "times": [
                {"gpu": one.device.name, **{k: v for k, v in vars(one).items() if k != "device"}}
                for one in self.times
            ],
            "measured": self.measured
            and {
                **vars(self.measured),
                "seconds_an_update": self.measured.taken,
                "predicted_seconds_an_update": self.measured.predicted,
                "share_of_the_rate": self.measured.share,
            },
            "assumed": self.assumptions(),
        }

    # ---- for people ----------------------------------------------------------------------------

    def tables(self) -> list[Table]:
        """Texts, disk, memory and time."""
        return [self._of_texts(), self._of_disk(), self._of_memory(), self._of_time()]

    def _of_texts(self) -> Table:
        rows = [
            [t.task, f"{t.pairs:,}", f"{t.source:.1f}", f"{t.target:.1f}", f"{t.tokens / 1e6:,.2f}"]
            for t in self.wanted.material.texts
        ]
        columns = ["training pairs of", "pairs", "source tokens", "target tokens", "tokens (M)"]
        return Table("Texts", columns, rows)

    def _of_disk(self) -> Table:
        each = f"{self.checkpoints} checkpoints of {gib(self.checkpoint_bytes)} GiB"
        rows = [["binarized data", gib(self.wanted.material.disk)]]
        rows += [[each, gib(self.checkpoint_bytes * self.checkpoints)], ["together", gib(self.disk)]]
        return Table("Disk", ["disk", "GiB"], rows)

    def _of_memory(self) -> Table:
        parts = {**vars(self.memory), "together": self.memory.total}
        rows = [[name, gib(size)] for name, size in parts.items()]
        return Table("Memory", [f"memory on each GPU; {self.parameters:,} parameters", "GiB"], rows)

    def _of_time(self) -> Table:
        rows = [
            [f"{one.gpus} x {one.device.name}", f"{one.updates:,.0f}", duration(one.seconds), YES[one.fits]]
            for one in self.times
        ]
        per_update = f"{self.work / GIGA:,.0f} G multiply-adds an update, {self.schedule.updates:,} updates"
        columns = ["time for the same examples", "updates", "time", "memory suffices"]
        return Table("Time", columns, rows, [f"{per_update}, {self.schedule.epochs:,.1f} epochs"])

    def remarks(self) -> list[str]:
        """What was measured, what counted, what assumed; a line each."""
        return [*self._measurement(), "Counted: parameters and multiply-adds.", *self.assumptions()]

    def _measurement(self) -> list[str]:
        found = self.measured
        if found is None:
            return ["Measured: nothing."]
        return [
            f"Measured on this CPU: {found.taken:.3g} CPU seconds an update (mean of {len(found.seconds)}),"
            f" where large products at {found.rate / GIGA:.3g} G multiply-adds a second would take"
            f" {found.predicted:.3g}: {100 * found.share:.0f} % of that rate."
        ]

    def assumptions(self) -> list[str]:
        """What nobody measured or counted."""
        wanted = self.wanted
        lines = [
            f"Assumed: the GPUs' published rates, {100 * wanted.utilisation:g} % of them reached"
            " (--utilisation), no loss between GPUs.",
            "Assumed: activations as torch keeps them on a CPU"
            + (", halved in 16 bits." if wanted.run.halved else "."),
        ]
        if wanted.material.folder is None:
            lines.append("Assumed: the size of the dictionary's lines, and no validation and test sets.")
        if any(texts.lengths is None for texts in wanted.material.texts):
            lines.append("Assumed: all pairs of a task have its mean length, so no padding.")
        return lines


def gib(size: float) -> str:
    """Bytes in GiB, to three digits where there are few."""
    return f"{size / GIB:,.3g}" if size < 100 * GIB else f"{size / GIB:,.0f}"


def duration(seconds: float) -> str:
    """In the unit that suits."""
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:,.3g} min"
    return f"{seconds / HOUR:,.3g} h" if seconds < 2 * DAY else f"{seconds / DAY:,.1f} days"


def make_plan(wanted: Wanted) -> Plan:
    """Count, measure and compute.

    Raises:
        UserError: flags and texts do not go together.
    """
    run, material = wanted.run, wanted.material
    units = UnitCosts(run, material.symbols, material.batches)
    schedule = Schedule.of(run, material)
    costs = {kind: one.cost(units) for kind, one in material.batches.items()}
    work = sum(number * costs[kind][0] for kind, number in schedule.mini_batches.items())
    activations = max(most for _, most in costs.values())
    needed = memory(run, units.parameters, activations, material.symbols, units.output_width)
    return Plan(
        wanted,
        units.parameters,
        schedule,
        work,
        checkpoint(run, units.parameters, units.tensors),
        checkpoints_kept(run, schedule.updates, schedule.epochs),
        needed,
        list(_times(wanted, schedule, work, needed)),
        measure(run, units, wanted.updates) if wanted.updates else None,
    )


def _times(wanted: Wanted, schedule: Schedule, work: float, needed: Memory) -> Iterator[Time]:
    run = wanted.run
    for device in wanted.devices:
        rate = device.multiply_adds(run.halved, run.tf32) * wanted.utilisation
        for gpus in wanted.gpus:
            updates = schedule.updates * run.world / gpus
            seconds = schedule.updates * work / (rate * gpus)
            yield Time(device, gpus, updates, seconds, needed.total <= device.memory)
