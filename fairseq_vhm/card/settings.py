"""The settings of a run that differ from the defaults of its model, task, criterion and of fairseq."""

import argparse
import ast
from collections.abc import Iterator, Mapping
from dataclasses import fields

from fairseq_vhm.report.checkpoint import IRRELEVANT, REFERENCE, Checkpoint

CHOICES = ("task", "criterion", "optimizer", "lr_scheduler")
"""Sections whose settings are those of the class that they name."""


def differing(checkpoint: Checkpoint) -> dict[str, object]:
    """Settings by name: those of the model first, then of the sections of fairseq's.

    What follows from others (a decoder as wide as the encoder) is not among them, but where it is in another
    section (the loss of ``--released-code-compat``).
    """
    found = _of_model(checkpoint)
    following = _completed(str(checkpoint.settings["arch"]), found)
    for name, default in _section_defaults(checkpoint):
        value = checkpoint.settings.get(name, default)
        usual = default, following.get(name, default)
        if name not in IRRELEVANT and any(_plain(value) != _plain(one) for one in usual):
            found[name] = value
    return found


def in_force(name: str, checkpoint: Checkpoint) -> object:
    """A setting's value, or its default where the checkpoint does not say it, as one of older form may."""
    return checkpoint.settings.get(name, dict(_section_defaults(checkpoint)).get(name))


def _of_model(checkpoint: Checkpoint) -> dict[str, object]:
    """The model's own settings that its architecture would not have set as they are."""
    settings = checkpoint.settings
    arch = str(settings["arch"])
    others = {name for name, _ in _section_defaults(checkpoint)} | IRRELEVANT
    defaults = _completed(arch, {})
    given = {
        name: settings[name]
        for name, default in defaults.items()
        if name in settings and name not in others and _plain(settings[name]) != _plain(default)
    }
    for name in list(given):
        rest = {key: value for key, value in given.items() if key != name}
        if _plain(_completed(arch, rest).get(name)) == _plain(given[name]):
            given = rest
    return given


def _completed(arch: str, given: Mapping[str, object]) -> dict[str, object]:
    """What an architecture makes of a model's settings, and fairseq where it builds the model."""
    from fairseq.models import ARCH_CONFIG_REGISTRY

    args = argparse.Namespace(**given)
    ARCH_CONFIG_REGISTRY[arch](args)
    if getattr(args, "share_all_embeddings", False):
        args.share_decoder_input_output_embed = True
    return vars(args)


def _section_defaults(checkpoint: Checkpoint) -> Iterator[tuple[str, object]]:
    """Name and default of each setting of the sections; those that repeat another's are left out."""
    from fairseq.dataclass.configs import DatasetConfig, OptimizationConfig

    named = [_class_of(section, checkpoint) for section in CHOICES]
    for made in [*named, OptimizationConfig, DatasetConfig]:
        defaults = made() if made else None
        for field in fields(made) if made else ():
            default = getattr(defaults, field.name)
            if not field.name.startswith("_") and not REFERENCE.fullmatch(str(default)):
                yield field.name, default


def _class_of(section: str, checkpoint: Checkpoint) -> type | None:
    """The class of the settings of a section; ``None`` where the plugin knows none."""
    from fairseq.criterions import CRITERION_DATACLASS_REGISTRY
    from fairseq.optim import OPTIMIZER_DATACLASS_REGISTRY
    from fairseq.optim.lr_scheduler import LR_SCHEDULER_DATACLASS_REGISTRY
    from fairseq.tasks import TASK_DATACLASS_REGISTRY

    known = {
        "task": TASK_DATACLASS_REGISTRY,
        "criterion": CRITERION_DATACLASS_REGISTRY,
        "optimizer": OPTIMIZER_DATACLASS_REGISTRY,
        "lr_scheduler": LR_SCHEDULER_DATACLASS_REGISTRY,
    }
    return known[section].get(choice(section, checkpoint))


def choice(section: str, checkpoint: Checkpoint) -> str | None:
    """The name that a section was chosen by, such as ``elbo``."""
    named = checkpoint.sections.get(section, {}).get("_name") or checkpoint.settings.get(section)
    return named if isinstance(named, str) else None


def _plain(value: object) -> object:
    """A value in one form, whether it was kept as text or as what the text says."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
