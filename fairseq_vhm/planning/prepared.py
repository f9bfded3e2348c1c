"""What a run trains on in a prepared folder: loaded and cut into mini-batches by the run's own task.

So every flag of the task holds (few-shot, pre-training tasks, directions, documents in common, marks), and
the mini-batches are those of training.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fairseq import tasks

from fairseq_vhm.data.directions import DirectionPairs, SampledSteps, TrainingExamples
from fairseq_vhm.data.pairs import Batching, TaskPairs, TrainingPairs, TrainingSteps
from fairseq_vhm.errors import UserError
from fairseq_vhm.planning.batches import Batches, Material, in_turn, shapes_of
from fairseq_vhm.planning.run import Run
from fairseq_vhm.planning.texts import Texts
from fairseq_vhm.tasks.many_to_many_config import sampling_of


def material_of(run: Run, folder: Path) -> Material:
    """The training data of ``folder``.

    Raises:
        UserError: there are none, they are broken, or do not go with the flags.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give prepared DATA, or --pairs and --lengths")
    task = tasks.setup_task(run.cfg.task)
    task.summaries_wanted = False  # a model says so; what it reads beside the pairs is not counted
    task.load_dataset(run.cfg.dataset.train_subset, combine=True)
    examples = task.datasets[run.cfg.dataset.train_subset]
    task.check_fits(examples.parts, run.cfg.dataset.max_tokens, "--max-tokens")
    steps = examples.steps(_batching(run))
    batches, updates = _sampled(run, steps) if run.is_many_to_many else _in_turn(run, task, steps)
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Material(list(_texts(examples)), len(task.source_dictionary), disk, batches, updates, folder)


def _batching(run: Run) -> Batching:
    dataset = run.cfg.dataset
    multiple = dataset.required_batch_size_multiple
    return Batching(dataset.max_tokens, dataset.batch_size, multiple, run.cfg.common.seed)


def _lengths(pairs: TaskPairs | DirectionPairs) -> np.ndarray:
    """Tokens of each source and target as the model gets them, (pairs x 2)."""
    return np.asarray(pairs.sizes)


def _texts(examples: TrainingPairs | TrainingExamples) -> Iterator[Texts]:
    """The pairs of each task that are in use."""
    for task, pairs in examples.parts.items():
        used = pairs.ordered_indices()
        partners = getattr(examples, "ms_of_cls", None)
        if task == "ms" and partners is not None:
            used = partners[examples.parts["cls"].ordered_indices()]
        yield Texts.of_lengths(task, _lengths(pairs)[used])


def _in_turn(run: Run, task: Any, steps: TrainingSteps) -> tuple[dict[str, Batches], int]:
    """Mini-batches by task and updates of an epoch."""
    plan = steps.plan(
        str(run.settings.task_schedule),
        task.ratio,
        seed=run.cfg.common.seed,
        shards=run.world,
        update_freq=(run.steps_an_update,),
    )
    cut = steps.mini_batches
    shapes = {name: shapes_of(_lengths(pairs), cut[name]) for name, pairs in steps.parts.items()}
    return in_turn(run, shapes, plan), plan.updates(1)


def _sampled(run: Run, steps: SampledSteps) -> tuple[dict[str, Batches], int]:
    """Likewise, each direction as often as it is drawn; in-language pairs are MS whoever drew them."""
    plan = steps.plan(
        sampling_of(run.settings),
        seed=run.cfg.common.seed,
        shards=run.world,
        update_freq=(run.steps_an_update,),
        epoch_updates=run.settings.epoch_updates,
    )
    draws = plan.sampler.probabilities() * run.settings.micro_batches
    found = defaultdict(list)
    for streams in plan.streams:
        pairs = steps.parts[streams.task]
        for stream, batches in enumerate(steps.mini_batches[streams.task]):
            rate = draws[np.asarray(streams.of_direction) == stream].sum()
            kind = pairs.task_of(pairs.direction_of(int(batches[0][0])))
            found[kind].append(Batches.evenly(kind, shapes_of(_lengths(pairs), batches), rate))
    return {kind: _together(kind, parts) for kind, parts in found.items()}, plan.updates(1)


def _together(kind: str, parts: list[Batches]) -> Batches:
    shapes, rates = (np.concatenate([getattr(part, name) for part in parts]) for name in ("shapes", "rates"))
    return Batches(kind, shapes, rates, len(shapes))
