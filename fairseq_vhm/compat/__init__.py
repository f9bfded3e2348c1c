"""Work-rounds for fairseq on today's stack: one reason a file, each with when it can go."""

import sys
from types import ModuleType

from fairseq_vhm.compat import (
    batching,
    checkpoints,
    command_line,
    encoding,
    errors,
    loading,
    ngrams,
    non_finite,
    processes,
    saving,
    warnings,
)


def apply() -> None:
    """Put every work-round in place; safe to call more than once."""
    warnings.silence()
    checkpoints.allow()
    command_line.mend_what_is_parsed()
    batching.keep_the_rest()
    processes.let_ddp_run_on_cpu()
    encoding.keep_broken_bytes()
    loading.wait_at_exit()
    ngrams.mend_ngrams()
    non_finite.let_tasks_decide()
    errors.install()
    saving.save_whole()
    if (program := sys.modules.get("fairseq_cli.train")) is not None:
        _mend_training(program)


def _mend_training(program: ModuleType) -> None:
    """What is to be mended in ``fairseq_cli.train``, where that is the command that runs."""
    from fairseq_vhm.compat import best_metric, fallback, finished, patience, preemption, ranks

    best_metric.choose_by_the_first(program)
    fallback.fall_back()
    finished.stay_finished(program)
    patience.keep_the_count(program)
    preemption.save_before_exit(program)
    ranks.bound_the_waiting()
