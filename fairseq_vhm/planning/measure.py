"""A few updates of a run on this machine's CPU, against what their multiply-adds should take."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from fairseq import tasks
from fairseq.data import iterators
from fairseq.logging import metrics
from fairseq.trainer import Trainer

from fairseq_vhm.planning.run import Run
from fairseq_vhm.planning.unit_costs import UnitCosts

PRODUCT = 1024
"""Side of the matrices whose product says how fast this CPU multiplies."""
PRODUCTS = 4
WARM_UP = 1


@dataclass(frozen=True)
class Measured:
    """CPU seconds in all threads.

    Args:
        rate: multiply-adds a second of large float32 products.
        seconds: of each update.
        multiply_adds: of each update, by its own mini-batches.
    """

    rate: float
    seconds: list[float]
    multiply_adds: list[float]

    @property
    def predicted(self) -> float:
        """Seconds of the updates in the mean, if they were those products and nothing else."""
        return sum(self.multiply_adds) / len(self.multiply_adds) / self.rate

    @property
    def taken(self) -> float:
        """Seconds of the updates in the mean."""
        return sum(self.seconds) / len(self.seconds)

    @property
    def share(self) -> float:
        """Of the rate of large products, what the updates reached."""
        return self.predicted / self.taken


def matrix_rate() -> float:
    """Multiply-adds a CPU second of large float32 products; the best of some."""
    left, right = torch.randn(2, PRODUCT, PRODUCT).unbind()
    torch.mm(left, right)
    return PRODUCT**3 / min(_seconds(lambda: torch.mm(left, right)) for _ in range(PRODUCTS))


def measure(run: Run, units: UnitCosts, updates: int) -> Measured:
    """Train for some updates, nothing written; the first :data:`WARM_UP` are not counted."""
    trainer = trainer_of(run)
    taken, work = [], []
    for number, step in enumerate(islice(steps(run, trainer), WARM_UP + updates)):
        seconds = _seconds(partial(train, trainer, step))
        if number >= WARM_UP:
            taken.append(seconds)
            work.append(sum(_work(units, batch) for one in step for batch in one["mini_batches"]))
    return Measured(matrix_rate(), taken, work)


def trainer_of(run: Run) -> Trainer:
    """fairseq's trainer with the run's task, model and criterion, on the CPU."""
    task = tasks.setup_task(run.cfg.task)
    model, criterion = task.build_model(run.cfg.model), task.build_criterion(run.cfg.criterion)
    return Trainer(run.cfg, task, model, criterion)


def steps(run: Run, trainer: Trainer) -> Iterator[list[dict]]:
    """The samples of each update, epoch after epoch."""
    epoch = 0
    while True:
        epoch += 1
        iterator = trainer.get_train_iterator(epoch, load_dataset=epoch == 1)
        trainer.begin_epoch(epoch)
        each = iterator.next_epoch_itr(fix_batches_to_gpus=False, shuffle=True)
        yield from iterators.GroupedIterator(each, run.steps_an_update)


def train(trainer: Trainer, step: list[dict]) -> None:
    """One update."""
    with metrics.aggregate("train_inner"):
        trainer.train_step(step)


def _work(units: UnitCosts, batch: dict) -> float:
    """Multiply-adds of a mini-batch as it was collated."""
    (sentences, source), target = batch["net_input"]["src_tokens"].shape, batch["target"].shape[1]
    kind = batch["net_input"]["task"]
    if "partner" in batch:
        kind, target = f"{kind}+ms", (target + batch["partner"]["target"].shape[1]) / 2
    return units.of(kind, sentences, source, target).multiply_adds


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
