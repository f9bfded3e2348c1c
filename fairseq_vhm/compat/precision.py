"""Flags of precision that fairseq takes for another thing.

* ``--bf16`` means a TPU to the option parser, which then dies looking for ``torch_xla``.
* ``--fp16`` without a GPU looks for one to lay the gradients out on.

Delete when ``fairseq.options.parse_args_and_arch`` no longer sets ``args.tpu`` with ``args.bf16``, and
``FP16Optimizer`` asks for the device.
"""

from argparse import Namespace

import torch


def mend_precision(args: Namespace) -> None:
    """Undo the parser's guess; on a CPU each gradient keeps its own place."""
    if getattr(args, "bf16", False):
        args.tpu = False
    on_cpu = getattr(args, "cpu", False) or not torch.cuda.is_available()
    if getattr(args, "fp16", False) and on_cpu:
        args.fp16_no_flatten_grads = True
