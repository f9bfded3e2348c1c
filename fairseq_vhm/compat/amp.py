"""``--amp``: the gradient is divided by its loss scale twice, and the scale is a run's own.

``fairseq.optim.AMPOptimizer`` unscales torch's optimizer before it clips, and then has the scaler step
fairseq's own, which to the scaler is another one whose gradients are still scaled: under a scale of 128 SGD
moves a 128th of its way, and Adam as if epsilon were 128 times as large.  Besides:

* at ``--min-loss-scale`` it leaves the scaler in mid-update, so that no further update can be begun;
* a norm that overflows though no gradient does is reported as an overflow, and the update made;
* no checkpoint holds the scale: a run that goes on begins again with the first one;
* ``--amp-init-scale`` is taken for the updates between two growths, whose flag is ``--amp-scale-window``;
* on a CPU beside a GPU losses are scaled;
* ``fairseq.trainer`` counts the retries of a mini-batch on over the next ones (``--amp-batch-retries``).

Delete when ``AMPOptimizer`` unscales what it steps, and has its scaler's state in ``state_dict``; each of the
others, when fairseq has it right.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from fairseq import optim
from fairseq.dataclass.configs import CommonConfig
from fairseq.trainer import Trainer
from torch import Tensor

logger = logging.getLogger(__name__)

KEY = "amp_scaler"
"""Of an optimizer's state in a checkpoint."""
KEPT = ("scale", "_growth_tracker")
GROWTH_INTERVAL = 2000  # torch's own


def _loss_scaler(common: Any) -> torch.amp.GradScaler:
    """By its own flags, or ``--fp16-init-scale``, which fairseq reads."""
    first = common.amp_init_scale
    return torch.amp.GradScaler(
        "cuda",
        init_scale=float(common.fp16_init_scale if first == CommonConfig.amp_init_scale else first),
        growth_interval=common.amp_scale_window or GROWTH_INTERVAL,
        enabled=torch.cuda.is_available() and not common.cpu,
    )


class AMPOptimizer(optim.AMPOptimizer):
    """fairseq's, under its name, by which checkpoints know it."""

    def __init__(self, cfg: Any, params: Any, fp32_optimizer: Any, **kwargs: Any) -> None:
        super().__init__(cfg, params, fp32_optimizer, **kwargs)
        self._grad_scaler = _loss_scaler(cfg.common)

    def clip_grad_norm(self, max_norm: float, aggregate_norm_fn: Callable | None = None) -> Tensor:
        """Unscale what :meth:`step` steps, and clip it.

        Raises:
            FloatingPointError: the norm is not finite, and there is no lower scale.
        """
        self.scaler.unscale_(self.fp32_optimizer)
        norm = self.fp32_optimizer.clip_grad_norm(max_norm, aggregate_norm_fn)
        if not torch.isfinite(norm).all():
            self._have_update_skipped()
        return norm

    def _have_update_skipped(self) -> None:
        """Let the scaler's next step leave the parameters as they are and lower the scale."""
        if not self.scaler.is_enabled():
            raise FloatingPointError
        if self.next_loss_scale <= self.min_loss_scale:
            self.scaler.update(self.scaler.get_scale())  # ends the update; the scale remains
            raise FloatingPointError(
                f"AMP: Minimum loss scale reached ({self.min_loss_scale}). Your loss is probably exploding."
            )
        for found in self.scaler._found_inf_per_device(self.fp32_optimizer).values():
            found.fill_(1)  # also where the norm alone has overflowed
        logger.info(f"AMP: overflow detected, setting scale to {self.next_loss_scale:g}")

    def state_dict(self) -> dict:
        """The optimizer's and, where losses are scaled, the scaler's."""
        of_scaler = self.scaler.state_dict()
        kept = {KEY: {name: of_scaler[name] for name in KEPT}} if of_scaler else {}
        return {**super().state_dict(), **kept}

    def load_state_dict(self, state_dict: dict, optimizer_overrides: dict | None = None) -> None:
        """Checkpoints of before have no state of the scaler, which then begins as in a new run."""
        super().load_state_dict(state_dict, optimizer_overrides)
        if KEY in state_dict:
            self.scaler.load_state_dict({**self.scaler.state_dict(), **state_dict[KEY]})


def _counting_retries_anew(train_step: Callable) -> Callable:
    """Wrap ``Trainer.train_step``, which calls itself for each retry."""

    @wraps(train_step)
    def step_and_forget(trainer: Trainer, samples: list, raise_oom: bool = False) -> dict | None:
        try:
            return train_step(trainer, samples, raise_oom)
        finally:
            trainer._amp_retries = 0

    return step_and_forget


def mend_amp() -> None:
    """Put fairseq's optimizer of ``--amp`` right; safe to call more than once."""
    if optim.AMPOptimizer is AMPOptimizer:
        return
    optim.AMPOptimizer = AMPOptimizer
    Trainer.train_step = _counting_retries_anew(Trainer.train_step)
