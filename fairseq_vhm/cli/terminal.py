"""What a command says and where: the result on stdout, everything else on stderr."""

import json as json_format
import sys
from collections.abc import Callable
from pathlib import Path

from fairseq_vhm.errors import printable
from fairseq_vhm.files import write_json

STDOUT = "-"
"""The file of ``--json`` that stands for stdout."""


def say(line: str) -> None:
    """A line to the user."""
    print(printable(f"vhm: {line}"), file=sys.stderr)


def warn(line: str) -> None:
    """A line about what is probably not meant so."""
    say(f"warning: {line}")


def remark(line: str, quiet: bool) -> None:
    """A line that ``--quiet`` does without."""
    if not quiet:
        say(line)


def present(
    document: object, show: str | Callable[[], None], json: Path | None, quiet: bool, in_files: bool = True
) -> None:
    """Give the result: as text or by ``show``, and as JSON where ``json`` says so.

    On stdout there is either the text or the JSON, never both; with ``quiet`` no text where there are files.

    Args:
        in_files: whether the command writes its result to files, so that the text only tells of them.
    """
    if json is not None and str(json) == STDOUT:
        print(json_format.dumps(document, ensure_ascii=False, indent=2))
        return
    if not quiet or (json is None and not in_files):
        if callable(show):
            show()
        else:
            print(show)
    if json is not None:
        write_json(json, document)
