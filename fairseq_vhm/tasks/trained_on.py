"""Whether a checkpoint has been trained on the task that it is to decode for."""

import logging
from argparse import Namespace

from fairseq_vhm.compat.arguments import LAST
from fairseq_vhm.errors import UserError

logger = logging.getLogger(__name__)

STARTS = ("init_from", "finetune_from_model", "continue_once")


def check_trained_on(task: str, trained: Namespace, flag: str, always: tuple[str, ...] = ()) -> None:
    """Refuse a checkpoint that has never seen ``task``, and warn of one that may have seen it long ago.

    A checkpoint knows ``--tasks`` of its last training.  Where that began with another's weights, the task
    may be among those of before (MT without examples from a model fine-tuned on CLS alone): it has a tag
    that means something, unless each task has a decoder.  Without a tag no task is the model's in
    particular.  A checkpoint that does not say its tasks is taken.

    Args:
        task: to decode for.
        trained: settings of the checkpoint's model.
        flag: by which the user chose the task.
        always: tasks that the checkpoint may know though its ``--tasks`` does not name them.

    Raises:
        UserError: the tag, or the decoder, of the task was never trained.
    """
    tasks = str(getattr(trained, "tasks", None) or task).replace(" ", "").split(",")
    if task in (*tasks, *always):
        return
    line = f"{flag} {task}: the checkpoint was trained on {','.join(tasks)} alone"
    one_decoder = getattr(trained, "decoders", "shared") == "shared"
    untold = getattr(trained, "task_tag", None) == "none"
    if not one_decoder or not (untold or _began_elsewhere(trained)):
        raise UserError(f"{line}; give one trained on {task}, or {flag} {tasks[0]}")
    logger.warning(f"{line}, as far as its last training goes: expect little unless one before it had {task}")


def _began_elsewhere(trained: Namespace) -> bool:
    """Whether the training began with the weights of another."""
    named = any(getattr(trained, name, None) for name in STARTS)
    return named or getattr(trained, "restore_file", LAST) != LAST
