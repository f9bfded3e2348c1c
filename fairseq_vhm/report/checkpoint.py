"""What a checkpoint says of its run: settings, size, updates.  Tensors are mapped, not read."""

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from functools import cached_property
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.names import SOURCE_LENGTH

CHECKPOINTS = ("checkpoint_best.pt", "checkpoint_last.pt")

CONFIGURING = ("dataset", "optimization", "optimizer", "lr_scheduler", "criterion", "task")
"""Sections of fairseq's settings that, with the model's own, decide what is trained."""

SEEDS = {"seed", "fraction_seed", "fixed_validation_seed"}
IRRELEVANT = SEEDS | {
    *("data", "num_workers", "num_shards", "shard_id", "gen_subset", "data_buffer_size", "dataset_impl"),
    *("max_tokens_valid", "batch_size_valid", "validate_interval", "validate_interval_updates"),
    *("validate_after_updates", "disable_validation", "max_valid_steps", "ignore_unused_valid_subsets"),
    *("combine_valid_subsets", "valid_subset", "stop_time_hours", "debug_param_names"),
    *("eval_task", "latent_inference", "latent_samples", "eval_rouge", "eval_bleu", "eval_gen_args"),
    *("eval_post_process", "eval_print_samples", "source_lang", "target_lang", "no_seed_provided"),
    *("loss_chunk", "attention", SOURCE_LENGTH),  # the last is the task's --max-source-positions
}
"""Settings in which two runs of one configuration may differ."""

REFERENCE = re.compile(r"\$\{(\w+)\.(\w+)\}")
BUFFER = re.compile(r"(^|\.)(version|_float_tensor|pretraining_symbols|lexicon\.(words|probability))$")
"""What a checkpoint holds beside parameters; the lexicon is ``ats_transformer``'s."""
TIED = re.compile(r"(embed_tokens|output_projection|lm_head)\.weight$")


@dataclass(frozen=True)
class Checkpoint:
    """``sections``: fairseq's settings by section; ``parameters``: shared ones counted once.

    ``best`` is the best value so far of the metric by which the run chose its best checkpoint.
    """

    path: Path
    sections: Mapping[str, Mapping[str, object]]
    parameters: int
    updates: int
    best: float | None = None

    def checked(self) -> "Checkpoint":
        """Itself.

        Raises:
            UserError: its settings are none of its architecture's.
        """
        _ = self.configuration
        return self

    @cached_property
    def settings(self) -> dict[str, object]:
        """All settings by name; ``arch`` and ``task_name`` among them."""
        flat = {key: value for section in self.sections.values() for key, value in section.items()}
        for section in ("common", "distributed_training", *CONFIGURING):
            flat |= self.sections.get(section, {})
        model = self.sections.get("model", {})
        named = {"arch": model.get("arch") or model.get("_name")}
        return flat | named | {"task_name": self.sections.get("task", {}).get("_name")}

    @cached_property
    def configuration(self) -> dict[str, object]:
        """The settings in which two runs of one system agree.

        A setting that the run's version of the plugin did not have yet stands at its default.

        Raises:
            UserError: they are none of its architecture's.
        """
        try:
            sections = _completed(self.sections)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(f"{self.path}: settings that no flag gives ({error})") from error
        others = {key for name, section in sections.items() if name != "model" for key in section}
        found = {k: v for k, v in sections.get("model", {}).items() if k not in others}
        found["arch"] = self.settings["arch"]
        for section in CONFIGURING:
            found |= sections.get(section, {})
        hidden = {key for key in found if key in IRRELEVANT or key.startswith("_")}
        return {key: repr(value) for key, value in found.items() if key not in hidden}


def find_checkpoint(folder: Path) -> Path | None:
    """The best checkpoint of a folder, else the last, else the newest."""
    named = [folder / name for name in CHECKPOINTS]
    others = filter(os.path.isfile, folder.glob("checkpoint*.pt"))
    newest = sorted(others, key=os.path.getmtime, reverse=True)
    return next(filter(os.path.isfile, named + newest), None)


def read_checkpoint(path: Path) -> Checkpoint:
    """Settings and size; as fairseq loads it, but without reading the tensors.

    Raises:
        UserError: cut short, no checkpoint, or refused by torch's allow-list.
    """
    import torch

    from fairseq_vhm.compat import checkpoints

    checkpoints.allow()
    load = checkpoints.refuse_clearly(torch.load)
    state = load(path, map_location="cpu", weights_only=True, mmap=True)
    if not _is_of_fairseq(state):
        raise UserError(f"{path}: holds no model of fairseq's; name it otherwise")
    return Checkpoint(
        path,
        _sections(state),
        count_parameters(state["model"]),
        *_progress(state),
    )


def count_parameters(weights: Mapping) -> int:
    """Parameters, each counted once where several names share it.

    Names share a tensor where they share memory; and, since a checkpoint written from a GPU has a
    copy for each name, where two tables of embeddings or of the output layer are equal.
    """
    import torch

    counted: dict[tuple, int] = {}
    tables: list = []
    for name, tensor in weights.items():
        if BUFFER.search(name):
            continue
        if TIED.search(name):
            if any(tensor.shape == table.shape and torch.equal(tensor, table) for table in tables):
                continue
            tables.append(tensor)
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape)
        counted[place if tensor.numel() else (name,)] = tensor.numel()
    return sum(counted.values())


def _is_of_fairseq(state: object) -> bool:
    """Whether there are weights and settings, in the form in which fairseq keeps them."""
    from torch import Tensor

    if not isinstance(state, Mapping) or not isinstance(state.get("model"), Mapping):
        return False
    weights = all(isinstance(name, str) and isinstance(one, Tensor) for name, one in state["model"].items())
    settings = (state.get("cfg"), state.get("args"))
    return weights and any(isinstance(one, Mapping | argparse.Namespace) for one in settings)


def _progress(state: Mapping) -> tuple[int, float | None]:
    """Updates, and the best value of the metric that chooses the best checkpoint."""
    history, extra = state.get("optimizer_history"), state.get("extra_state")
    last = history[-1] if isinstance(history, list) and history else None
    updates = last.get("num_updates") if isinstance(last, Mapping) else 0
    best = extra.get("best") if isinstance(extra, Mapping) else None
    return updates if type(updates) is int else 0, float(best) if isinstance(best, int | float) else None


def _sections(state: Mapping) -> dict[str, dict[str, object]]:
    """Settings by section; of an old checkpoint (``args``) all in the section ``model``."""
    settings = state.get("cfg")
    if not isinstance(settings, Mapping) or not settings:
        settings = {"model": state.get("args")}
    plain = {str(name): _plain(section) for name, section in settings.items()}
    return {name: section for name, section in plain.items() if section is not None}


def _completed(sections: Mapping[str, Mapping]) -> dict[str, Mapping]:
    """The settings with those of task, criterion and model that are missing, at their defaults."""
    from fairseq.criterions import CRITERION_DATACLASS_REGISTRY
    from fairseq.models import ARCH_CONFIG_REGISTRY
    from fairseq.tasks import TASK_DATACLASS_REGISTRY

    import fairseq_vhm

    fairseq_vhm.register()
    completed = dict(sections)
    for section, known in ("task", TASK_DATACLASS_REGISTRY), ("criterion", CRITERION_DATACLASS_REGISTRY):
        settings = sections.get(section, {})
        if named := known.get(str(settings.get("_name"))):
            defaults = {field.name: _resolved(field.default, sections) for field in fields(named)}
            completed[section] = {**defaults, **settings}
    model = argparse.Namespace(**sections.get("model", {}))
    if complete := ARCH_CONFIG_REGISTRY.get(str(getattr(model, "arch", None))):
        complete(model)
    return completed | {"model": vars(model)}


def _resolved(default: object, sections: Mapping[str, Mapping]) -> object:
    """The default; where it refers to another section (``${common.fp16}``), what stands there."""
    refers = REFERENCE.fullmatch(str(default))
    return sections.get(refers[1], {}).get(refers[2]) if refers else default


def _plain(section: object) -> dict[str, object] | None:
    if isinstance(section, argparse.Namespace):
        section = vars(section)
    if not isinstance(section, Mapping):
        return None
    return {str(name): _plain_value(value) for name, value in section.items()}


def _plain_value(value: object) -> object:
    """A setting; what no flag gives (a tensor) as a text."""
    if isinstance(value, list | tuple):
        return type(value)(map(_plain_value, value))
    return value if isinstance(value, str | bool | int | float | Mapping | Enum | None) else str(value)
