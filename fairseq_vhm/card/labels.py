"""Texts of other origin, made fit for a card or refused: names, paths, values of settings."""

import re
from pathlib import Path

from fairseq_vhm.errors import UserError

LONGEST = 120
BREAKING = re.compile(r"[`|<>\\]")
MARKUP = re.compile(r"([*_\[\]#~])")
ROOTED = re.compile(r"[/~]|[A-Za-z]:")
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")


def check_label(text: str, where: str, longest: int = LONGEST) -> str:
    """``text``, if it can stand in YAML, in Markdown's text and in its code.

    Raises:
        UserError: it is empty, too long, begins as a path does, or holds what would break the card.
    """
    odd = not text.isprintable() or BREAKING.search(text) or text != text.strip()
    if odd or not 0 < len(text) <= longest or ROOTED.match(text):
        raise UserError(
            f"{where} {ascii(text[:longest])}: cannot stand in a card; give a name without control "
            f"characters, `, |, <, >, \\, a path before it or blanks around it, of 1 to {longest} characters"
        )
    return text


def check_path(path: Path, where: str) -> Path:
    """``path``, if its last component can stand in a card and an error in one line.

    Raises:
        UserError: it cannot.
    """
    if not str(path).isprintable():
        raise UserError(f"{where} {ascii(str(path))}: holds control characters; rename it")
    check_label(path.name, where)
    return path


def check_license(text: str) -> str:
    """``text``, if it has the form of the hub's names of licenses, such as ``mit`` or ``cc-by-4.0``.

    Raises:
        UserError: it has not.
    """
    if not LICENSE.fullmatch(text) or len(text) > LONGEST:
        raise UserError(f"--license {ascii(text[:LONGEST])}: give a name of the hub's, such as cc-by-4.0")
    return text


def last_part(path: object) -> str:
    """The last component of a path, written for any system."""
    return re.split(r"[/\\]", str(path).rstrip("/\\"))[-1]


def without_folders(value: object) -> object:
    """A setting's value with its texts cut down to what follows their last slash."""
    if isinstance(value, str):
        return last_part(value)
    if isinstance(value, list | tuple):
        return [without_folders(one) for one in value]
    if isinstance(value, dict):
        return {last_part(key): without_folders(one) for key, one in value.items()}
    return value if isinstance(value, bool | int | float | None) else last_part(value)


def escaped(text: str) -> str:
    """A checked label as Markdown shows it in running text."""
    return MARKUP.sub(r"\\\1", text)
