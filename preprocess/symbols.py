"""From binaries back to symbols: what ``fairseq-preprocess`` was given, for programs that read text.

A prepared folder keeps no segmented text.  A word aligner has to see exactly the symbols that the model
will see, so they are read back with the dictionary; a symbol that it lacked comes back as ``<unk>``.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import written_whole
from preprocess.binarize import open_binary
from preprocess.dictionary import symbols_of
from preprocess.progress import Progress

_EOS = 2


def find_sides(data: Path, task: str, split: str) -> tuple[Path, Path]:
    """Paths of both sides of a split, without extension.

    Raises:
        UserError: there is no such split.
    """
    for index in sorted((data / task).glob(f"{split}.*-*.*.idx")):
        source, _, target = index.name.split(".")[1].partition("-")
        pair = f"{split}.{source}-{target}"
        return data / task / f"{pair}.{source}", data / task / f"{pair}.{target}"
    raise UserError(f"{data / task}: holds no {split}.SRC-TGT.SRC.idx; give a folder of `vhm prepare`")


def write_symbols(
    data: Path, task: str, split: str, out: Path, progress: Progress
) -> tuple[Path, Path]:
    """Write ``OUT.SRC`` and ``OUT.TGT``, one text a line; returns their paths.

    Raises:
        UserError: the split is not there or is broken, or the folder of ``out`` cannot be written to.
    """
    prefixes = find_sides(data, task, split)
    written = []
    for prefix in prefixes:
        language = prefix.name.rpartition(".")[2]
        symbols = symbols_of(data / task / f"dict.{language}.txt")
        path = out.with_name(f"{out.name}.{language}")
        progress.stage(f"read {prefix}.bin")
        _write_lines(path, progress.counted(_texts(prefix, symbols)))
        written.append(path)
    return written[0], written[1]


def _texts(prefix: Path, symbols: list[str]) -> Iterator[str]:
    """The symbols of each text, end marks apart."""
    tokens, sizes = open_binary(prefix)
    names = np.array(symbols, dtype=object)
    start = 0
    for size in sizes.tolist():
        ids = tokens[start : start + size]
        start += size
        if size and not 0 <= int(ids.min()) <= int(ids.max()) < len(symbols):
            raise UserError(f"{prefix}.bin: a symbol is beyond its dictionary; prepare it again")
        yield " ".join(names[ids[ids != _EOS]])


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    with written_whole(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
