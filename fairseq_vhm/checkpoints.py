"""Work on fairseq's checkpoint files; loading goes through fairseq and torch's allow-list."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from fairseq import checkpoint_utils

from fairseq_vhm.errors import UserError

Track = Callable[[Iterable[Path], str], Iterable[Path]]


def average(inputs: list[Path], output: Path, track: Track = lambda paths, _: paths) -> None:
    """Write a checkpoint whose weights are the means of those of ``inputs``.

    Settings are those of the last input; the optimizer's state is left out.  ``track`` shows progress.

    Raises:
        UserError: a file is missing, is no checkpoint, or has other parameters than the first.
    """
    total: dict[str, torch.Tensor] = {}
    for path in track(inputs, "reading"):
        state = _load(path)
        weights = state["model"]
        if total and (odd := _difference(total, weights)):
            raise UserError(f"{path}: its parameter {odd} is not that of {inputs[0]}; average one run's")
        for name, value in weights.items():
            total[name] = total.get(name, 0) + value.double()
    mean = {name: (value / len(inputs)).to(weights[name].dtype) for name, value in total.items()}
    averaged = {**state, "model": mean, "last_optimizer_state": None}
    temporary = output.with_name(output.name + ".part")
    torch.save(averaged, temporary)
    os.replace(temporary, output)


def _load(path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"{path}: missing; name checkpoints of one run, such as checkpoint_last.pt")
    return checkpoint_utils.load_checkpoint_to_cpu(str(path))


def _difference(first: dict, second: dict) -> str | None:
    """A parameter that one has and the other lacks or has in another shape."""
    for name in {**first, **second}:
        if name not in first or name not in second or first[name].shape != second[name].shape:
            return name
    return None
