"""Broken bytes in the input of ``fairseq-interactive``: a stack trace, or ``<unk>`` without a word.

They are let through as surrogates here, so that the task can name the line.  Delete when
``fairseq_cli.interactive`` says which line it cannot read.
"""

import fileinput
import functools
import sys
from typing import Any

from fairseq_vhm.compat.programs import is_running


def keep_broken_bytes() -> None:
    """Read broken UTF-8 as surrogates, in ``fairseq-interactive`` alone."""
    if not is_running("interactive"):
        return
    if sys.stdin is not None:
        stdin: Any = sys.stdin
        stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    fileinput.hook_encoded = functools.partial(fileinput.hook_encoded, errors="surrogateescape")
