"""Files written whole or not at all."""

import json
import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from fairseq_vhm.errors import UserError

READABLE = 0o644


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
