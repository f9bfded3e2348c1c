"""Flags of ``--task cross_lingual_summarization``: the only home of their defaults."""

from dataclasses import dataclass, field
from typing import List, Optional  # fairseq reads these forms, not ``str | None``

from fairseq.data.indexed_dataset import get_available_dataset_impl
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II

from fairseq_vhm.data.loading import TASKS
from fairseq_vhm.data.pairs import TAG_PLACES
from fairseq_vhm.data.plan import SCHEDULES
from fairseq_vhm.errors import UserError
from fairseq_vhm.generation.draws import LATENT_INFERENCE


def _flag(default, help_text: str, **metadata):
    return field(default=default, metadata={"help": help_text, **metadata})


@dataclass
class CrossLingualSummarizationConfig(FairseqDataclass):
    """Settings of the task; ``data`` is the folder that holds ``cls/``, ``mt/`` and ``ms/``."""

    data: Optional[str] = _flag(None, "folder with cls/, mt/ and ms/, each made by fairseq-preprocess")
    tasks: str = _flag("cls,mt,ms", "tasks trained and validated, joined by commas")
    task_schedule: ChoiceEnum(SCHEDULES) = _flag(
        "joint",
        "joint: one mini-batch of each task in every update, losses summed; alternate: one task an "
        "update in turn",
    )
    task_ratio: Optional[str] = _flag(
        None,
        "mini-batches (joint) or updates (alternate) of each task in turn, such as cls:2,mt:1,ms:1; "
        "1 for a task that is not named",
    )
    task_tag: Optional[str] = _flag(
        None,
        "where the model is told the task: source (default; first source token), target (the decoder "
        "starts with it) or none; at generation the checkpoint knows",
    )
    same_documents: bool = _flag(
        False,
        "the MS mini-batch of an update holds the documents of its CLS mini-batch (MS-CLS of Zhu et al., "
        "2019); MS pairs of other documents are left out",
    )
    cls_fraction: float = _flag(
        1.0, "share of the CLS training pairs in use (few-shot), such as 0.001; smaller shares nest"
    )
    fraction_seed: int = _flag(1, "seed of the choice made by --cls-fraction")
    source_lang: Optional[str] = _flag(
        None, "source language of the CLS data (read off its file names)", argparse_alias="-s"
    )
    target_lang: Optional[str] = _flag(
        None, "target language of the CLS data (read off its file names)", argparse_alias="-t"
    )
    max_source_positions: int = _flag(
        1024, "tokens of a source, tag and EOS included; a longer one is cut there and counted"
    )
    max_target_positions: int = _flag(1024, "tokens of a target in training and validation, likewise")
    left_pad_source: bool = _flag(True, "pad the source on the left")
    left_pad_target: bool = _flag(False, "pad the target on the left")

    eval_task: ChoiceEnum(TASKS) = _flag("cls", "task to generate for")
    latent_inference: ChoiceEnum(LATENT_INFERENCE) = _flag(
        "mean", "latents at generation: the prior's mean, or a draw (obeys --seed)"
    )
    latent_samples: int = _flag(
        1, "draws of the latents at generation; the best by model score first (with --nbest: all)"
    )

    eval_rouge: bool = _flag(
        False, "validate CLS by generation: rouge1, rouge2, rougeL, for --best-checkpoint-metric"
    )
    eval_bleu: bool = _flag(False, "validate CLS by generation: bleu, for --best-checkpoint-metric")
    eval_gen_args: str = _flag(
        '{"beam": 4, "lenpen": 0.6}', "generation settings of --eval-rouge and --eval-bleu, as JSON"
    )
    eval_post_process: Optional[str] = _flag(
        None, "how pieces are joined for --eval-rouge and --eval-bleu (read off the dictionary)"
    )
    eval_print_samples: bool = _flag(False, "print an output and its reference from each such batch")

    seed: int = II("common.seed")
    train_subset: str = II("dataset.train_subset")
    update_freq: List[int] = II("optimization.update_freq")
    dataset_impl: Optional[ChoiceEnum(get_available_dataset_impl())] = II("dataset.dataset_impl")


def parse_tasks(text: str) -> tuple[str, ...]:
    """The tasks of ``--tasks`` in their fixed order.

    Raises:
        UserError: an unknown or repeated name.
    """
    names = text.replace(" ", "").split(",")
    if unknown := [n for n in names if n not in TASKS]:
        raise UserError(f"--tasks {text}: '{unknown[0]}' is not a task; choose from {', '.join(TASKS)}")
    if len(set(names)) < len(names):
        raise UserError(f"--tasks {text}: a task is named twice")
    return tuple(t for t in TASKS if t in names)


def parse_ratio(text: Optional[str], tasks: tuple[str, ...]) -> dict[str, int]:
    """``cls:2,mt:1`` (or ``2,1,1`` in the order of ``tasks``) as task -> ratio.

    Raises:
        UserError: not a positive integer for a task of this run.
    """
    ratio = dict.fromkeys(tasks, 1)
    parts = text.replace(" ", "").split(",") if text else []
    if parts and not any(":" in p for p in parts):
        parts = [f"{t}:{p}" for t, p in zip(tasks, parts, strict=False)] if len(parts) == len(tasks) else [""]
    for part in parts:
        task, _, number = part.partition(":")
        if task not in tasks or not number.isdecimal() or int(number) < 1:
            raise UserError(
                f"--task-ratio {text}: give a whole number from 1 for each of {', '.join(tasks)}, such as "
                f"{','.join(f'{t}:1' for t in tasks)}"
            )
        ratio[task] = int(number)
    return ratio


def check(config) -> None:
    """Refuse values that no run can use.

    Raises:
        UserError: names the flag and the remedy.
    """
    if not 0 < config.cls_fraction <= 1:
        raise UserError(f"--cls-fraction {config.cls_fraction}: give a share above 0 and up to 1")
    if config.task_tag is not None and config.task_tag not in TAG_PLACES:
        raise UserError(f"--task-tag {config.task_tag}: choose from {', '.join(TAG_PLACES)}")
    if config.latent_samples < 1:
        raise UserError(f"--latent-samples {config.latent_samples}: give at least 1")
    if config.latent_samples > 1 and config.latent_inference == "mean":
        raise UserError(
            f"--latent-samples {config.latent_samples} needs --latent-inference sample: "
            "the mean is the same every time"
        )
    if config.same_documents:
        _check_same_documents(config)
    for name in ("max_source_positions", "max_target_positions"):
        if getattr(config, name) < 3:
            raise UserError(f"--{name.replace('_', '-')} must be at least 3 (tag, a token, EOS)")


def _check_same_documents(config) -> None:
    tasks = parse_tasks(config.tasks)
    ratio = parse_ratio(config.task_ratio, tasks)
    if not {"cls", "ms"} <= set(tasks):
        raise UserError(f"--same-documents joins CLS and MS: --tasks {config.tasks} lacks one of them")
    if ratio["cls"] != ratio["ms"]:
        raise UserError(f"--same-documents: give cls and ms one --task-ratio, not {config.task_ratio}")
