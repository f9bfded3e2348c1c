"""Files written whole or not at all, and JSON from files that anybody may have written."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

from fairseq_vhm.errors import UserError, unwritable


def parse_json(text: str | bytes) -> Any:
    """What ``text`` says, by Python's own reader.

    Raises:
        ValueError: it is no JSON; also where lists and objects stand in one another too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("lists or objects in one another too deeply") from error


def map_array(path: Path) -> Any:
    """The array of an ``.npy``, memory-mapped; nothing in it is unpickled.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no array of numbers, or cut short.
    """
    import numpy as np

    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy parses the head as Python, which fails in many ways
        raise ValueError(f"no array, or cut short ({type(error).__name__})") from error


def check_folder(path: Path, flag: str) -> None:
    """Refuse a destination whose folder is not there, before long work is done for it.

    Raises:
        UserError: names ``flag`` and the folder.
    """
    if not path.parent.is_dir():
        raise UserError(f"{flag} {path}: there is no folder {path.parent}; create it first")


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which takes that name in the end.

    A write that is interrupted or fails leaves what was there, and nothing of its own.  A new file has the
    mode that ``open`` gives it, another that of the file it replaces.  A link goes on pointing where it did;
    a device or a pipe, which has no content to lose, is itself what is written to.

    Raises:
        OSError: there is no room, or the folder cannot be written to.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{target.name}.{token_hex(4)}")
    mode = stat.S_IMODE(target.stat().st_mode) if target.is_file() else None
    part.touch(0o666 if mode is None else mode | stat.S_IWUSR, exist_ok=False)
    try:
        yield part
        if mode is not None:
            part.chmod(mode)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """The same for a file that the user has named, or whose folder is the user's.

    Raises:
        UserError: there is no room, or the folder cannot be written to.
    """
    try:
        with beside(path) as part:
            yield part
    except OSError as error:
        raise unwritable(path, error) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` as it is, as :func:`written_whole` does."""
    with written_whole(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, likewise."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as indented JSON, likewise.

    Bytes of a file's name that are no UTF-8 are escaped: Python's reader gives the same name back.
    """
    write_bytes(path, indented(content))


def indented(content: object) -> bytes:
    """``content`` as a JSON file has it."""
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    return text.encode("utf-8", "backslashreplace")
