"""A new dataset: pairs as the columns of tables, SPLIT.tsv in one folder, with their names on the first line.

    vhm --user-dir examples/extending/tsv_dataset prepare trio DATA --cls tsv:FOLDER ...

A reader names the files of a split and streams what they hold; what it finds wrong is a Problem with its
place, which --on-error stops at or leaves out, lists and counts.
"""

from collections.abc import Iterator
from pathlib import Path

from fairseq_vhm.errors import UserError
from preprocess.readers import Request, register_reader
from preprocess.records import Pair, Problem, origin
from preprocess.text import BadText, numbered_lines, to_full_text


class TsvReader:
    """Reads the columns named like the languages, such as ``en`` and ``zh``."""

    def __init__(self, path: str, request: Request) -> None:
        self.path, self.suffixes = Path(path), request.suffixes

    def files(self, split: str | None) -> list[Path]:
        """The table of a split; ``None`` asks for a specification that is one file by itself."""
        return [self.path if split is None else self.path / f"{split}.tsv"]

    def read(self, files: list[Path]) -> Iterator[Pair | Problem]:
        """Pairs in the order of the rows."""
        for path in files:
            lines = numbered_lines(path)
            columns = self._columns(path, next(lines, (1, b""))[1].decode("utf-8", "replace"))
            for number, line in lines:
                cells = line.split(b"\t")
                try:
                    yield Pair(*(to_full_text(cells[n]) for n in columns), origin(path, number))
                except BadText as bad:
                    yield Problem(bad.reason, origin(path, number), bad.detail)
                except IndexError:
                    yield Problem("too few columns", origin(path, number), f"{len(cells)}")

    def _columns(self, path: Path, header: str) -> list[int]:
        names = header.strip().split("\t")
        if missing := [suffix for suffix in self.suffixes if suffix not in names]:
            raise UserError(f"{path}: its first line names no column '{missing[0]}'")
        return [names.index(suffix) for suffix in self.suffixes]


register_reader("tsv", TsvReader)
