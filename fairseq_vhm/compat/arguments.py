"""Command lines that fairseq takes and then trains something else, or ends hours later.

Delete each check when ``fairseq-train`` makes it itself.
"""

import os
from argparse import Namespace

from fairseq_vhm.errors import UserError

LAST = "checkpoint_last.pt"  # fairseq's default, looked for in --save-dir and allowed to be missing
GENERATED = {"rouge1": "eval_rouge", "rouge2": "eval_rouge", "rougeL": "eval_rouge", "bleu": "eval_bleu"}


def refuse_what_would_go_wrong_later(args: Namespace) -> None:
    """Check that named files exist, that what is saved can be gone on from, and the metric to choose by.

    Raises:
        UserError: names the flag and the remedy.
    """
    restore = getattr(args, "restore_file", LAST)
    if restore != LAST and not os.path.exists(restore):
        raise UserError(f"--restore-file {restore}: missing; fairseq would silently train from scratch")
    _refuse_a_missing_start(args)
    if getattr(args, "write_checkpoints_asynchronously", False):
        raise UserError(
            "--write-checkpoints-asynchronously (--save-async): fairseq then writes no checkpoint_last.pt, "
            "from which a run could go on; drop it"
        )
    metric = getattr(args, "best_checkpoint_metric", "loss")
    needed = GENERATED.get(metric)
    if needed and not getattr(args, needed, False):
        raise UserError(
            f"--best-checkpoint-metric {metric} is computed with --{needed.replace('_', '-')} only: add it"
        )


def _refuse_a_missing_start(args: Namespace) -> None:
    """``--finetune-from-model``, which is read unless the run goes on from its own last checkpoint."""
    start = getattr(args, "finetune_from_model", None)
    last = os.path.join(getattr(args, "save_dir", ""), LAST)
    if start and not os.path.exists(start) and not os.path.exists(last):
        raise UserError(f"--finetune-from-model {start}: missing; name the checkpoint to start from")
