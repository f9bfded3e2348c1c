"""Multistage language sampling (Bhattacharjee et al., ACL 2023, Algorithm 1) and its single-stage relatives.

With c_ij training examples from language i into language j:

* Eq. 1, 2: the share of language i as a source, ``p_i = sum_j c_ij / sum_kj c_kj``, smoothed to
  ``q_i = p_i^alpha / sum_k p_k^alpha``;
* Eq. 3, 4: the share of target j given source i, ``p_j|i = c_ij / sum_k c_ik``, smoothed by ``beta``;
* the same with sources and targets exchanged.

A fair coin says which side is drawn first.  That side's language is drawn once an update, the other side's
for each of its m micro-batches.  An update of the other ways draws m directions independently of each other
with ``q_ij`` in proportion to ``c_ij^tau``: ``unistage`` (the paper's baseline), ``proportional`` (tau = 1)
and ``uniform`` (tau = 0).

A plan is a pure function of (mini-batches of each direction, settings, seed, epoch, number of ranks).  What
an epoch draws comes from a generator of its own, so that no epoch has to be drawn mini-batch by mini-batch
to know where the next one begins.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fairseq_vhm.data.corpus_layout import Direction

SAMPLINGS = ("multistage", "unistage", "proportional", "uniform")
"""The ways to draw directions."""


class Sampling(NamedTuple):
    """How the directions of an update are drawn.

    Args:
        kind: one of :data:`SAMPLINGS`.
        alpha, beta: exponents of the first and the second stage (``multistage``).
        tau: the exponent of ``unistage``.
        micro_batches: m, the directions of an update.
    """

    kind: str
    alpha: float
    beta: float
    tau: float
    micro_batches: int

    @property
    def exponent(self) -> float:
        """tau of the ways that have one stage."""
        return {"proportional": 1.0, "uniform": 0.0}.get(self.kind, self.tau)


def smoothed(counts: np.ndarray, exponent: float) -> np.ndarray:
    """Eq. 2, 4: the shares of ``counts`` (along the last axis) to the power, made to sum to one.

    Nothing stays nothing, whatever the exponent.
    """
    total = counts.sum(-1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros_like(counts, dtype=float), where=total > 0)
    powers = np.where(shares > 0, shares**exponent, 0.0)
    mass = powers.sum(-1, keepdims=True)
    return np.divide(powers, mass, out=powers, where=mass > 0)


class DirectionSampler:
    """Draws directions by the number of their examples.

    Args:
        counts: examples of each direction; those of none are never drawn.
        sampling: how they are drawn.
    """

    def __init__(self, counts: Mapping[Direction, int], sampling: Sampling):
        self.directions = tuple(counts)
        self.sampling = sampling
        self.sources = tuple(dict.fromkeys(source for source, _ in counts))
        self.targets = tuple(dict.fromkeys(target for _, target in counts))
        places = {side: {name: k for k, name in enumerate(names)} for side, names in self._sides().items()}
        self.matrix = np.zeros((len(self.sources), len(self.targets)))
        self.number = np.full(self.matrix.shape, -1)
        for k, ((source, target), count) in enumerate(counts.items()):
            cell = places["source"][source], places["target"][target]
            self.matrix[cell], self.number[cell] = count, k

    def _sides(self) -> dict[str, tuple[str, ...]]:
        return {"source": self.sources, "target": self.targets}

    def draw(self, rng: np.random.Generator, updates: int) -> np.ndarray:
        """The directions of so many updates, as numbers into ``directions``: (updates x m)."""
        size = (updates, self.sampling.micro_batches)
        if self.sampling.kind != "multistage":
            cells = _choose(_cumulated(self._single_stage()), rng.random(size))
            return self.number.reshape(-1)[cells]
        coin, first, second = rng.random(updates), rng.random(updates), rng.random(size)
        source_first = self._two_stages(self.matrix, self.number, first, second)
        target_first = self._two_stages(self.matrix.T, self.number.T, first, second)
        return np.where((coin < 0.5)[:, None], source_first, target_first)

    def probabilities(self) -> np.ndarray:
        """The probability that a micro-batch is of each direction, over all updates (closed form)."""
        if self.sampling.kind != "multistage":
            matrix = self._single_stage().reshape(self.matrix.shape)
        else:
            matrix = (self._joint(self.matrix) + self._joint(self.matrix.T).T) / 2
        shares = np.zeros(len(self.directions))
        known = self.number >= 0
        shares[self.number[known]] = matrix[known]
        return shares

    def _single_stage(self) -> np.ndarray:
        return smoothed(self.matrix.reshape(-1), self.sampling.exponent)

    def _joint(self, matrix: np.ndarray) -> np.ndarray:
        first = smoothed(matrix.sum(1), self.sampling.alpha)
        return first[:, None] * smoothed(matrix, self.sampling.beta)

    def _two_stages(self, matrix: Any, number: Any, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Rows by ``first`` (U), then a column of each row by ``second`` (U x m), both uniform on [0, 1)."""
        rows = _choose(_cumulated(smoothed(matrix.sum(1), self.sampling.alpha)), first)
        cumulated = _cumulated(smoothed(matrix, self.sampling.beta))
        drawn = np.empty(second.shape, dtype=np.int64)
        for row in np.unique(rows):
            here = rows == row
            drawn[here] = number[row, _choose(cumulated[row], second[here])]
        return drawn


def _cumulated(shares: np.ndarray) -> np.ndarray:
    """Upper ends of the parts of [0, 1) that the shares take; the last part that is any ends at 1."""
    ends = shares.cumsum(-1)
    return np.where(ends >= ends[..., -1:], 1.0, ends)


def _choose(ends: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The part in which each number of [0, 1) falls."""
    return np.searchsorted(ends, numbers, side="right")


class Turn(NamedTuple):
    """One mini-batch: ``number`` among those of its task's stream, ``position`` in that stream."""

    task: str
    stream: int
    number: int
    position: int


class Streams(NamedTuple):
    """The mini-batches that a task has for the directions.

    Args:
        task: ``cls``, ``mt`` or ``ms``.
        of_direction: the stream that each direction takes from; -1: none.  Directions may share one, as
            those of one source language do the MS pairs of that language.
        batches: number of mini-batches of each stream.
    """

    task: str
    of_direction: tuple[int, ...]
    batches: tuple[int, ...]


@dataclass(frozen=True)
class SampledPlan:
    """Which mini-batches make up which update, for all ranks.

    An update draws m directions; each of its ``update_freq x shards`` steps holds a mini-batch of each of
    them for every task that has one, so that all ranks meet the same languages and different examples.  A
    *stream* is pass after pass over its mini-batches, each pass in a new order.

    Args:
        streams: of each task; the first task's has some for every direction.
        sampler: draws directions.
        seed: of draws and orders.
        shards: number of data-parallel ranks.
        update_freq: steps a rank accumulates in an update, for each epoch; the last one goes on.
        epoch_updates: updates in an epoch; 0: as many as take as many mini-batches as the first task has.
    """

    streams: tuple[Streams, ...]
    sampler: DirectionSampler
    seed: int
    shards: int = 1
    update_freq: tuple[int, ...] = (1,)
    epoch_updates: int = 0

    def updates(self, epoch: int) -> int:
        """Number of optimizer updates in an epoch."""
        an_update = self.steps_per_update(epoch) * self.sampler.sampling.micro_batches
        return self.epoch_updates or max(1, math.ceil(sum(self.streams[0].batches) / an_update))

    def draws(self, epoch: int) -> np.ndarray:
        """The directions of each update of an epoch (updates x m)."""
        return self.sampler.draw(np.random.default_rng([self.seed, epoch]), self.updates(epoch))

    def steps(self, epoch: int) -> list[list[Turn]]:
        """The steps of an epoch (from 1), ``update_freq x shards`` in a row an update."""
        drawn, per_update = self.draws(epoch), self.steps_per_update(epoch)
        firsts = []
        for streams in self.streams:
            taken = np.asarray(streams.of_direction)[drawn]
            before = np.zeros(len(streams.batches), dtype=np.int64)
            before += sum(_used(self, streams, earlier) for earlier in range(1, epoch))
            firsts.append((taken, before[taken] + _occurrences(taken) * per_update))
        return [
            [turn for k in range(drawn.shape[1]) for turn in self._turns(firsts, update, k, step)]
            for update in range(len(drawn))
            for step in range(per_update)
        ]

    def _turns(self, firsts: list, update: int, k: int, step: int) -> Iterator[Turn]:
        """The mini-batches of an update's k-th direction in one of its steps, task by task."""
        for streams, (taken, first) in zip(self.streams, firsts, strict=True):
            if (stream := int(taken[update, k])) >= 0:
                position = int(first[update, k]) + step
                passes, within = divmod(position, streams.batches[stream])
                order = _order(self.seed, streams.task, stream, passes, streams.batches[stream])
                yield Turn(streams.task, stream, int(order[within]), position)

    def steps_per_update(self, epoch: int) -> int:
        """Steps of all ranks together that make up an update of an epoch."""
        return self.update_freq[min(epoch, len(self.update_freq)) - 1] * self.shards


@lru_cache(maxsize=4096)
def _used(plan: SampledPlan, streams: Streams, epoch: int) -> np.ndarray:
    """Mini-batches of each stream that an epoch uses."""
    taken = np.asarray(streams.of_direction)[plan.draws(epoch)]
    drawn = np.bincount(taken[taken >= 0], minlength=len(streams.batches))
    return drawn * plan.steps_per_update(epoch)


def _occurrences(taken: np.ndarray) -> np.ndarray:
    """How often each draw's stream was drawn before, in reading order."""
    flat = taken.reshape(-1)
    order = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[order], flat[order], side="left")
    before = np.empty_like(flat)
    before[order] = np.arange(len(flat)) - starts
    return before.reshape(taken.shape)


@lru_cache(maxsize=4096)
def _order(seed: int, task: str, stream: int, passes: int, size: int) -> np.ndarray:
    """The order of one pass over a stream's mini-batches."""
    return np.random.default_rng([seed, zlib.crc32(task.encode()), stream, passes]).permutation(size)
