"""Files written whole or not at all, and JSON from files that anybody may have written."""

import json
import os
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
    """Refuse a destination whose folder is not there, before long work is done for it."""
    if not path.parent.is_dir():
        raise UserError(f"{flag} {path}: there is no folder {path.parent}; create it first")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8; an interrupted or failed write leaves what was there.

    Raises:
        UserError: where the folder cannot be written to.
    """
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as indented JSON, as :func:`write_text` does."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` as it is, as :func:`write_text` does."""
    try:
        with NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(content)
        os.chmod(file.name, READABLE)
        os.replace(file.name, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
