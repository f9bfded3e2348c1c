"""``--patience`` counts anew when a run goes on, so that it stops later than an undisturbed one, or never.

``fairseq_cli.train.should_stop_early`` keeps its count in attributes of its own, and no checkpoint holds
them; and a run that it has ended trains on when it is started again.  Delete when ``save_checkpoint`` saves
that count and ``fairseq_cli.train`` looks at it before the first update.
"""

import functools
import logging
from collections.abc import Callable
from typing import Any

from fairseq.trainer import Trainer

KEY = "patience"
"""Of ``extra_state`` in a checkpoint: metric, its best value so far, validations since."""

logger = logging.getLogger(__name__)


def _saving(save: Callable, should_stop_early: Any) -> Callable:
    @functools.wraps(save)
    def save_with_count(trainer: Trainer, filename: str, extra_state: dict) -> Any:
        if hasattr(should_stop_early, "num_runs"):
            metric = trainer.cfg.checkpoint.best_checkpoint_metric
            best, runs = float(should_stop_early.best), should_stop_early.num_runs
            extra_state = {**extra_state, KEY: {"metric": metric, "best": best, "num_runs": runs}}
        return save(trainer, filename, extra_state)

    return save_with_count


def _loading(load: Callable, should_stop_early: Any) -> Callable:
    """Wrap ``Trainer.load_checkpoint``; what resets the best value of the metric resets the count too."""

    @functools.wraps(load)
    def load_with_count(
        trainer: Trainer,
        filename: str,
        reset_optimizer: bool = False,
        reset_lr_scheduler: bool = False,
        optimizer_overrides: dict | None = None,
        reset_meters: bool = False,
    ) -> dict | None:
        resets = (reset_optimizer, reset_lr_scheduler, optimizer_overrides, reset_meters)
        state = load(trainer, filename, *resets)
        cfg, kept = trainer.cfg.checkpoint, (state or {}).get(KEY, {})
        goes_on = cfg.patience > 0 and not reset_optimizer and not reset_meters
        if goes_on and kept.get("metric") == cfg.best_checkpoint_metric:
            should_stop_early.best, should_stop_early.num_runs = kept["best"], kept["num_runs"]
        return state

    return load_with_count


def _ending(train: Callable, should_stop_early: Any) -> Callable:
    @functools.wraps(train)
    def train_with_patience(cfg: Any, *args: Any) -> Any:
        patience = cfg.checkpoint.patience
        if 0 < patience <= getattr(should_stop_early, "num_runs", 0):
            logger.info(f"{patience} validations were no better (--patience): nothing left to train")
            return [None], True
        return train(cfg, *args)

    train_with_patience.keeps_count = True  # type: ignore[attr-defined]  # says that it is in place
    return train_with_patience


def keep_the_count(program: Any) -> None:
    """Let checkpoints carry the count of ``fairseq_cli.train``; safe to call more than once."""
    if hasattr(program.train, "keeps_count"):
        return
    program.train = _ending(program.train, program.should_stop_early)
    Trainer.save_checkpoint = _saving(Trainer.save_checkpoint, program.should_stop_early)
    Trainer.load_checkpoint = _loading(Trainer.load_checkpoint, program.should_stop_early)
