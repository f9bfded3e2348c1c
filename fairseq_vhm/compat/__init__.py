"""Work-rounds for fairseq on today's stack: one reason a file, each with when it can go."""

from argparse import Namespace
from types import ModuleType

from fairseq_vhm.compat import (
    amp,
    batching,
    checkpoints,
    encoding,
    errors,
    loading,
    ngrams,
    non_finite,
    processes,
    programs,
    saving,
    warnings,
)
from fairseq_vhm.compat.arguments import refuse_what_would_go_wrong_later
from fairseq_vhm.compat.launchers import join_launcher
from fairseq_vhm.compat.precision import mend_precision

__all__ = ["apply", "mend_arguments"]


def apply() -> None:
    """Put every work-round in place; safe to call more than once."""
    warnings.silence()
    checkpoints.allow()
    batching.keep_the_rest()
    processes.let_ddp_run_on_cpu()
    encoding.keep_broken_bytes()
    loading.wait_at_exit()
    ngrams.mend_ngrams()
    non_finite.let_tasks_decide()
    amp.mend_amp()
    errors.install()
    saving.save_whole()
    if (program := programs.training()) is not None:
        _mend_training(program)


def _mend_training(program: ModuleType) -> None:
    """What is to be mended in ``fairseq_cli.train``, where that is the command that runs."""
    from fairseq_vhm.compat import (
        best_metric,
        fallback,
        finished,
        patience,
        preemption,
        ranks,
        resuming,
        spawning,
    )

    best_metric.choose_by_the_first(program)
    resuming.say_what_differs()
    fallback.fall_back()
    finished.stay_finished(program)
    patience.keep_the_count(program)
    preemption.save_before_exit(program)
    ranks.bound_the_waiting()
    spawning.look_after_ranks()


def mend_arguments(args: Namespace) -> None:
    """What is to be mended in the command line; architectures are the last to see it before a run."""
    mend_precision(args)
    join_launcher(args)
    processes.mend_processes(args)
    refuse_what_would_go_wrong_later(args)
