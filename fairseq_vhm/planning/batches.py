"""The mini-batches of a run: their shapes, and how many make up the run."""

import math
from dataclasses import dataclass

import numpy as np
from fairseq.data.data_utils import batch_by_size

from fairseq_vhm.data.plan import RoundRobinPlan
from fairseq_vhm.errors import UserError
from fairseq_vhm.planning.run import Run
from fairseq_vhm.planning.texts import Texts
from fairseq_vhm.planning.unit_costs import BOTH, UnitCosts
from fairseq_vhm.tasks.config import parse_ratio


@dataclass(frozen=True)
class Batches:
    """The mini-batches of one pass over a task's pairs (or over :data:`~.unit_costs.BOTH`'s).

    Args:
        shapes: (n x 3) sentences, and tokens of the longest source and target.
        number: of mini-batches; more than ``shapes`` where one stands for all.
    """

    kind: str
    shapes: np.ndarray
    number: int

    def cost(self, units: UnitCosts) -> tuple[float, float]:
        """Multiply-adds of one in the mean, and bytes of activations of the one that needs most."""
        kinds, counts = np.unique(self.shapes, axis=0, return_counts=True)
        costs = [units.of(self.kind, *shape) for shape in kinds]
        mean = np.average([cost.multiply_adds for cost in costs], weights=counts)
        return float(mean), max(cost.activations for cost in costs)


def batches_of(run: Run, texts: list[Texts]) -> dict[str, Batches]:
    """The mini-batches of each task of a run, cut as fairseq cuts them.

    Raises:
        UserError: a task has no texts, or its longest pair is beyond ``--max-tokens``.
    """
    known = {one.task: one for one in texts}
    if lacking := [task for task in run.tasks if task not in known and not run.is_many_to_many]:
        named = ",".join(run.tasks)
        raise UserError(f"--tasks {named}: no texts of {lacking[0]}; give them, or leave it out")
    tasks = [task for task in run.tasks if task in known]
    found = {task: _cut(run, known[task]) for task in tasks}
    if run.shares_documents:
        cls, ms = found.pop("cls"), found.pop("ms")
        longer = max(cls.shapes[:, 2].mean(), ms.shapes[:, 2].mean()) / cls.shapes[:, 2].mean()
        shapes = cls.shapes * np.array([1.0, 1.0, longer])
        found = {BOTH: Batches(BOTH, shapes, cls.number), **found}
    return found


def _cut(run: Run, texts: Texts) -> Batches:
    limits = run.positions
    tag = int((run.settings.task_tag or ("none" if run.is_many_to_many else "source")) == "source")
    if texts.lengths is None:
        lengths = [min(texts.source + tag, limits[0]), min(texts.target, limits[1])]
        sentences = max(1, math.floor(_sentences(run, max(lengths))))
        shapes = np.array([[sentences, *lengths]], dtype=float)
        return Batches(texts.task, shapes, math.ceil(texts.pairs / sentences))
    cut = np.minimum(texts.lengths + [tag, 0], limits)
    batches = _by_size(run, cut)
    shapes = np.array([[len(batch), *cut[batch].max(axis=0)] for batch in batches], dtype=float)
    return Batches(texts.task, shapes, len(batches))


def _sentences(run: Run, longest: float) -> float:
    dataset = run.cfg.dataset
    by_tokens = dataset.max_tokens / longest if dataset.max_tokens else math.inf
    return min(by_tokens, dataset.batch_size or math.inf)


def _by_size(run: Run, lengths: np.ndarray) -> list[np.ndarray]:
    """Positions of the pairs of each mini-batch, by fairseq's own cutting."""
    tokens, dataset = lengths.max(axis=1), run.cfg.dataset
    if dataset.max_tokens and tokens.max() > dataset.max_tokens:
        raise UserError(
            f"--max-tokens {dataset.max_tokens}: the longest pair has {tokens.max()} tokens; raise it, or "
            "cut longer texts with --max-source-positions and --max-target-positions"
        )
    order = np.lexsort((lengths[:, 1], lengths[:, 0]))
    return batch_by_size(
        order,
        lambda index: int(tokens[index]),
        num_tokens_vec=tokens[order],
        max_tokens=dataset.max_tokens,
        max_sentences=dataset.batch_size,
        required_batch_size_multiple=dataset.required_batch_size_multiple,
    )


@dataclass(frozen=True)
class Schedule:
    """How mini-batches make up a run on the GPUs that its flags are for.

    Args:
        updates: of the whole run.
        epochs: passes over the data, as fairseq counts them.
        mini_batches: kind -> how many of it are computed in an update, on all GPUs together.
    """

    updates: int
    epochs: float
    mini_batches: dict[str, float]

    @classmethod
    def of(cls, run: Run, batches: dict[str, Batches]) -> "Schedule":
        steps = run.steps_an_update * run.world
        if run.is_many_to_many:
            a_step = dict.fromkeys(batches, float(run.settings.micro_batches))
            in_epoch = run.settings.epoch_updates or math.ceil(
                batches["cls"].number / (run.settings.micro_batches * steps)
            )
        else:
            ratio = _ratio(run, batches)
            turns = sum(ratio.values()) if run.settings.task_schedule == "alternate" else 1
            a_step = {kind: ratio[kind] / turns for kind in batches}
            sizes = {kind: one.number for kind, one in batches.items()}
            schedule = str(run.settings.task_schedule)
            plan = RoundRobinPlan(sizes, schedule, ratio, 1, run.world, (run.steps_an_update,))
            in_epoch = plan.updates(1)
        updates = run.updates(in_epoch)
        return cls(updates, updates / in_epoch, {kind: n * steps for kind, n in a_step.items()})


def _ratio(run: Run, batches: dict[str, Batches]) -> dict[str, int]:
    ratio = parse_ratio(run.settings.task_ratio, run.tasks)
    return {kind: ratio[kind.partition("+")[0]] for kind in batches}
