"""A rank that dies or stands still: the others wait half an hour and end in a stack trace that names none.

fairseq's ``--heartbeat-timeout`` sends SIGINT to a process whose model is not called, which a rank that waits
for others in gloo does not see before that wait is over.  Here the flag bounds the waiting itself, and the
ranks that are left call the roll.  Delete when fairseq's ``distributed_init`` gives its groups a timeout.
"""

import functools
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from fairseq.distributed import utils as distributed_utils
from fairseq.models import distributed_fairseq_model
from torch.distributed.distributed_c10d import _get_default_store, _set_pg_timeout

from fairseq_vhm.errors import UserError

ROLL_CALL = 10.0
"""Seconds that ranks are given to answer; fewer where ``--heartbeat-timeout`` is."""

POLL, MARGIN = 0.5, 2.0
CALLED, ANSWER, NOTICED, FOUND = (f"fairseq_vhm/{key}" for key in ("called", "here/", "noticed/", "found"))
SIGNS = ("gloo", "Connection closed", "Connection reset", "Timed out", "Broken pipe", "NCCL")


class Roll:
    """Finds the ranks that are gone, through the store that all of them meet in (rank 0 keeps it).

    A thread answers for this rank, since its main thread may be waiting for the one that is gone.
    """

    def __init__(self, store: dist.Store, rank: int, size: int) -> None:
        self.store, self.found = store, ""
        self.rank, self.all = rank, range(size)
        self.ended = threading.Event()
        self.answering = threading.Thread(target=self._answer, daemon=True)
        self.answering.start()

    def close(self) -> None:
        """Ask and answer no more; a thread in the store while the process ends would abort it."""
        self.ended.set()
        self.answering.join(MARGIN)

    def _answer(self) -> None:
        try:
            if self._comes(CALLED):
                self.store.set(f"{ANSWER}{self.rank}", "here")
            if self._comes(FOUND):
                self.found = self.store.get(FOUND).decode()
        except RuntimeError:  # the store has ended with rank 0
            return

    def _comes(self, key: str) -> bool:
        """Wait for a key; whether it is there."""
        while not self.ended.is_set() and not self.store.check([key]):
            self.ended.wait(POLL)
        return not self.ended.is_set()

    def call(self, seconds: float) -> str:
        """What is wrong with the group; the first rank that knows tells the others."""
        asking = threading.Thread(target=self._ask, args=(seconds,), daemon=True)
        asking.start()
        asking.join(seconds + MARGIN)
        if self.rank == 0:
            time.sleep(MARGIN)  # for the others to read it, as the store ends with this process
        return self.found or "rank 0 ended or does not answer"

    def _ask(self, seconds: float) -> None:
        try:
            self.store.set(CALLED, "")
            self.store.set(f"{NOTICED}{self.rank}", "")
            until = time.monotonic() + seconds
            while time.monotonic() < until and not self.found:
                time.sleep(POLL)
            gone = self._without(ANSWER) or self._without(NOTICED)
            self.found = self.found or self.store.compare_set(FOUND, "", _sentence(gone)).decode()
        except RuntimeError:  # likewise
            return

    def _without(self, key: str) -> list[int]:
        return [rank for rank in self.all if not self.store.check([f"{key}{rank}"])]


def _sentence(gone: list[int]) -> str:
    if not gone:
        return "a connection broke, though every rank answers"
    ranks = "rank" if len(gone) == 1 else "ranks"
    return f"{ranks} {', '.join(map(str, gone))} ended or did not come in time"


def _initialising_in_time(init: Callable, rolls: list[Roll]) -> Callable:
    @functools.wraps(init)
    def init_in_time(cfg: Any) -> int:
        rank = init(cfg)
        seconds = cfg.distributed_training.heartbeat_timeout
        if seconds > 0:
            for group in (dist.group.WORLD, distributed_utils.get_global_group()):
                _set_pg_timeout(timedelta(seconds=seconds), group)
        rolls.append(Roll(_get_default_store(), dist.get_rank(), dist.get_world_size()))
        return rank

    init_in_time.bounds = True  # type: ignore[attr-defined]  # says that it is in place
    return init_in_time


def _naming_the_missing(distributed_main: Callable, rolls: list[Roll]) -> Callable:
    @functools.wraps(distributed_main)
    def main_or_name_the_missing(i: int, main: Callable, cfg: Any, kwargs: dict) -> Any:
        try:
            distributed_main(i, main, cfg, kwargs)
        except RuntimeError as error:
            if not (rolls and _is_of_the_group(error)):
                raise
            limit = cfg.distributed_training.heartbeat_timeout
            found = rolls[-1].call(min(ROLL_CALL, limit) if limit > 0 else ROLL_CALL)
            raise UserError(
                f"rank {dist.get_rank()} of {dist.get_world_size()} cannot go on: {found}; see what that "
                "says, then start all ranks again, which go on from the last checkpoint"
            ) from error
        finally:
            for roll in rolls:
                roll.close()

    return main_or_name_the_missing


def _is_of_the_group(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in SIGNS)


def bound_the_waiting() -> None:
    """Let ``--heartbeat-timeout`` hold, and name who is missing; safe to call more than once."""
    if hasattr(distributed_utils.distributed_init, "bounds"):
        return
    rolls: list[Roll] = []
    distributed_utils.distributed_init = _initialising_in_time(distributed_utils.distributed_init, rolls)
    distributed_utils.distributed_main = _naming_the_missing(distributed_utils.distributed_main, rolls)
    if not dist.is_initialized():  # else the group has met without a limit of ours, and fairseq's stays
        distributed_fairseq_model.DistributedTimeoutWrapper = lambda model, timeout: model
