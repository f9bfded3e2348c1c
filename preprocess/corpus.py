"""A task's corpus: which files make up each split, and the pairs in them.

A split comes from files of its own or, where there are none and ``--hold-out N`` is given, from N
pairs drawn out of the training files; the draw depends on the seed and the number of pairs alone.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fairseq_vhm.errors import UserError
from preprocess.readers import SPLITS, Reader, Request, open_spec
from preprocess.records import Pair, Problem


@dataclass(frozen=True)
class Part:
    """The files of one split and the reader that understands them."""

    reader: Reader
    files: list[Path]


@dataclass
class Corpus:
    """The pairs of one task, split by split."""

    request: Request
    parts: dict[str, Part]
    hold_out: int = 0
    seed: int = 1
    _drawn: dict[int, str] | None = field(default=None, repr=False)

    @property
    def task(self) -> str:
        return self.request.task

    @property
    def held_out(self) -> tuple[str, ...]:
        """Splits drawn out of the training files."""
        if not self.hold_out:
            return ()
        return tuple(split for split in SPLITS if split not in self.parts)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that there are, in the usual order."""
        return tuple(s for s in SPLITS if s in self.parts or s in self.held_out)

    def files(self) -> list[Path]:
        """All input files, each once."""
        return list(dict.fromkeys(path for part in self.parts.values() for path in part.files))

    def items(self, split: str) -> Iterator[Pair | Problem]:
        """Pairs and problems of a split; a draw leaves the problems to the training part."""
        if split in self.parts and split != "train":
            yield from self._read(split)
            return
        drawn = self._draw()
        pairs = 0
        for item in self._read("train"):
            owner = "train"
            if isinstance(item, Pair):
                owner = drawn.get(pairs, "train")
                pairs += 1
            if owner == split:
                yield item

    def _read(self, split: str) -> Iterator[Pair | Problem]:
        part = self.parts[split]
        return part.reader.read(part.files)

    def _draw(self) -> dict[int, str]:
        """Numbers of the training pairs that are held out, and the split that each goes to."""
        if self._drawn is None:
            self._drawn = self._new_draw() if self.held_out else {}
        return self._drawn

    def _new_draw(self) -> dict[int, str]:
        total = sum(isinstance(item, Pair) for item in self._read("train"))
        owners = [split for split in self.held_out for _ in range(self.hold_out)]
        if len(owners) >= total:
            raise UserError(
                f"--hold-out {self.hold_out}: {self.task} has only {total} pairs and"
                f" {len(owners)} would be held out; hold out fewer"
            )
        numbers = random.Random(f"{self.seed}:{self.task}").sample(range(total), len(owners))
        return dict(zip(numbers, owners, strict=True))


def open_corpus(request: Request, specs: dict[str, str | None], hold_out: int, seed: int) -> Corpus:
    """The corpus of a task from its specifications: ``train`` names it whole, others one split.

    Raises:
        UserError: a file is missing, or the corpus has no validation part.
    """
    main = open_spec(specs["train"] or "", request)
    parts = {}
    for split in SPLITS:
        own = specs.get(split) if split != "train" else None
        part = _own_part(own, request) if own else _standard_part(main, split, request.task)
        if part:
            parts[split] = part
    corpus = Corpus(request, parts, hold_out, seed)
    if "valid" not in corpus.splits:
        raise UserError(
            f"--{request.task} {specs['train']}: no validation part; name one with"
            f" --{request.task}-valid, or draw one from the training pairs with --hold-out N"
        )
    return corpus


def _own_part(spec: str, request: Request) -> Part:
    reader = open_spec(spec, request)
    part = Part(reader, reader.files(None))
    _refuse_missing(part.files)
    return part


def _standard_part(reader: Reader, split: str, task: str) -> Part | None:
    files = reader.files(split)
    if split != "train" and not any(path.exists() for path in files):
        return None
    if not files:
        raise UserError(f"--{task}: no training files")
    _refuse_missing(files)
    return Part(reader, files)


def _refuse_missing(files: list[Path]) -> None:
    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: missing file")
