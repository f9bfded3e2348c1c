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

POLL, MARGIN = 0.1, 2.0
ANSWER, MISSING = "fairseq_vhm/here/{}", "fairseq_vhm/missing"
SIGNS = ("gloo", "Connection closed", "Connection reset", "Timed out", "Broken pipe", "NCCL")


def _initialising_in_time(init: Callable) -> Callable:
    @functools.wraps(init)
    def init_in_time(cfg: Any) -> int:
        rank = init(cfg)
        seconds = cfg.distributed_training.heartbeat_timeout
        if seconds > 0:
            for group in (dist.group.WORLD, distributed_utils.get_global_group()):
                _set_pg_timeout(timedelta(seconds=seconds), group)
        return rank

    init_in_time.bounds = True  # type: ignore[attr-defined]  # says that it is in place
    return init_in_time


def _naming_the_missing(distributed_main: Callable) -> Callable:
    @functools.wraps(distributed_main)
    def main_or_name_the_missing(i: int, main: Callable, cfg: Any, kwargs: dict) -> Any:
        try:
            return distributed_main(i, main, cfg, kwargs)
        except RuntimeError as error:
            if not (dist.is_initialized() and any(sign in str(error) for sign in SIGNS)):
                raise
            limit = cfg.distributed_training.heartbeat_timeout
            missing = call_the_roll(min(ROLL_CALL, limit) if limit > 0 else ROLL_CALL)
            raise UserError(
                f"rank {dist.get_rank()} of {dist.get_world_size()} cannot go on: {missing}; see what that "
                "says, then start all ranks again, which go on from the last checkpoint"
            ) from error

    return main_or_name_the_missing


def call_the_roll(seconds: float) -> str:
    """The ranks that do not answer within so many seconds, or what else is known.

    The rank that is done first tells the others; so all name the same ones.  Rank 0 keeps the answers: they
    are asked for in a thread, which is left alone where that rank stands still.
    """
    told: list[str] = []
    asking = threading.Thread(target=lambda: told.append(_ask_the_others(seconds)), daemon=True)
    asking.start()
    asking.join(seconds + MARGIN)
    return told[0] if told else "rank 0 does not answer"


def _ask_the_others(seconds: float) -> str:
    rank, ranks = dist.get_rank(), range(dist.get_world_size())
    try:
        store = _get_default_store()
        store.set(ANSWER.format(rank), "here")
        until = time.monotonic() + seconds
        while time.monotonic() < until and not store.check([MISSING]):
            time.sleep(POLL)
            if all(store.check([ANSWER.format(other)]) for other in ranks):
                break
        silent = [other for other in ranks if not store.check([ANSWER.format(other)])]
        told = store.compare_set(MISSING, "", _sentence(silent)).decode()
        if rank == 0:
            time.sleep(MARGIN)  # the answers end with this process
    except RuntimeError:
        return "rank 0 has ended, or cannot be reached"
    return told


def _sentence(silent: list[int]) -> str:
    if not silent:
        return "a connection broke, though every rank answers"
    ranks = "rank" if len(silent) == 1 else "ranks"
    return f"{ranks} {', '.join(map(str, silent))} ended or did not answer in time"


def bound_the_waiting() -> None:
    """Let ``--heartbeat-timeout`` hold, and name who is missing; safe to call more than once."""
    if hasattr(distributed_utils.distributed_init, "bounds"):
        return
    distributed_utils.distributed_init = _initialising_in_time(distributed_utils.distributed_init)
    distributed_utils.distributed_main = _naming_the_missing(distributed_utils.distributed_main)
    distributed_fairseq_model.DistributedTimeoutWrapper = lambda model, timeout: model
