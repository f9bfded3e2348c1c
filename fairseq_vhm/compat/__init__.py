"""Work-rounds for fairseq on today's stack: one reason a file, each with when it can go."""

from fairseq_vhm.compat import batching, checkpoints, errors, warnings
from fairseq_vhm.compat.precision import bf16_is_not_tpu

__all__ = ["apply", "bf16_is_not_tpu"]


def apply() -> None:
    """Put every work-round in place; safe to call more than once."""
    warnings.silence()
    checkpoints.allow()
    batching.keep_the_rest()
    errors.install()
