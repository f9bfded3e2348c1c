"""fairseq's commands show a stack trace for every error; a user's mistake should be one line.

Stays as long as fairseq's entry points do not report errors themselves.
"""

import sys
from types import TracebackType

from fairseq_vhm.errors import UserError

_default_hook = sys.excepthook


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, UserError):
        print(f"fairseq_vhm: error: {error}", file=sys.stderr)
    else:
        _default_hook(kind, error, trace)


def install() -> None:
    """Print an uncaught :class:`UserError` as one line; Python's exit status stays 1."""
    global _default_hook
    if sys.excepthook is not _hook:
        _default_hook, sys.excepthook = sys.excepthook, _hook
