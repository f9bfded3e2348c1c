"""Command lines that fairseq takes and then trains something else, or ends hours later.

Delete each check when ``fairseq-train`` makes it itself.
"""

import logging
import os
from argparse import Namespace

from fairseq_vhm.errors import UserError

logger = logging.getLogger(__name__)

LAST = "checkpoint_last.pt"  # fairseq's default, looked for in --save-dir and allowed to be missing
RESETS = ("reset_optimizer", "reset_lr_scheduler", "reset_meters", "reset_dataloader")
GENERATED = {"rouge1": "eval_rouge", "rouge2": "eval_rouge", "rougeL": "eval_rouge", "bleu": "eval_bleu"}


def refuse_what_would_go_wrong_later(args: Namespace) -> None:
    """Check that named files exist, that what is saved can be gone on from, and the metric to choose by.

    Raises:
        UserError: names the flag and the remedy.
    """
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
    """The file that the run begins with; the last two flags count only where no last checkpoint is."""
    restore, last = getattr(args, "restore_file", LAST), os.path.join(getattr(args, "save_dir", ""), LAST)
    if getattr(args, "finetune_from_model", None):
        _refuse_beside_finetuning(args, restore)
    if restore != LAST:
        if not os.path.exists(restore):
            raise UserError(f"--restore-file {restore}: missing; fairseq would silently train from scratch")
        if os.path.exists(last) and not os.path.samefile(restore, last):
            logger.warning(
                f"--restore-file {restore}: begins there again, and will replace {last}; to go on from that, "
                "give --continue-once in place of --restore-file"
            )
    elif not os.path.exists(last):
        for flag in ("continue_once", "finetune_from_model"):
            start = getattr(args, flag, None)
            if start and not os.path.exists(start):
                name = f"--{flag.replace('_', '-')}"
                raise UserError(f"{name} {start}: missing; name the checkpoint to start from")


def _refuse_beside_finetuning(args: Namespace, restore: str) -> None:
    """What fairseq refuses too, but in a stack trace and after the data are loaded."""
    given = [f"--{name.replace('_', '-')}" for name in RESETS if getattr(args, name, False)]
    if restore != LAST:
        given.append("--restore-file")
    if given:
        raise UserError(
            "--finetune-from-model begins with the parameters of a model and nothing else: "
            f"drop {', '.join(given)}"
        )
