"""The folder that a run leaves: whole or not at all."""

import filecmp
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import parse_json

REPORT = "report.json"


def check_out(out: Path, overwrite: bool, settings: Mapping) -> None:
    """Refuse to replace what is there, but for an earlier run's folder with ``overwrite``.

    A run of the same settings may be the same command, killed when its work was done: whether it is,
    :func:`published` sees in the end.

    Raises:
        UserError: says what to do.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not _is_ours(out):
        raise UserError(f"--out {out}: exists and was not made by vhm align; choose another folder")
    made_with = _report_of(out).get("settings", {})
    if not overwrite and any(made_with.get(part) != value for part, value in settings.items()):
        raise _there_already(out)


def _there_already(out: Path) -> UserError:
    return UserError(f"--out {out}: is there already; choose another folder, or replace it with --overwrite")


@contextmanager
def published(out: Path, overwrite: bool) -> Iterator[Path]:
    """A folder that becomes ``out`` when the work in it is done, and goes when it fails.

    Raises:
        UserError: ``out`` is another run's and is not to be overwritten, or cannot be written.
    """
    partial, replaced = (out.parent / f".{out.name}.{state}" for state in ("partial", "replaced"))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(replaced, ignore_errors=True)
        if out.exists() and not overwrite and any(out.iterdir()) and not _equal(partial, out):
            raise _there_already(out)
        if out.exists():
            os.replace(out, replaced)
        os.replace(partial, out)
    except OSError as error:
        raise unwritable(f"--out {out}", error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


def _equal(first: Path, second: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    names = [sorted(p.relative_to(folder) for p in folder.rglob("*")) for folder in (first, second)]
    files = [name for name in names[0] if (first / name).is_file()]
    return names[0] == names[1] and not any(filecmp.cmpfiles(first, second, files, shallow=False)[1:])


def _is_ours(out: Path) -> bool:
    return str(_report_of(out).get("format")).startswith("vhm align")


def _report_of(out: Path) -> dict:
    """The report of a run in ``out``; empty where there is none."""
    try:
        report = parse_json((out / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}
