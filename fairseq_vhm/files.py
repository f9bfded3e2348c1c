"""Files written whole or not at all, and JSON from files that anybody may have written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from fairseq_vhm.errors import UserError

READABLE = 0o644


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
def written_whole(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which takes that name in the end.

    A write that is interrupted or fails leaves what was there, and nothing of its own.

    Raises:
        UserError: there is no room, or the folder cannot be written to.
    """
    part = None
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            part = Path(file.name)
        yield part
        part.chmod(READABLE)
        part.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


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
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
