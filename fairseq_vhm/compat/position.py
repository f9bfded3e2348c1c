"""A run that goes on within an epoch on another number of ranks skips or repeats data without a word.

fairseq's iterator saves how many batches one rank has read, and goes on after as many, however many ranks
there are, whatever the batches are by now, and where an update of the new run is half over; beyond the
epoch's end that is a stack trace.  Delete when its state says what all ranks have read and it looks at that.
"""

import logging
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from fairseq.data.iterators import EpochBatchIterator

from fairseq_vhm.errors import UserError

logger = logging.getLogger(__name__)


class ResumableIterator(EpochBatchIterator):
    """fairseq's iterator over batches that are steps of a plan; it goes on where all ranks together stood.

    Where the steps that were read are not those with which the plan of the epoch now begins, that place is
    nowhere: it goes on at the same share of the epoch, and says so.

    Args:
        steps_per_update: of all ranks together, by epoch.
        settings: fairseq's; ``dataset.examples_of`` has the numbers of a turn's examples.
    """

    def __init__(self, *, steps_per_update: Callable[[int], int], **settings: Any):
        super().__init__(**settings)
        self.steps_per_update = steps_per_update

    def state_dict(self) -> dict:
        """fairseq's, and the steps that all ranks together have read, by their number and a sum."""
        state = super().state_dict()
        if read := state["iterations_in_epoch"] * self.num_shards:
            steps = len(self.frozen_batches)
            state |= {"steps_read": read, "steps": steps, "sum_of_read": self._sum_of_first(read)}
        return state

    def load_state_dict(self, state: dict) -> None:
        """Go on where a checkpoint's run stood; fairseq's own states are taken as those of as many ranks."""
        if state.get("iterations_in_epoch", 0):
            per_update = self.steps_per_update(state["epoch"])
            updates = self._updates_done(state, per_update)
            state = {**state, "iterations_in_epoch": updates * per_update // self.num_shards}
        super().load_state_dict(state)

    def _updates_done(self, state: dict, per_update: int) -> int:
        """The updates of this epoch that are not to be done again."""
        steps = len(self.frozen_batches)
        read = place = state.get("steps_read", state["iterations_in_epoch"] * self.num_shards)
        if "steps_read" not in state and read >= steps:
            raise UserError(
                f"the checkpoint stands beyond the end of epoch {state['epoch']}, which has {steps:,} steps "
                "now: give the --max-tokens, --batch-size, --update-freq and number of ranks of its run, or "
                "begin again at epoch 1 with --reset-dataloader"
            )
        same = state.get("sum_of_read") in (None, self._sum_of_first(read))
        if not same:
            place = read * steps // state["steps"]
        updates = min(place, steps - 1) // per_update
        if self.shard_id == 0:
            where = f"epoch {state['epoch']} goes on after update {updates:,} of {steps // per_update:,}"
            if not same:
                _warn_of_share(where, read / state["steps"])
            elif again := place - updates * per_update:
                _warn_of_repetition(where, again)
        return updates

    def _sum_of_first(self, number: int) -> int:
        """A sum of the turns of the epoch's first steps and of their examples, whatever their order."""
        turns = (turn for step in self.frozen_batches[:number] for turn in step)
        return sum(map(self._sum_of, turns))

    def _sum_of(self, turn: Any) -> int:
        examples = np.asarray(self.dataset.examples_of(turn), dtype=np.int64)
        return zlib.crc32(examples.tobytes(), zlib.crc32(repr(turn).encode()))


def _warn_of_share(where: str, share: float) -> None:
    logger.warning(
        f"{where}: the checkpoint had read {share:.0%} of it in other mini-batches or another order (another "
        "--max-tokens, --batch-size, number of ranks x --update-freq, or data), so that some texts of this "
        "epoch are read twice and others not at all"
    )


def _warn_of_repetition(where: str, steps: int) -> None:
    logger.warning(
        f"{where}: the checkpoint was saved within an update of this run (another number of ranks x "
        f"--update-freq), of which nothing is skipped; steps read twice: {steps:,}"
    )
