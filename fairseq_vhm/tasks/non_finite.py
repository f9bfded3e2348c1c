"""``--non-finite``: what becomes of an update whose loss or gradient is NaN or infinite.

Whether one is shows in the norm of the gradient, which fairseq asks for in any case, and which is the same
on all ranks; so all of them decide alike.  Only then the cause is looked for, each rank among its own
mini-batches: dropout and noise depend on a mini-batch alone, so a second pass meets what the first one met.
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from fairseq.logging import metrics
from fairseq.trainer import Trainer
from torch import Tensor, nn

from fairseq_vhm.errors import UserError

logger = logging.getLogger(__name__)

MOST_NAMED = 10  # sentences, or parameters
LOSSES = ("kl_mt", "kl_ms", "kl_cls", "nll_loss", "loss")  # in logging outputs, causes first
Redoing = Callable[[dict, Any], AbstractContextManager]
UNCHANGED = "no parameter was changed"


def as_nan_where_not_finite(loss: Tensor) -> Tensor:
    """The loss; one that is infinite gives NaN to all gradients, though its own might be finite."""
    return loss * (loss.detach() * 0 + 1)


class NonFinite:
    """Follows a run's updates that are not finite.

    Args:
        policy: ``stop`` or ``skip``.
        limit: of so many updates in a row the last is not skipped.
        as_in_training: see :class:`Search`.
    """

    def __init__(self, policy: str, limit: int, as_in_training: Redoing):
        self.policy, self.limit, self.as_in_training = policy, limit, as_in_training
        self.total = self.in_a_row = 0
        self.validated: list[tuple[dict, dict]] = []

    # ---- training ------------------------------------------------------------------------------

    def decide(self, trainer: Trainer, samples: list, of_scaler: str) -> None:
        """Skip an update, or end the run.

        Args:
            trainer: fairseq's, its gradients zero.
            samples: what this rank's update was made of.
            of_scaler: what fairseq says of its loss scale, or empty.

        Raises:
            UserError: names update, task, term and sentences.
        """
        self.total, self.in_a_row = self.total + 1, self.in_a_row + 1
        where = _of_all_ranks(trainer, Search(trainer, self.as_in_training).result(samples))
        more = f" ({of_scaler.rstrip('.')})" if of_scaler else ""
        line = f"update {trainer.get_num_updates() + 1}: {where}{more}"
        if self.policy == "stop":
            raise UserError(
                f"{line}: {UNCHANGED}; go on from the last checkpoint with a lower --lr, --clip-norm, or "
                "--non-finite skip to leave such updates out"
            )
        if self.in_a_row >= self.limit:
            raise UserError(
                f"{line}: {UNCHANGED}; the last {self.in_a_row} updates were such (--non-finite-limit "
                f"{self.limit}): go on from the last checkpoint with a lower --lr or --clip-norm"
            )
        if trainer.is_data_parallel_master:
            logger.warning(f"{line}: skipped (--non-finite skip), {self.total} so far")

    def log(self) -> None:
        """Log the number of updates skipped by this run, once there is one."""
        if self.total:
            metrics.log_scalar("non_finite", self.total, weight=0, round=0)

    # ---- validation ----------------------------------------------------------------------------

    def remember(self, sample: dict, log: dict) -> None:
        """Keep what a validation batch is of and its sums, on their device, until all are through."""
        about = {"id": sample["id"], "task": sample["net_input"].get("task", "")}
        self.validated.append((about, {key: log[key] for key in LOSSES if key in log}))

    def in_validation(self, loss: float) -> bool:
        """Whether a validation's loss, the same on all ranks, is not finite; the batches are named.

        Raises:
            UserError: it is, and the policy is ``stop``.
        """
        validated, self.validated = self.validated, []
        if math.isfinite(loss):
            return False
        found = next(_not_finite(validated), "the validation loss is not finite on another rank")
        if self.policy == "stop":
            raise UserError(
                f"validation: {found}: nothing was saved; go on from the last checkpoint with a lower --lr, "
                "or with --non-finite skip to count such a validation as the worst"
            )
        logger.warning(f"validation: {found}: counted as the worst (--non-finite skip)")
        return True

    # ---- checkpoints ---------------------------------------------------------------------------

    @staticmethod
    def check_parameters(model: nn.Module, update: int) -> None:
        """Refuse to save parameters that are not finite.

        Raises:
            UserError: names some of them.
        """
        if wrong := _wrong_parameters(model):
            raise UserError(
                f"update {update}: {_some(wrong)} of the model is NaN or infinite: no checkpoint was "
                "written; go on from the last one with a lower --lr"
            )


class Search:
    """Finds what of an update's mini-batches is not finite.

    Args:
        trainer: fairseq's.
        as_in_training: in it, a mini-batch is computed as its update by an optimizer computed it.
    """

    def __init__(self, trainer: Trainer, as_in_training: Redoing):
        self.trainer, self.as_in_training = trainer, as_in_training
        self.model, self.criterion = trainer.get_model(), trainer.get_criterion()

    def result(self, samples: list) -> str:
        """In words; empty if nothing of this rank's is to blame."""
        if wrong := _wrong_parameters(self.model):
            return f"{_some(wrong)} of the model is NaN or infinite"
        batches = list(self._mini_batches(samples))
        try:
            found = (look(batch) for look in (self._fault, self._gradient) for batch in batches)
            return next(filter(None, found), "")
        except torch.OutOfMemoryError:
            return "the cause was not found: the search for it ran out of memory"
        finally:
            self.trainer.zero_grad()

    def _mini_batches(self, samples: list) -> Iterator[dict]:
        for sample in samples:
            prepared, is_dummy = self.trainer._prepare_sample(sample)
            if not is_dummy:
                yield from prepared["mini_batches"]

    def _fault(self, batch: dict) -> str:
        """A term of the loss."""
        if not hasattr(self.criterion, "fault"):
            return ""
        with self.as_in_training(batch, self.trainer.optimizer):
            found = self.criterion.fault(self.model, batch)
        if found is None:
            return ""
        sample, fault = found
        rows = _sentences(sample["id"][list(fault.rows)])
        return f"{fault.term} for {rows} of {_batch(sample)}"

    def _gradient(self, batch: dict) -> str:
        """The gradient of a mini-batch whose terms are all finite."""
        self.trainer.zero_grad()
        with self.as_in_training(batch, self.trainer.optimizer):
            loss, _, _ = self.criterion(self.model, batch)
            loss.backward()
        gradients = ((name, p.grad) for name, p in self.model.named_parameters() if p.grad is not None)
        if wrong := [name for name, gradient in gradients if not torch.isfinite(gradient).all()]:
            return f"the gradient of {_some(wrong)} (of a loss of {loss.item():g}) for {_batch(batch)}"
        return "" if torch.isfinite(loss) else f"the loss is {loss.item()} on {_batch(batch)}"


def _wrong_parameters(model: nn.Module) -> list[str]:
    return [name for name, p in model.named_parameters() if not torch.isfinite(p).all()]


def _not_finite(validated: list[tuple[dict, dict]]) -> Iterator[str]:
    for about, sums in validated:
        for name, value in sums.items():
            if not math.isfinite(float(value)):
                yield f"{name} is {float(value)} on {_batch(about)}"


def _of_all_ranks(trainer: Trainer, found: str) -> str:
    """What the first rank that found something has found."""
    results = [found] * trainer.data_parallel_world_size
    several = len(results) > 1
    if several:
        torch.distributed.all_gather_object(results, found, group=trainer.data_parallel_process_group)
    named = [f"{text} (rank {rank})" if several else text for rank, text in enumerate(results) if text]
    return named[0] if named else "every gradient is finite, but their norm is not"


def _some(names: list) -> str:
    """The first names of a list, and how many there are beside them."""
    more = len(names) - MOST_NAMED
    return ", ".join(map(str, names[:MOST_NAMED])) + (f" and {more} more" if more > 0 else "")


def _sentences(ids: Tensor) -> str:
    return f"id {_some(ids.tolist())}"


def _batch(sample: dict) -> str:
    task = sample.get("task") or sample["net_input"].get("task", "")
    return f"the {task} mini-batch with {_sentences(sample['id'])}"
