"""Work-rounds for fairseq on today's stack: one reason a file, each with when it can go."""

from fairseq_vhm.compat import batching, checkpoints, errors, warnings
from fairseq_vhm.compat.precision import bf16_is_not_tpu
from fairseq_vhm.compat.processes import refuse_processes_without_gpus

__all__ = ["apply", "mend_arguments"]


def apply() -> None:
    """Put every work-round in place; safe to call more than once."""
    warnings.silence()
    checkpoints.allow()
    batching.keep_the_rest()
    errors.install()


def mend_arguments(args) -> None:
    """What is to be mended in the command line; architectures are the last to see it before a run."""
    bf16_is_not_tpu(args)
    refuse_processes_without_gpus(args)
