"""SIGTERM and SIGUSR1, by which clusters announce that a job is to end, kill fairseq with its last updates.

Here the update (and validation) under way is finished, ``checkpoint_last.pt`` saved, and the process exits
with status 75; the same command goes on from there.  Delete when ``fairseq_cli.train`` listens to signals.
"""

import functools
import logging
import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.util import Finalize
from types import FrameType
from typing import Any

import torch.distributed as dist
from fairseq import checkpoint_utils
from torch.distributed.distributed_c10d import _get_default_store

from fairseq_vhm.compat.arguments import LAST, RESETS
from fairseq_vhm.compat.loading import wait_for_loading

STATUS = 75
"""``EX_TEMPFAIL`` of sysexits.h: not done, to be tried again."""

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
FIRST = 100
"""Of what is done at a process's end."""
KEY = "fairseq_vhm/stop_after_update"

logger = logging.getLogger(__name__)


def _end_loading() -> None:
    """End what loads data: the threads, which wait for the workers, before those."""
    wait_for_loading()
    for worker in multiprocessing.active_children():
        if worker.daemon:
            worker.kill()


class Preemption:
    """Whether training is to stop; and at which update, which all ranks agree on."""

    def __init__(self) -> None:
        self.listening = False
        self.received: int | None = None
        self.saved_at: int | None = None

    def listen(self) -> None:
        """Note the signals from now on; once, though every epoch asks for it.

        This thread blocks them, and with it the workers that load data: those would die of a signal to the
        whole job, and the run of that.  Python ends workers that are left over by SIGTERM and waits for
        them; since they block it, they are killed before.
        """
        if self.listening:
            return
        self.listening = True
        for number in SIGNALS:
            signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        Finalize(None, _end_loading, exitpriority=FIRST)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number

    def asked(self) -> int | None:
        """The signal that this process has been sent, if any."""
        pending = signal.sigpending().intersection(SIGNALS)
        return self.received or next(iter(pending), None)

    def is_due(self, update: int) -> bool:
        """Whether to stop now that so many updates are done."""
        asked = self.asked() is not None
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return asked
        return agreed(_get_default_store(), update, asked)

    def stop(self, cfg: Any, trainer: Any, epoch_itr: Any) -> None:
        """Save ``checkpoint_last.pt``, unless this update is in it, and exit."""
        update = trainer.get_num_updates()
        if self.saved_at != update and not cfg.no_save:
            cfg.no_last_checkpoints = False
            checkpoint_utils.save_checkpoint(cfg, trainer, epoch_itr, None)
        if dist.is_initialized():
            dist.barrier()  # who exits first has the others killed
        kept = "nothing saved (--no-save)" if cfg.no_save else "checkpoint_last.pt saved"
        number = self.asked()
        cause = signal.Signals(number).name if number else "a signal to another rank"
        logger.warning(f"stopped by {cause} after update {update}: {kept}; {_how_to_go_on(cfg)}")
        sys.exit(STATUS)


def _how_to_go_on(cfg: Any) -> str:
    """What to do next; flags that would take another checkpoint, or less than this one holds, are named."""
    resets = [f"--{name.replace('_', '-')}" for name in RESETS if getattr(cfg, name)]
    named = [] if cfg.restore_file == LAST else ["--restore-file"]
    without = f" without {', '.join(named + resets)}" if named or resets else ""
    return f"repeat the command{without} to go on"


def agreed(store: dist.Store, update: int, asked: bool) -> bool:
    """Whether all ranks stop after this update.

    A rank that is asked after update n names n + 1 to all.  None ends that update before the asked rank has
    begun it, so all see the name in time; no exchange is needed but a question to the store.
    """
    if asked:
        store.compare_set(KEY, "", str(update + 1))
    return store.check([KEY]) and update >= int(store.get(KEY))


def _listening(train: Callable, preemption: Preemption) -> Callable:
    @functools.wraps(train)
    def train_and_listen(*args: Any, **kwargs: Any) -> Any:
        preemption.listen()
        return train(*args, **kwargs)

    train_and_listen.listens = True  # type: ignore[attr-defined]  # says that it is in place
    return train_and_listen


def _stopping(validate_and_save: Callable, preemption: Preemption) -> Callable:
    @functools.wraps(validate_and_save)
    def save_or_stop(cfg: Any, trainer: Any, task: Any, epoch_itr: Any, *args: Any, **kwargs: Any) -> Any:
        done = validate_and_save(cfg, trainer, task, epoch_itr, *args, **kwargs)
        if preemption.is_due(trainer.get_num_updates()):
            preemption.stop(cfg.checkpoint, trainer, epoch_itr)
        return done

    return save_or_stop


def _noting(save_checkpoint: Callable, preemption: Preemption) -> Callable:
    @functools.wraps(save_checkpoint)
    def save_and_note(cfg: Any, trainer: Any, *args: Any, **kwargs: Any) -> Any:
        saved = save_checkpoint(cfg, trainer, *args, **kwargs)
        if not cfg.no_last_checkpoints:
            preemption.saved_at = trainer.get_num_updates()
        return saved

    return save_and_note


def save_before_exit(program: Any) -> None:
    """Let the training of ``fairseq_cli.train`` stop at a signal; safe to call more than once."""
    if hasattr(program.train, "listens"):
        return
    preemption = Preemption()
    program.train = _listening(program.train, preemption)
    program.validate_and_save = _stopping(program.validate_and_save, preemption)
    checkpoint_utils.save_checkpoint = _noting(checkpoint_utils.save_checkpoint, preemption)
