"""LCSTS (Hu et al., EMNLP 2015): Chinese short texts with their summaries, for the task ms.

``PART_I.txt`` trains, ``PART_II.txt`` validates, ``PART_III.txt`` tests; the last two carry a
``<human_label>`` of 1 to 5, how well the summary fits.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.invisible import shows_nothing
from preprocess.readers.base import Request
from preprocess.readers.blocks import Block, read_blocks
from preprocess.records import Level, Pair, Problem

TEXT_TAG, SUMMARY_TAG, LABEL_TAG = "short_text", "summary", "human_label"
PARTS = {"train": "PART_I.txt", "valid": "PART_II.txt", "test": "PART_III.txt"}
_TAGS = frozenset({TEXT_TAG, SUMMARY_TAG, LABEL_TAG})
_NUMBER = re.compile("[0-9]{1,9}")


class LcstsReader:
    """Reads short texts and summaries of a folder, or of one file."""

    def __init__(self, path: str, request: Request) -> None:
        if request.task != "ms" or request.source_lang != "zh":
            raise UserError(
                f"--{request.task} lcsts:{path}: LCSTS pairs Chinese texts with Chinese summaries;"
                " use it as --ms with --source-lang zh"
            )
        self.path = Path(path)
        self.min_label = request.options.lcsts_min_label
        self._ignores = request.options.ignores

    def files(self, split: str | None) -> list[Path]:
        """``FOLDER/PART_*.txt``; for ``None`` the path itself."""
        return [self.path if split is None else self.path / PARTS[split]]

    def read(self, files: list[Path]) -> Iterator[Pair | Problem]:
        """Pairs in the order of the blocks."""
        for path in files:
            for block in read_blocks(path, self._is_known):
                yield self._item(block) if isinstance(block, Block) else block

    def _is_known(self, tag: str) -> bool:
        return tag in _TAGS or self._ignores(tag)

    def _item(self, block: Block) -> Pair | Problem:
        label = block.text(LABEL_TAG)
        if label is not None and not _NUMBER.fullmatch(label):
            return Problem("human label is no number", block.where, label)
        if label is not None and int(label) < self.min_label:
            return Problem(f"human label below {self.min_label}", block.where, level=Level.FILTERED)
        return pair_of(block, block.text(TEXT_TAG), block.text(SUMMARY_TAG), TEXT_TAG, SUMMARY_TAG)


def pair_of(
    block: Block, source: str | None, target: str | None, source_name: str, target_name: str
) -> Pair | Problem:
    """A pair out of two elements, or the problem that one is missing or empty."""
    for text, name in ((source, source_name), (target, target_name)):
        if text is None:
            return Problem("missing element", block.where, f"no <{name}>")
        if shows_nothing(text):
            return Problem("empty text", block.where, f"<{name}>")
    return Pair(source or "", target or "", block.where)
