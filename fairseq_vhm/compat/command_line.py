"""A run's own command line, mended and refused where fairseq's parser has read it, so once and at its start.

Architectures see it too, but also the settings of every checkpoint that is loaded or read, whose run was
another machine's: its GPUs, files and launcher say nothing about this process.

Stays as long as ``arguments.py``, ``launchers.py``, ``precision.py`` or ``processes.py`` does.
"""

import functools
from argparse import ArgumentParser, Namespace
from typing import Any

from fairseq import options

from fairseq_vhm.compat.arguments import refuse_what_would_go_wrong_later
from fairseq_vhm.compat.launchers import join_launcher
from fairseq_vhm.compat.precision import mend_precision
from fairseq_vhm.compat.processes import mend_processes


def mend_what_is_parsed() -> None:
    """Have fairseq's parser mend a run's settings; safe to call more than once.

    Without strings it reads this process's command line, with which a run begins; strings are a plan's or
    a conversion's, which begin none.
    """
    parse = options.parse_args_and_arch
    if hasattr(parse, "mends"):
        return

    @functools.wraps(parse)
    def parse_and_mend(
        parser: ArgumentParser, input_args: list[str] | None = None, *how: Any, **named: Any
    ) -> Any:
        parsed = parse(parser, input_args, *how, **named)
        args = parsed[0] if isinstance(parsed, tuple) else parsed
        if hasattr(args, "arch"):
            mend = mend_arguments if input_args is None else mend_precision
            mend(args)
        return parsed

    parse_and_mend.mends = True  # type: ignore[attr-defined]  # a mark
    options.parse_args_and_arch = parse_and_mend


def mend_arguments(args: Namespace) -> None:
    """Make of the command line what begins here: the rank of a launcher, or a refusal."""
    mend_precision(args)
    join_launcher(args)
    check_arguments(args)


def check_arguments(args: Namespace) -> None:
    """What a run of these settings is refused for, whoever starts it.

    Raises:
        UserError: names the flag and the remedy.
    """
    mend_processes(args)
    refuse_what_would_go_wrong_later(args)
