"""A gradient that is not finite: fairseq writes ``crash.pt`` at every such update, prints all gradients and a
stack trace, and names neither the task nor the sentences.  A task that has ``non_finite`` decides instead.

Where fairseq waits for the gradient's norm anyway it is brought to the host, once: fairseq's own questions
after that cost nothing.  Overflows under the loss scale of ``--fp16`` and ``--amp`` stay fairseq's, until
the scale is at its minimum; on a CPU, where fairseq would look for a GPU after one, they are ended here.

Delete when ``fairseq.trainer.Trainer.train_step`` lets a task decide about a ``FloatingPointError``.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.logging import metrics
from fairseq.trainer import Trainer

logger = logging.getLogger(__name__)


class ScaledOverflow(Exception):
    """Of an update under the loss scale, which is lower by now."""


class NonFiniteGradient(Exception):
    """Of an update, on every rank; ``str(error)`` is what fairseq says of its loss scale, or empty.

    Neither a ``FloatingPointError`` nor a ``RuntimeError``, of both of which fairseq takes care itself.
    """


def _raising(clip_grad_norm: Callable) -> Callable:
    """Wrap ``Trainer.clip_grad_norm``: the norm on the host, if it is finite."""

    @wraps(clip_grad_norm)
    def clip_or_raise(trainer: Trainer, max_norm: float) -> torch.Tensor:
        if not hasattr(trainer.task, "non_finite"):
            return clip_grad_norm(trainer, max_norm)
        try:
            norm = clip_grad_norm(trainer, max_norm).cpu()
        except FloatingPointError as error:
            raise NonFiniteGradient(str(error)) from error
        except OverflowError as error:
            if trainer.cuda:
                raise
            raise ScaledOverflow(str(error)) from error
        if not trainer.cfg.common.amp and not torch.isfinite(norm):
            raise NonFiniteGradient
        return norm

    return clip_or_raise


def _deciding(train_step: Callable) -> Callable:
    """Wrap ``Trainer.train_step``; an update that is skipped has no logging output, as one that overflows."""

    @wraps(train_step)
    def step_or_decide(trainer: Trainer, samples: list, raise_oom: bool = False) -> dict | None:
        try:
            return train_step(trainer, samples, raise_oom)
        except ScaledOverflow as error:
            trainer.zero_grad()
            logger.info(f"gradient overflow: no update, {error}")
            return None
        except NonFiniteGradient as error:
            trainer.zero_grad()
            trainer.task.non_finite.decide(trainer, samples, str(error))
            return None

    return step_or_decide


def _refusing(save_checkpoint: Callable) -> Callable:
    """Wrap ``save_checkpoint``, which all ranks call: NaN in the parameters replaces no good checkpoint."""

    @wraps(save_checkpoint)
    def save_or_refuse(cfg: Any, trainer: Trainer, epoch_itr: Any, val_loss: float | None) -> Any:
        if hasattr(trainer.task, "non_finite"):
            trainer.task.non_finite.check_parameters(trainer.get_model(), trainer.get_num_updates())
        return save_checkpoint(cfg, trainer, epoch_itr, val_loss)

    return save_or_refuse


def let_tasks_decide() -> None:
    """Put the wrappers in place; safe to call more than once."""
    if hasattr(Trainer.clip_grad_norm, "__wrapped__"):
        return
    Trainer.clip_grad_norm = _raising(Trainer.clip_grad_norm)
    # fairseq's own wrapper, undone here and done again, stays open when an exception passes through it
    Trainer.train_step = metrics.aggregate("train")(_deciding(Trainer.train_step.__wrapped__))
    checkpoint_utils.save_checkpoint = _refusing(checkpoint_utils.save_checkpoint)
