"""Flags of ``--task many_to_many_summarization``: the only home of their defaults."""

from dataclasses import dataclass
from typing import Any, Optional  # fairseq reads this form, not ``str | None``

from fairseq.dataclass import ChoiceEnum

from fairseq_vhm.data.sampling import SAMPLINGS, Sampling
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS
from fairseq_vhm.tasks.config import MiniBatchConfig, check_shared, flag, parse_tasks

BATCH_BY = ("length", "direction")


@dataclass
class ManyToManyConfig(MiniBatchConfig):
    """Settings of the task; ``data`` is the folder that ``vhm prepare crosssum`` made."""

    data: Optional[str] = flag(None, "folder made by vhm prepare crosssum")
    tasks: str = flag(
        "cls",
        "what a pair of article and summary gives: cls, and with mt and ms also the translation of the "
        "article's own summary and its summarization in its own language",
    )
    pairs: str = flag(
        "*",
        "directions in use, joined by commas: en-zh, *-en (many-to-one), en-* (one-to-many), *",
    )
    # generation has a ``sampling`` of another kind
    language_sampling: ChoiceEnum(SAMPLINGS) = flag(  # type: ignore[valid-type]  # read by fairseq
        "multistage",
        "how the directions of an update are drawn: multistage (CrossSum's Algorithm 1), unistage (each by "
        "its smoothed share), proportional, uniform",
        argparse_alias="--sampling",
    )
    source_alpha: float = flag(0.5, "exponent of the first stage of multistage (Eq. 2)")
    target_beta: float = flag(0.75, "exponent of the second stage of multistage (Eq. 4)")
    unistage_alpha: float = flag(0.25, "exponent of unistage")
    micro_batches: int = flag(8, "m, the mini-batches of an update, each of one direction")
    batch_by: ChoiceEnum(BATCH_BY) = flag(  # type: ignore[valid-type]  # read by fairseq
        "length",
        "length: the examples that a step draws are put together by length, whatever their direction: the "
        "same loss, less padding; direction: a mini-batch for each direction",
    )
    min_pair_size: int = flag(32, "directions of fewer training examples are left out of training")
    epoch_updates: int = flag(
        0, "updates in an epoch; 0: as many as take as many mini-batches as the data have"
    )
    eval_task: str = flag(
        "cls",
        "what lines of fairseq-interactive and vhm pipeline are read as: cls (within one language ms, which "
        "--source-lang says), mt or ms",
    )
    max_source_positions: int = flag(512, "tokens of a source, marks and EOS included; a longer one is cut")
    max_target_positions: int = flag(84, "tokens of a target in training and validation, likewise")


def sampling_of(config: Any) -> Sampling:
    """How the settings have directions drawn."""
    return Sampling(
        str(config.language_sampling),
        config.source_alpha,
        config.target_beta,
        config.unistage_alpha,
        config.micro_batches,
    )


def check(config: Any) -> None:
    """Refuse values that no run can use.

    Raises:
        UserError: names the flag and the remedy.
    """
    check_shared(config)
    if "cls" not in parse_tasks(config.tasks):
        raise UserError(f"--tasks {config.tasks}: cls is what is sampled; mt and ms go with it")
    if config.task_tag == "target":
        raise UserError("--task-tag target: the decoder starts with the target language; use source or none")
    if config.eval_task not in TASKS:
        raise UserError(f"--eval-task {config.eval_task}: choose from {', '.join(TASKS)}")
    for name in ("source_alpha", "target_beta", "unistage_alpha"):
        if not getattr(config, name) >= 0:  # as NaN is not
            raise UserError(f"--{name.replace('_', '-')} {getattr(config, name)}: give 0 or more")
    for name, least in (("micro_batches", 1), ("min_pair_size", 1), ("epoch_updates", 0)):
        if getattr(config, name) < least:
            raise UserError(f"--{name.replace('_', '-')} {getattr(config, name)}: give {least} or more")
    for name in ("max_source_positions", "max_target_positions"):
        if getattr(config, name) < 3:
            raise UserError(f"--{name.replace('_', '-')} must be at least 3 (tag, a token, EOS)")
