"""Where no launcher does, fairseq starts one process a GPU itself, and leaves these to themselves.

* They import the plugin when they have met already: too late for what ``ranks`` mends about that.
* A signal to the first process does not reach them, and ends it; one to all ends them before they have saved.
* What a rank says and its status come out as a stack trace of torch's ``spawn``, also for a user's mistake.

Delete when ``fairseq.distributed.utils.call_main`` imports ``--user-dir`` in the processes that it spawns,
hands signals on to them, and ends as they do.
"""

import contextlib
import functools
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

from fairseq.distributed import utils as distributed_utils
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from fairseq_vhm.compat.errors import mistake_behind
from fairseq_vhm.compat.preemption import SIGNALS
from fairseq_vhm.compat.programs import TRAINING, is_run_by_python
from fairseq_vhm.errors import UserError

MISTAKE = f"{UserError.__module__}.{UserError.__qualname__}: "
"""How the last line of a mistake's stack trace begins, by which it comes from a rank to the first process."""


def run_rank(i: int, main: Callable, cfg: Any, kwargs: dict) -> None:
    """What a spawned process runs; to find it by its name, it imports the plugin before all else."""
    from fairseq_vhm import compat

    compat.apply()  # again: ``fairseq_cli.train`` may have come with ``main`` alone
    try:
        distributed_utils.distributed_main(i, main, cfg, kwargs)
    except Exception as error:
        if (mistake := mistake_behind(error)) is None:
            raise
        raise mistake from None


@contextlib.contextmanager
def _running_ours() -> Iterator[None]:
    """Have ``call_main`` spawn :func:`run_rank`."""
    fairseqs = distributed_utils.distributed_main
    distributed_utils.distributed_main = run_rank
    try:
        yield
    finally:
        distributed_utils.distributed_main = fairseqs


@contextlib.contextmanager
def _handing_on() -> Iterator[set[int]]:
    """Hand signals on to the ranks, and go on waiting for those; which ones have come.

    Once one has come, this process is about to end with the status of the ranks: no other is to change that.
    """
    received: set[int] = set()

    def hand_on(number: int, frame: FrameType | None) -> None:
        children = multiprocessing.active_children()
        ranks = [child.pid for child in children if child.pid and not child.daemon]
        if not ranks and not received:
            _end_by(number)
        received.add(number)
        for rank in ranks:
            os.kill(rank, number)

    before = {number: signal.signal(number, hand_on) for number in SIGNALS}
    try:
        yield received
    finally:
        for number in SIGNALS:
            if not received:
                signal.signal(number, before[number])


def _end_by(number: int) -> None:
    """End this process by a signal, as if nobody listened to it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _end_as(rank: ProcessExitedException, first: int, received: set[int]) -> NoReturn:
    """End as a rank ended that did so without an exception."""
    if rank.exit_code >= 0:
        sys.exit(rank.exit_code)
    number = signal.Signals(-rank.exit_code)
    if number in received:
        _end_by(number)
    raise UserError(
        f"rank {first + rank.error_index} was ended by {number.name}; see what the system says about that, "
        "then repeat the command, which goes on from the last checkpoint"
    ) from None


def _answering(call_main: Callable) -> Callable:
    @functools.wraps(call_main)
    def call_and_answer(cfg: Any, main: Callable, **kwargs: Any) -> Any:
        group = cfg.distributed_training
        if not _spawns(group):
            return call_main(cfg, main, **kwargs)
        first = group.distributed_rank
        with _running_ours(), _handing_on() as received:
            try:
                return call_main(cfg, _by_its_name(main), **kwargs)
            except ProcessRaisedException as error:
                _, of_a_user, mistake = error.msg.rstrip().rpartition("\n")[2].partition(MISTAKE)
                if not of_a_user:
                    raise
                raise UserError(mistake) from None
            except ProcessExitedException as error:
                _end_as(error, first, received)

    call_and_answer.answers = True  # type: ignore[attr-defined]  # says that it is in place
    return call_and_answer


def _spawns(group: Any) -> bool:
    """Whether fairseq starts this machine's ranks; it finds out where they meet first, and once."""
    distributed_utils.infer_init_method(group)
    return group.distributed_init_method is not None and not group.distributed_no_spawn


def _by_its_name(main: Callable) -> Callable:
    """``main`` as a new process finds it; that of ``__main__`` would be a copy in which nothing is mended."""
    if main.__module__ == "__main__" and is_run_by_python("train"):
        return importlib.import_module(TRAINING).main
    return main


def look_after_ranks() -> None:
    """Let processes that fairseq starts be ranks as any other; safe to call more than once."""
    if not hasattr(distributed_utils.call_main, "answers"):
        distributed_utils.call_main = _answering(distributed_utils.call_main)
