"""Hashes and versions for the manifest: what went in, what came out, and made by what."""

import hashlib
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fairseq_vhm.errors import unreadable

_TOOLS = ("fairseq-vhm", "fairseq-fixed", "sentencepiece", "sacremoses", "jieba", "numpy")


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def describe_files(paths: Iterable[Path]) -> list[dict]:
    """Name, size and hash of each file.

    Raises:
        UserError: one cannot be read.
    """
    try:
        return [{"path": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)} for path in paths]
    except OSError as error:
        raise unreadable(error.filename, error) from error


def hash_tree(folder: Path, ignore: tuple[str, ...]) -> dict[str, str]:
    """Hash of each file below ``folder`` by relative path; ``ignore`` names top-level entries."""
    hashes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if name.parts[0] not in ignore:
            hashes[name.as_posix()] = sha256(path)
    return hashes


def tool_versions() -> dict[str, str]:
    """Versions of Python and of the packages whose behaviour shapes the result."""
    versions = {"python": platform.python_version()}
    for name in _TOOLS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed as a package"
    return versions
