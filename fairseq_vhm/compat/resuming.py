"""A checkpoint of other flags ends fairseq in a stack trace: of shapes, an assertion, a missing key.

One of another dictionary with as many symbols does not end it: the run goes on with rows of other symbols.

Delete when ``Trainer.load_checkpoint`` says which setting differs.
"""

import functools
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from typing import Any

from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.trainer import Trainer

from fairseq_vhm.compat import checkpoints
from fairseq_vhm.compat.errors import mistake_behind
from fairseq_vhm.errors import UserError

OF_TRAINING = (
    *("criterion", "optimizer", "lr_scheduler", "fp16", "bf16", "amp"),
    *("memory_efficient_fp16", "memory_efficient_bf16", "store_ema"),
)
"""What decides on the form of a state beside the model's."""


class Misfit(UserError):
    """A checkpoint is whole, and of a run with other flags."""


def _explaining(load: Callable) -> Callable:
    @functools.wraps(load)
    def load_or_explain(self: Trainer, filename: str, *args: Any, **kwargs: Any) -> Any:
        _check_dictionary(self.task, filename)
        try:
            return load(self, filename, *args, **kwargs)
        except Exception as error:
            if mistake_behind(error):
                raise
            raise _misfit(filename, self.cfg.model, error) from error

    load_or_explain.explains = True  # type: ignore[attr-defined]  # says that it is in place
    return load_or_explain


def _check_dictionary(task: Any, filename: str) -> None:
    """Have the plugin's tasks say whether the checkpoint is of their symbols, which fairseq does not ask."""
    if check := getattr(task, "check_dictionary", None):
        try:
            check(checkpoints.settings_in(filename))
        except UserError as error:
            raise Misfit(str(error)) from error


def _misfit(filename: str, now: Namespace, error: Exception) -> Misfit:
    """That the checkpoint is not of a run like this one, and in what it differs."""
    then, given = checkpoints.settings_of(checkpoints.read(filename)), vars(now)
    if other := _differing(["arch", *_flags_of(given["arch"])], then, given):
        return Misfit(f"{filename}: of another model ({other}); give its flags, or begin without it")
    if other := _differing(OF_TRAINING, then, given):
        return Misfit(
            f"{filename}: of another training ({other}); give its flags, or take nothing but its parameters, "
            "with --finetune-from-model and another --save-dir"
        )
    return Misfit(f"{filename}: does not fit this run ({_first_cause(error)}); begin without it")


def _differing(names: Any, then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The flags among ``names`` that both know and that have changed, with what they were."""
    changed = [name for name in names if name in then and name in now and then[name] != now[name]]
    return ", ".join(f"--{name.replace('_', '-')} {now[name]}, was {then[name]}" for name in changed)


def _flags_of(arch: str) -> list[str]:
    """The settings that the architecture's own flags give."""
    parser = ArgumentParser(allow_abbrev=False)
    ARCH_MODEL_REGISTRY[arch].add_args(parser)
    return sorted(vars(parser.parse_args([])))


def _first_cause(error: Exception) -> str:
    """What the error says, or the one whose place it took: torch's names a parameter and its shapes."""
    text = str(error.__context__ or error) or type(error).__name__
    lines = [line.strip() for line in text.splitlines()]
    return lines[1] if len(lines) > 1 else lines[0]


def say_what_differs() -> None:
    """Name the flags with which a checkpoint does not fit; safe to call more than once."""
    if not hasattr(Trainer.load_checkpoint, "explains"):
        Trainer.load_checkpoint = _explaining(Trainer.load_checkpoint)
