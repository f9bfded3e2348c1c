"""The plan of a training run: which mini-batches make up which update.

A plan is a pure function of (number of batches of each task, settings, seed, epoch, number of ranks);
so a resumed run sees what an uninterrupted one sees, and every rank knows the whole plan.

* Each task's pairs are cut into mini-batches once.  Its *stream* is pass after pass over them, each pass
  in a new order; tasks of unequal size wrap independently of each other, and a stream goes on across
  epochs where it stood.
* ``joint``: a *step* (what one rank computes at once) holds ``ratio`` mini-batches of every task, and
  their losses are summed.  ``alternate``: an update belongs to one task; tasks take turns, ``ratio``
  updates each.
* A *cycle* is one update (``joint``) or one round of turns (``alternate``).  An epoch is the smallest
  number of cycles in which every task's data have been passed at least once; so the task that needs the
  most updates is passed once, the others more often.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np

SCHEDULES = ("joint", "alternate")
"""``joint``: every task in each update; ``alternate``: one task an update in turn."""


class Turn(NamedTuple):
    """One mini-batch in its place: ``number`` among its task's, ``position`` in the task's stream."""

    task: str
    number: int
    position: int


Step = list[Turn]
"""What a rank computes at once."""


@dataclass(frozen=True)
class RoundRobinPlan:
    """Round-robin over tasks.

    Args:
        batches: task -> number of its mini-batches, in the order in which tasks take turns.
        schedule: one of :data:`SCHEDULES`.
        ratio: task -> mini-batches in a step (``joint``) or updates in a round (``alternate``).
        seed: of the order of the mini-batches.
        shards: number of data-parallel ranks.
        update_freq: steps a rank accumulates in an update, for each epoch; the last one goes on.
        follows: task -> another whose order it takes, mini-batch for mini-batch (``ms`` -> ``cls``
            where both hold the same documents); both then have as many mini-batches and one ratio.
    """

    batches: dict[str, int]
    schedule: str
    ratio: dict[str, int]
    seed: int
    shards: int = 1
    update_freq: tuple[int, ...] = (1,)
    follows: Mapping[str, str] = field(default_factory=dict)

    def steps(self, epoch: int) -> Iterator[Step]:
        """The steps of an epoch (from 1), for all ranks: ``update_freq x shards`` in a row an update.

        Consecutive steps go to consecutive ranks, as fairseq's ``ShardedIterator`` deals them.
        """
        cursors = {task: self._streamed_before(task, epoch) for task in self.batches}
        for _ in range(self.cycles(epoch)):
            yield from self._cycle(cursors, self.steps_per_update(epoch))

    def cycles(self, epoch: int) -> int:
        """Number of cycles in an epoch."""
        used = self.steps_per_update(epoch)
        return max(math.ceil(n / (used * self.ratio[task])) for task, n in self.batches.items())

    def updates(self, epoch: int) -> int:
        """Number of optimizer updates in an epoch."""
        turns = sum(self.ratio[task] for task in self.batches)
        return self.cycles(epoch) * (turns if self.schedule == "alternate" else 1)

    def _cycle(self, cursors: dict[str, int], steps_per_update: int) -> Iterator[Step]:
        if self.schedule == "joint":
            for _ in range(steps_per_update):
                yield [self._next(cursors, t) for t in self.batches for _ in range(self.ratio[t])]
        else:
            for task in self.batches:
                for _ in range(self.ratio[task] * steps_per_update):
                    yield [self._next(cursors, task)]

    def _next(self, cursors: dict[str, int], task: str) -> Turn:
        position = cursors[task]
        passes, within = divmod(position, self.batches[task])
        cursors[task] += 1
        order = _order(self.seed, self.follows.get(task, task), passes, self.batches[task])
        return Turn(task, int(order[within]), position)

    def _streamed_before(self, task: str, epoch: int) -> int:
        """How many mini-batches of the task's stream earlier epochs have used."""
        return sum(self.cycles(e) * self.steps_per_update(e) * self.ratio[task] for e in range(1, epoch))

    def steps_per_update(self, epoch: int) -> int:
        """Steps of all ranks together that make up an update of an epoch."""
        return self.update_freq[min(epoch, len(self.update_freq)) - 1] * self.shards


@lru_cache(maxsize=8)
def _order(seed: int, task: str, passes: int, size: int) -> np.ndarray:
    """The order of one pass over a task's mini-batches."""
    return np.random.default_rng([seed, zlib.crc32(task.encode()), passes]).permutation(size)
