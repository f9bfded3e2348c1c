"""``--best-checkpoint-metric``: a validation subset that lacks it ends the run in a ``KeyError``.

``fairseq_cli.train`` asks each of ``--valid-subset`` for the metric, though it chooses by the first alone; so
``valid_cls,valid_mt`` cannot be told to choose by a figure of CLS, and the first subset names nothing of what
it has.  Delete when ``fairseq_cli.train.validate`` asks the first subset alone, and says what there is.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from fairseq_vhm.errors import UserError


class _Without(dict):
    """What was found on a subset by which nothing is chosen; what it lacks is NaN."""

    def __missing__(self, name: str) -> float:
        return math.nan


def _choosing_by_the_first(get_valid_stats: Callable) -> Callable:
    @functools.wraps(get_valid_stats)
    def stats_or_refuse(cfg: Any, trainer: Any, stats: dict, tracking_best: bool) -> dict:
        metric = cfg.checkpoint.best_checkpoint_metric
        if tracking_best and metric not in stats:
            there = ", ".join(name for name in stats if not name.startswith("_"))
            raise UserError(
                f"--best-checkpoint-metric {metric}: validation of the first of --valid-subset "
                f"{cfg.dataset.valid_subset} does not compute it; choose from {there}"
            )
        return get_valid_stats(cfg, trainer, stats if metric in stats else _Without(stats), tracking_best)

    stats_or_refuse.refuses = True  # type: ignore[attr-defined]  # says that it is in place
    return stats_or_refuse


def choose_by_the_first(program: Any) -> None:
    """Ask only the first subset of ``fairseq_cli.train`` for the metric; safe to call more than once."""
    if not hasattr(program.get_valid_stats, "refuses"):
        program.get_valid_stats = _choosing_by_the_first(program.get_valid_stats)
