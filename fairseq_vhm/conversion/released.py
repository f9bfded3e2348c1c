"""What the released code saves: one file of weights and options, and a vocabulary beside it.

Read from its sources: ``torch.save({"model": state_dict, "opt": Namespace})``; ``tools/model_average.py``
writes the same.  The vocabulary is a text file of one word a line; seven special symbols stand before its
words.  Nothing of that code is needed to read either.
"""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from torch import Tensor

from fairseq_vhm.compat.checkpoints import read
from fairseq_vhm.errors import UserError

SPECIALS = ("<unk>", "<pad>", "<bos>", "<eos>", "<MS>", "<MT>", "<CLS>")
"""The symbols before the words, in the order of their ids."""

SOURCE_TABLE = "encoder.embedding.embedding.weight"
TARGET_TABLE = "task1_decoder.embedding.embedding.weight"
OUTPUT = "task1_generator.linear_hidden"


@dataclass(frozen=True)
class Released:
    """A checkpoint of the released code: its weights by their names there, and its options."""

    path: Path
    weights: Mapping[str, Tensor]
    options: Mapping[str, object]

    @classmethod
    def load(cls, path: Path) -> "Released":
        """Read a file that the released code saved; nothing in it is run.

        Raises:
            UserError: it is missing, damaged, holds more than weights and options, or is of another program.
        """
        if not path.is_file():
            raise UserError(f"{path}: missing; give a checkpoint-step-NUMBER of the released code")
        state = read(str(path))
        options = state.get("opt")
        if not isinstance(options, Namespace) or OUTPUT + ".weight" not in state["model"]:
            raise UserError(f"{path}: not a checkpoint of VHM's released code (no 'opt', or no {OUTPUT})")
        released = cls(path, state["model"], vars(options))
        released._check()
        return released

    def _check(self) -> None:
        mono = self.options.get("mono")
        if mono is not None and not (isinstance(mono, int) and mono == 0):
            raise UserError(
                f"{self.path}: was trained with -mono, where MS numbers the special symbols otherwise than "
                "MT and CLS do; one dictionary cannot hold both"
            )
        if any(not isinstance(weight, Tensor) for weight in self.weights.values()):
            raise UserError(f"{self.path}: 'model' holds something else than tensors")

    def __getitem__(self, name: str) -> Tensor:
        """A parameter by its name there.

        Raises:
            UserError: the checkpoint lacks it.
        """
        if name not in self.weights:
            raise UserError(f"{self.path}: lacks {name}, which the released code has; is it cut, or of NCLS?")
        return self.weights[name]

    def option(self, name: str, kind: type | UnionType) -> Any:
        """An option of its training.

        Raises:
            UserError: it is not there, or no ``kind``.
        """
        value = self.options.get(name)
        if isinstance(value, bool) or not isinstance(value, kind):
            raise UserError(f"{self.path}: 'opt' holds no {name}, which the released code saves")
        return value

    def layers(self, part: str) -> int:
        """Number of layers of ``encoder`` or ``task1_decoder``."""
        prefix = f"{part}.layers."
        inside = (name.removeprefix(prefix) for name in self.weights if name.startswith(prefix))
        return len({name.partition(".")[0] for name in inside})

    @property
    def shares_embeddings(self) -> bool:
        """Whether source and target have one table (its default)."""
        source, target = self[SOURCE_TABLE], self[TARGET_TABLE]
        return source.shape == target.shape and bool((source == target).all())


def read_vocabulary(path: Path) -> list[str]:
    """The words of a vocabulary file, as the released code reads them.

    Raises:
        UserError: it is missing or not UTF-8.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            return [line.strip() for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--vocab {path}: not a readable vocabulary of one word a line") from error
