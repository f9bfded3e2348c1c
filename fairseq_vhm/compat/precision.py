"""Flags of precision that fairseq takes for another thing, or ends with in a stack trace.

* ``--bf16`` means a TPU to the option parser, which then dies looking for ``torch_xla``.
* ``--fp16`` without a GPU looks for one to lay the gradients out on.
* A schedule, ``--update-freq 2,1``, is refused without ``--fp16-scale-window``; with ``--bf16`` too, whose
  losses are not scaled.
* ``--amp`` beside another precision: ``--fp16`` fails an assertion, ``--bf16`` at the first overflow.

Delete when ``fairseq.options.parse_args_and_arch`` no longer sets ``args.tpu`` with ``args.bf16``,
``FP16Optimizer`` asks for the device and for the window where it needs one, and the parser refuses the rest.
"""

from argparse import Namespace

import torch

from fairseq_vhm.errors import UserError

SCALE_WINDOW = 2**14
"""Updates until the loss scale is doubled, by one process without ``--update-freq``; fairseq's own."""


def mend_precision(args: Namespace) -> None:
    """Undo the parser's guess; on a CPU each gradient keeps its own place.

    Raises:
        UserError: names the flags that do not go together, and the remedy.
    """
    fp16, bf16 = getattr(args, "fp16", False), getattr(args, "bf16", False)
    if getattr(args, "amp", False) and (fp16 or bf16):
        other = "--fp16" if fp16 else "--bf16"
        raise UserError(f"--amp beside {other}: each is a precision of its own; drop one of them")
    if bf16:
        args.tpu = False
    if fp16 and (getattr(args, "cpu", False) or not torch.cuda.is_available()):
        args.fp16_no_flatten_grads = True
    if len(getattr(args, "update_freq", ())) > 1 and getattr(args, "fp16_scale_window", None) is None:
        _do_without_a_window(args, fp16, bf16)


def _do_without_a_window(args: Namespace, fp16: bool, bf16: bool) -> None:
    """Of a schedule of ``--update-freq``; any window will do where losses are not scaled."""
    if bf16:
        args.fp16_scale_window = SCALE_WINDOW
    elif fp16:
        raise UserError(
            f"--update-freq {','.join(map(str, args.update_freq))}: under --fp16 such a schedule needs "
            "--fp16-scale-window, the updates until the loss scale is doubled; without a schedule fairseq "
            f"takes {SCALE_WINDOW} / (--update-freq x processes)"
        )
