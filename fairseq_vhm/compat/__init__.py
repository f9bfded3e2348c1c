"""Work-rounds for fairseq on today's stack: one reason a file, each with when it can go."""

from types import ModuleType

from fairseq_vhm.compat import (
    amp,
    batching,
    checkpoints,
    command_line,
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
