"""A model that starts from another's weights: mBART (Liu et al., TACL 2020), or an earlier run.

What a checkpoint says of a parameter is taken over; what it cannot know, the latents and the rows of the
tasks' tags, stays as it was drawn.  Everything else that differs is a mistake (another dictionary, another
size, another activation) and is refused, unless the user names it.
"""

import logging
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import EllipsisType

import torch
from torch import Tensor, nn

from fairseq_vhm.compat.arguments import LAST
from fairseq_vhm.compat.checkpoints import is_bookkeeping, read, settings_of
from fairseq_vhm.errors import UserError
from fairseq_vhm.models.pretrained import PRETRAINING_SYMBOLS, without_pretraining_symbols
from fairseq_vhm.names import TASKS

logger = logging.getLogger(__name__)

OURS = (".hierarchy.", ".fusion.", ".bag_of_words.")
"""What no other model has: the networks of the latents, Eq. 8, and what keeps the latents in use."""
TABLES = ("embed_tokens.weight", "output_projection.weight", "output_projection.bias")
POSITIONS = "embed_positions.weight"
UNSEEN_SETTINGS = (
    "encoder_attention_heads",
    "decoder_attention_heads",
    "encoder_normalize_before",
    "decoder_normalize_before",
    "activation_fn",
    "no_scale_embedding",
)
"""Settings that no parameter's shape betrays: under another value the weights mean something else."""
NO_PLACE = "has no place here"
SHOWN = 4

Part = EllipsisType | slice
"""Which rows of a parameter are taken over: all, or the first ones."""


@dataclass
class Report:
    """What becomes of each parameter: its name, or name and what differs."""

    path: str
    loaded: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    mismatches: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """One line."""
        return (
            f"initialised from {self.path}: {len(self.loaded):,} parameters loaded, {len(self.new):,} new, "
            f"{len(self.left_out):,} left out"
        )

    def log(self) -> None:
        """The names of what is new and of what was left out, and the summary."""
        for what, names in (("new", self.new), ("left out", self.left_out)):
            for name in names:
                logger.info(f"initialisation: {what}: {name}")
        logger.info(self.summary())

    def accept(self, patterns: Sequence[str]) -> None:
        """Count mismatches that the user has named as new or left out."""
        for name in [n for n in self.mismatches if any(fnmatchcase(n, p) for p in patterns)]:
            what = self.mismatches.pop(name)
            (self.left_out if what == NO_PLACE else self.new).append(f"{name} {what}")

    def refuse_the_rest(self) -> None:
        """Refuse what differs and was not named.

        Raises:
            UserError: the first few, and the remedy.
        """
        if self.mismatches:
            shown = [f"{name} {what}" for name, what in list(self.mismatches.items())[:SHOWN]]
            more = len(self.mismatches) - len(shown)
            raise UserError(
                f"--init-from {self.path}: {'; '.join(shown)}{f'; {more:,} more' if more else ''}: give the "
                "settings and the dictionary it was trained with, or name what may differ: --init-allow "
                "PATTERN,..."
            )


def initialise(model: nn.Module, args: Namespace, path: str, allowed: Sequence[str] = ()) -> Report:
    """Copy what the checkpoint at ``path`` holds into ``model``, all or nothing.

    Args:
        model: a :class:`~fairseq_vhm.models.vhm_transformer.VHMTransformerModel` built with ``args``.
        allowed: patterns (``*``, ``?``) of parameters and settings that may differ: such a parameter stays
            new, or is left out.

    Raises:
        UserError: the file is missing or no checkpoint, or something differs that is not allowed.
    """
    if not os.path.isfile(path):
        raise UserError(f"--init-from {path}: missing; name a checkpoint, such as mbart.cc25's model.pt")
    state = read(path)
    trained = _under_our_names(state["model"], model)
    report = Report(path)
    _compare_settings(report, settings_of(state), args)
    parts = _compare_parameters(report, model.state_dict(), trained)
    report.accept(allowed)
    report.refuse_the_rest()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name in parts:
                value[parts[name]].copy_(trained[name][parts[name]])
    return report


def resumed_file(args: Namespace) -> str:
    """The checkpoint that a run goes on from, if it is there."""
    restore = getattr(args, "restore_file", LAST)
    return os.path.join(getattr(args, "save_dir", ""), LAST) if restore == LAST else restore


def goes_on(args: Namespace) -> bool:
    """Whether this run resumes a checkpoint of its own, which holds everything."""
    return os.path.exists(resumed_file(args))


def _under_our_names(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """A checkpoint's weights as ``model`` names them: fairseq's older names, a decoder for each task.

    fairseq's upgrade takes a missing version for an ancient one and would drop ``model``'s final norms.
    """
    versions = {name: value for name, value in model.state_dict().items() if name.endswith(".version")}
    fitted = without_pretraining_symbols(dict(weights), model.state_dict())
    renamed = _for_each_decoder(fitted, list(getattr(model.decoder, "decoders", ()))) | versions
    model.upgrade_state_dict(renamed)  # type: ignore[operator]  # fairseq's models have it
    return {name: value for name, value in renamed.items() if not _is_bookkeeping(name)}


def _for_each_decoder(weights: dict[str, Tensor], tasks: Sequence[str]) -> dict[str, Tensor]:
    """The one decoder of a checkpoint as that of each task, where there are several."""
    prefix = "decoder."
    shared = [n for n in weights if tasks and n.startswith(prefix) and not n.startswith("decoder.decoders.")]
    copies = {f"decoder.decoders.{t}.{n.removeprefix(prefix)}": weights[n] for t in tasks for n in shared}
    return {n: value for n, value in weights.items() if n not in shared} | copies


def _is_bookkeeping(name: str) -> bool:
    return is_bookkeeping(name) or name.endswith(PRETRAINING_SYMBOLS)


def _compare_settings(report: Report, trained: Mapping, args: Namespace) -> None:
    for name in UNSEEN_SETTINGS:
        if name in trained and trained[name] != getattr(args, name):
            report.mismatches[name] = f"is {trained[name]} there and {getattr(args, name)} here"


def _compare_parameters(
    report: Report, own: Mapping[str, Tensor], trained: Mapping[str, Tensor]
) -> dict[str, Part]:
    """Fill the report; name -> what of it can be copied."""
    new_symbols = {len(TASKS), len(TASKS) + int(own.get(f"encoder.{PRETRAINING_SYMBOLS}", 0))}
    parts: dict[str, Part] = {}
    for name, value in own.items():
        if name in trained:
            part = _part(report, name, value, trained[name], new_symbols)
            if part is not None:
                parts[name] = part
    filled = {own[name].data_ptr() for name in parts}
    for name in own:
        if name not in trained and not _is_bookkeeping(name) and own[name].data_ptr() not in filled:
            _note_missing(report, name)
    report.loaded += parts
    report.mismatches |= {name: NO_PLACE for name in trained if name not in own}
    return parts


def _part(
    report: Report, name: str, own: Tensor, trained: Tensor, new_symbols: set[int]
) -> Part | None:
    """What of a parameter can be taken over; ``None`` where it does not fit."""
    if own.shape == trained.shape:
        return ...
    same_width = own.dim() > 0 < trained.dim() and own.shape[1:] == trained.shape[1:]
    more = len(own) - len(trained) if same_width else 0
    if name.endswith(TABLES) and more in new_symbols:
        report.new.append(f"{name}: the last {more} rows (tags of the tasks)")
        return slice(len(trained))
    if name.endswith(POSITIONS) and more < 0:
        report.left_out.append(f"{name}: the last {-more:,} rows (later positions)")
        return slice(len(own))
    there, here = (" x ".join(f"{n:,}" for n in shape) for shape in (trained.shape, own.shape))
    of_symbols = f", {len(TASKS)} tags included" if name.endswith(TABLES) else ""
    report.mismatches[name] = f"is {there} there and {here} here{of_symbols}"
    return None


def _note_missing(report: Report, name: str) -> None:
    if any(part in name for part in OURS):
        report.new.append(name)
    else:
        report.mismatches[name] = "is missing there"
