"""``--bf16`` means a TPU to fairseq's option parser, which then dies looking for ``torch_xla``.

Delete when ``fairseq.options.parse_args_and_arch`` no longer sets ``args.tpu`` with ``args.bf16``.
"""

from argparse import Namespace


def bf16_is_not_tpu(args: Namespace) -> None:
    """Undo the parser's guess."""
    if getattr(args, "bf16", False):
        args.tpu = False
