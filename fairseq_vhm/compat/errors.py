"""fairseq's commands show a stack trace for every error; a user's mistake should be one line.

Stays as long as fairseq's entry points do not report errors themselves.
"""

import sys
from types import TracebackType

from fairseq_vhm.compat.plain_words import in_plain_words
from fairseq_vhm.errors import UserError, printable

_hook_before = sys.excepthook
_installed = False


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if (mistake := mistake_behind(error) or in_plain_words(error)) is not None:
        print(f"fairseq_vhm: error: {printable(str(mistake))}", file=sys.stderr)
    else:
        _hook_before(kind, error, trace)


def mistake_behind(error: BaseException | None) -> UserError | None:
    """The error itself, or the one that it took the place of: fairseq's trainer replaces those of loading."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def install() -> None:
    """Print an uncaught :class:`UserError` as one line; Python's exit status stays 1.

    Once: a hook that another package has put in front of this one by then hands on to it.
    """
    global _hook_before, _installed
    if not _installed:
        _hook_before, sys.excepthook, _installed = sys.excepthook, _hook, True
