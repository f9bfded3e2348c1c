"""Readers, one for each format, and the ``FORMAT:PATH`` specifications that name them."""

from fairseq_vhm.errors import UserError
from preprocess.readers.base import SPLITS, TASKS, Reader, ReaderOptions, Request
from preprocess.readers.jsonl import JsonlReader
from preprocess.readers.lcsts import LcstsReader
from preprocess.readers.lines import LinesReader
from preprocess.readers.ncls import NclsReader
from preprocess.readers.parallel import ParallelReader

__all__ = ["READERS", "SPLITS", "TASKS", "Reader", "ReaderOptions", "Request", "open_spec"]

READERS = {
    "lines": LinesReader,
    "jsonl": JsonlReader,
    "ncls": NclsReader,
    "lcsts": LcstsReader,
    "parallel": ParallelReader,
}


def open_spec(spec: str, request: Request) -> Reader:
    """The reader of ``FORMAT:PATH``.

    Raises:
        UserError: no such format, no path, or a corpus that cannot serve the request.
    """
    kind, _, path = spec.partition(":")
    if kind not in READERS or not path:
        raise UserError(f"--{request.task} {spec}: write FORMAT:PATH, FORMAT one of {', '.join(READERS)}")
    return READERS[kind](path, request)
