"""The mini-batches of a run: their shapes, how often each is computed, and how many updates they make.

Here they are cut from numbers and lengths that the user gave; :mod:`~fairseq_vhm.planning.prepared` reads
those of a prepared folder off the run's own task.
"""

import math
from dataclasses import dataclass
from pathlib import Path

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
    """The mini-batches of one kind: of a task, or of :data:`~.unit_costs.BOTH`.

    Args:
        shapes: (n x 3) sentences, and tokens of the longest source and target.
        rates: (n) how many of each a step (what one GPU computes at once) holds in the mean.
        number: of mini-batches in a pass over the data; more than ``shapes`` where one stands for all.
    """

    kind: str
    shapes: np.ndarray
    rates: np.ndarray
    number: int

    @classmethod
    def evenly(cls, kind: str, shapes: np.ndarray, in_step: float, number: int | None = None) -> "Batches":
        """All of them equally often, ``in_step`` of them in a step."""
        rates = np.full(len(shapes), in_step / len(shapes))
        return cls(kind, shapes, rates, len(shapes) if number is None else number)

    @property
    def in_step(self) -> float:
        """How many of them a step holds in the mean."""
        return float(self.rates.sum())

    def cost(self, units: UnitCosts) -> tuple[float, float]:
        """Multiply-adds of one in the mean, and bytes of activations of the one that needs most."""
        shapes, places = np.unique(self.shapes, axis=0, return_inverse=True)
        costs = [units.of(self.kind, *shape) for shape in shapes]
        rates = np.bincount(places.reshape(-1), weights=self.rates)
        mean = np.average([cost.multiply_adds for cost in costs], weights=rates)
        return float(mean), max(cost.activations for cost in costs)


@dataclass(frozen=True)
class Material:
    """What a run trains on.

    Args:
        texts: the pairs in use.
        symbols: of the dictionary, marks included.
        disk: bytes of the binarised data, pairs that are not in use included.
        batches: by their kind.
        updates: in an epoch.
        folder: the prepared data, if there are some; else sizes are the user's.
    """

    texts: list[Texts]
    symbols: int
    disk: int
    batches: dict[str, Batches]
    updates: int
    folder: Path | None = None


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
    def of(cls, run: Run, material: Material) -> "Schedule":
        """The run over its material."""
        updates, steps = run.updates(material.updates), run.steps_an_update * run.world
        counts = {kind: one.in_step * steps for kind, one in material.batches.items()}
        return cls(updates, updates / material.updates, counts)


# ---- from numbers and lengths ------------------------------------------------------------------


def cut(run: Run, texts: list[Texts]) -> tuple[dict[str, Batches], int]:
    """The mini-batches of pairs of which lengths or their mean are known, and the updates of an epoch.

    Raises:
        UserError: a task has no texts, or its longest pair is beyond ``--max-tokens``.
    """
    known = {one.task: one for one in texts}
    if lacking := [task for task in run.tasks if task not in known]:
        named = ",".join(run.tasks)
        raise UserError(f"--tasks {named}: no texts of {lacking[0]}; give them, or leave it out")
    shapes = {task: _shapes(run, known[task]) for task in run.tasks}
    if run.same_documents:
        shapes["ms"] = _with_targets_of(shapes["cls"], shapes["ms"])
    if run.is_many_to_many:
        return _sampled(run, shapes)
    return _in_turn(run, shapes)


Shapes = tuple[np.ndarray, int]
"""Shapes of mini-batches, and how many of these there are."""


def _shapes(run: Run, texts: Texts) -> Shapes:
    marks, limits = run.marks, run.positions
    if texts.lengths is None:
        source, target = np.minimum(np.add((texts.source, texts.target), marks), limits)
        sentences = _sentences(run, max(source, target))
        return np.array([[sentences, source, target]]), math.ceil(texts.pairs / sentences)
    lengths = np.minimum(texts.lengths + np.array(marks), limits)
    batches = _by_size(run, lengths)
    return shapes_of(lengths, batches), len(batches)


def shapes_of(lengths: np.ndarray, batches: list[np.ndarray]) -> np.ndarray:
    """(n x 3) of mini-batches, each the positions of its pairs in ``lengths`` (pairs x 2)."""
    return np.array([[len(batch), *lengths[batch].max(axis=0)] for batch in batches], dtype=float)


def _sentences(run: Run, longest: float) -> int:
    """Pairs of one length in a mini-batch: as many as fit, cut to fairseq's multiple where there are more."""
    dataset = run.cfg.dataset
    by_tokens = dataset.max_tokens / longest if dataset.max_tokens else math.inf
    most = max(1, math.floor(min(by_tokens, dataset.batch_size or math.inf)))
    multiple = dataset.required_batch_size_multiple
    return most if most < multiple else most - most % multiple


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


def _with_targets_of(cls: Shapes, ms: Shapes) -> Shapes:
    """MS pairs of the documents of CLS, mini-batch for mini-batch: longer or shorter targets in the mean."""
    shapes, number = cls
    ratio = ms[0][:, 2].mean() / shapes[:, 2].mean()
    return shapes * np.array([1.0, 1.0, ratio]), number


def _sampled(run: Run, shapes: dict[str, Shapes]) -> tuple[dict[str, Batches], int]:
    micro_batches = run.settings.micro_batches
    found = {task: Batches.evenly(task, one, micro_batches, n) for task, (one, n) in shapes.items()}
    an_update = micro_batches * run.steps_an_update * run.world
    return found, run.settings.epoch_updates or math.ceil(found["cls"].number / an_update)


def _in_turn(run: Run, shapes: dict[str, Shapes]) -> tuple[dict[str, Batches], int]:
    ratio, schedule = parse_ratio(run.settings), str(run.settings.task_schedule)
    sizes = {task: number for task, (_, number) in shapes.items()}
    plan = RoundRobinPlan(sizes, schedule, ratio, 1, run.world, (run.steps_an_update,))
    return in_turn(run, {task: one for task, (one, _) in shapes.items()}, plan), plan.updates(1)


def in_turn(run: Run, shapes: dict[str, np.ndarray], plan: RoundRobinPlan) -> dict[str, Batches]:
    """Mini-batches of tasks that take turns by ``plan``."""
    turns = sum(plan.ratio[task] for task in shapes) if plan.schedule == "alternate" else 1
    found = {
        task: Batches.evenly(task, one, plan.ratio[task] / turns, plan.batches[task])
        for task, one in shapes.items()
    }
    return _in_one(found) if run.shares_documents else found


def _in_one(found: dict[str, Batches]) -> dict[str, Batches]:
    """CLS and MS pairs of the same documents as one mini-batch, with targets of the mean length of both."""
    cls, ms = found["cls"], found["ms"]
    targets = (cls.shapes[:, 2] + ms.shapes[:, 2]) / 2
    both = Batches(BOTH, np.column_stack([cls.shapes[:, :2], targets]), cls.rates, cls.number)
    return {BOTH: both, **{task: one for task, one in found.items() if task not in ("cls", "ms")}}
