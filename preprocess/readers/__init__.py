"""Readers, one for each format, and the ``FORMAT:PATH`` specifications that name them."""

from collections.abc import Callable

from fairseq_vhm.errors import UserError
from preprocess.readers.base import SPLITS, TASKS, Reader, ReaderOptions, Request
from preprocess.readers.jsonl import JsonlReader
from preprocess.readers.lcsts import LcstsReader
from preprocess.readers.lines import LinesReader
from preprocess.readers.ncls import NclsReader
from preprocess.readers.parallel import ParallelReader

__all__ = ["READERS", "SPLITS", "TASKS", "Reader", "ReaderOptions", "Request", "open_spec", "register_reader"]

ReaderType = Callable[[str, Request], Reader]
"""Made with the path of a specification and what is asked for."""

READERS: dict[str, ReaderType] = {
    "lines": LinesReader,
    "jsonl": JsonlReader,
    "ncls": NclsReader,
    "lcsts": LcstsReader,
    "parallel": ParallelReader,
}
"""Format -> its reader; a plugin adds to it (:func:`register_reader`)."""


def register_reader(name: str, reader: ReaderType) -> None:
    """Add a format: ``vhm prepare trio`` then takes ``NAME:PATH``.

    Raises:
        ValueError: there is one of that name, or the name cannot stand before a path.
    """
    if name in READERS or not name.isidentifier():
        raise ValueError(
            f"a format named '{name}': take a name that no format has, of letters, _ and digits (not first)"
        )
    READERS[name] = reader


def open_spec(spec: str, request: Request) -> Reader:
    """The reader of ``FORMAT:PATH``.

    Raises:
        UserError: no such format, no path, or a corpus that cannot serve the request.
    """
    kind, _, path = spec.partition(":")
    if kind not in READERS or not path:
        raise UserError(f"--{request.task} {spec}: write FORMAT:PATH, FORMAT one of {', '.join(READERS)}")
    return READERS[kind](path, request)
