"""Readers, one for each format, and the ``FORMAT:PATH`` specifications that name them."""

from fairseq_vhm.errors import UserError
from preprocess.readers.base import SPLITS, TASKS, Reader, ReaderOptions, Request, suffixes_of
from preprocess.readers.lines import LinesReader

__all__ = ["READERS", "SPLITS", "TASKS", "Reader", "ReaderOptions", "Request", "open_spec", "suffixes_of"]

READERS = {"lines": LinesReader}


def open_spec(spec: str, request: Request) -> Reader:
    """The reader of ``FORMAT:PATH``.

    Raises:
        UserError: no such format, or no path.
    """
    kind, _, path = spec.partition(":")
    if kind not in READERS or not path:
        raise UserError(f"--{request.task} {spec}: write FORMAT:PATH with {', '.join(READERS)}")
    return READERS[kind](path, request)
