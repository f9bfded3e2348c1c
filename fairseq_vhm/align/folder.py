"""The folder that a run leaves: whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json

REPORT = "report.json"


def check_out(out: Path, overwrite: bool) -> None:
    """Refuse to replace what is there, but for an earlier run's folder with ``overwrite``.

    Raises:
        UserError: says what to do.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not _is_ours(out):
        raise UserError(f"--out {out}: exists and was not made by vhm align; choose another folder")
    if not overwrite:
        raise UserError(
            f"--out {out}: is there already; choose another folder, or replace it with --overwrite"
        )


@contextmanager
def published(out: Path) -> Iterator[Path]:
    """A folder that becomes ``out`` when the work in it is done, and goes when it fails."""
    partial, replaced = (out.parent / f".{out.name}.{state}" for state in ("partial", "replaced"))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(replaced, ignore_errors=True)
        if out.exists():
            os.replace(out, replaced)
        os.replace(partial, out)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


def _is_ours(out: Path) -> bool:
    try:
        return parse_json((out / REPORT).read_text(encoding="utf-8"))["format"].startswith("vhm align")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
