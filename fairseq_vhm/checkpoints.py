"""Work on fairseq's checkpoint files; loading goes through fairseq and torch's allow-list."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from fairseq import checkpoint_utils

from fairseq_vhm.compat.checkpoints import settings_of
from fairseq_vhm.compat.saving import save_state
from fairseq_vhm.errors import UserError
from fairseq_vhm.files import check_folder, written_whole
from fairseq_vhm.names import DICTIONARY_DIGEST

Track = Callable[[Iterable[Path], str], Iterable[Path]]


def average(inputs: list[Path], output: Path, track: Track = lambda paths, _: paths) -> None:
    """Write a checkpoint whose weights are the means of those of ``inputs``.

    Settings are those of the last input; the optimizer's state is left out.  ``track`` shows progress.

    Raises:
        UserError: a file is missing, is no checkpoint, or has other parameters than the first, or ``output``
            cannot be written.
    """
    check_folder(output, "--out")
    if output.is_dir():
        raise UserError(f"--out {output}: is a folder; name a file, such as {output / 'average.pt'}")
    total: dict[str, torch.Tensor] = {}
    dictionary = None
    for path in track(inputs, "reading"):
        state = _load(path)
        weights = state["model"]
        trained_with = settings_of(state).get(DICTIONARY_DIGEST)
        if dictionary and trained_with and trained_with != dictionary:
            raise UserError(f"{path}: of another dictionary than those before it; average one run's")
        dictionary = trained_with or dictionary
        if total and (odd := _difference(total, weights)) is not None:
            raise UserError(f"{path}: its parameter '{odd}' is not that of {inputs[0]}; average one run's")
        for name, value in weights.items():
            if not value.is_floating_point():
                total[name] = value  # of a table, such as a lexicon's words
            else:
                total[name] = total.get(name, 0) + value.double()
    save({**state, "model": _means(total, len(inputs), weights), "last_optimizer_state": None}, output)


def save(state: dict, path: Path) -> None:
    """Write a checkpoint, whole or not at all; what was there stays until then.

    Raises:
        UserError: there is no room, or no right to write.
    """
    with written_whole(path) as part:
        save_state(state, part)


def _means(total: dict, count: int, like: dict) -> dict[str, torch.Tensor]:
    """The sums divided, in the types of ``like``; parameters that share one table there share one again."""
    tables: dict[tuple, torch.Tensor] = {}
    means = {}
    for name, value in total.items():
        mean = (value / count).to(like[name].dtype) if value.is_floating_point() else value
        table = tables.setdefault((like[name].data_ptr(), like[name].shape), mean)
        means[name] = table if torch.equal(table, mean) else mean
    return means


def _load(path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"{path}: missing; name checkpoints of one run, such as checkpoint_last.pt")
    state = checkpoint_utils.load_checkpoint_to_cpu(str(path))
    weights = state.get("model")
    if not isinstance(weights, dict) or not all(isinstance(one, torch.Tensor) for one in weights.values()):
        raise UserError(f"{path}: holds no weights; name checkpoints of one run, such as checkpoint_last.pt")
    return state


def _difference(first: dict, second: dict) -> str | None:
    """A parameter that one has and the other lacks or has in another shape, or a table that differs."""
    for name in {**first, **second}:
        if name not in first or name not in second or first[name].shape != second[name].shape:
            return name
        if not second[name].is_floating_point() and not torch.equal(first[name], second[name]):
            return name
    return None
