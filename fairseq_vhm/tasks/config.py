"""Flags of ``--task cross_lingual_summarization``: the only home of their defaults."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, List, Optional  # fairseq reads these forms, not ``str | None``

from fairseq.data.indexed_dataset import get_available_dataset_impl
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II

from fairseq_vhm.data.loading import TASKS
from fairseq_vhm.data.noise import MLM_TARGETS
from fairseq_vhm.data.pairs import TAG_PLACES
from fairseq_vhm.data.plan import SCHEDULES
from fairseq_vhm.data.pretraining import MONO, PRETRAINING_TASKS, TEXTS
from fairseq_vhm.errors import UserError
from fairseq_vhm.generation.draws import LATENT_INFERENCE

MATMUL_PRECISIONS = ("highest", "high", "medium")
"""torch's names (``torch.set_float32_matmul_precision``), the first of them its own default."""
NON_FINITE = ("stop", "skip")
MOST_MASKED = 0.4  # by mlm: what the decoder writes, masks included, is then no longer than the text


def flag(default: Any, help_text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": help_text, **metadata})


@dataclass
class MiniBatchConfig(FairseqDataclass):
    """Settings that the tasks share, and what they read of fairseq's own."""

    task_tag: Optional[str] = flag(
        None,
        "where the model is told the task: source (default; first source token), target (the decoder "
        "starts with it) or none; at generation the checkpoint knows",
    )
    aggressive_inference: int = flag(
        1,
        "of so many updates all but the last train the posteriors' networks alone, until "
        "--aggressive-until (He et al., 2019)",
    )
    aggressive_until: int = flag(0, "updates after which --aggressive-inference ends")
    source_lang: Optional[str] = flag(None, "source language", argparse_alias="-s")
    target_lang: Optional[str] = flag(None, "target language", argparse_alias="-t")
    max_source_positions: int = flag(
        1024, "tokens of a source, marks and EOS included; a longer one is cut there"
    )
    max_target_positions: int = flag(1024, "tokens of a target in training and validation, likewise")
    left_pad_source: bool = flag(True, "pad the source on the left")
    latent_inference: ChoiceEnum(LATENT_INFERENCE) = flag(  # type: ignore[valid-type]  # read by fairseq
        "mean", "latents at generation: the prior's mean, or a draw (obeys --seed)"
    )
    latent_samples: int = flag(
        1, "draws of the latents at generation; the best by model score first (with --nbest: all)"
    )
    matmul_precision: ChoiceEnum(MATMUL_PRECISIONS) = flag(  # type: ignore[valid-type]  # read by fairseq
        "highest",
        "float32 matrix products of training updates: highest, high (TF32 on GPUs) or medium (also bfloat16 "
        "products, summed in float32, on CPUs that have them)",
    )
    non_finite: ChoiceEnum(NON_FINITE) = flag(  # type: ignore[valid-type]  # read by fairseq
        "stop",
        "at a loss or gradient that is NaN or infinite: stop, or skip the update; either names the term, the "
        "task and the sentences",
    )
    non_finite_limit: int = flag(10, "so many updates in a row are not skipped: the run stops")
    seed: int = II("common.seed")
    fp16: bool = II("common.fp16")
    bf16: bool = II("common.bf16")
    train_subset: str = II("dataset.train_subset")
    update_freq: List[int] = II("optimization.update_freq")
    best_checkpoint_metric: str = II("checkpoint.best_checkpoint_metric")
    maximize_best_checkpoint_metric: bool = II("checkpoint.maximize_best_checkpoint_metric")
    dataset_impl: Optional[ChoiceEnum(get_available_dataset_impl())] = II("dataset.dataset_impl")  # type: ignore[valid-type]  # read by fairseq


@dataclass
class CrossLingualSummarizationConfig(MiniBatchConfig):
    """Settings of the task; ``data`` is the folder that holds ``cls/``, ``mt/`` and ``ms/``."""

    data: Optional[str] = flag(None, "folder with cls/, mt/ and ms/, each made by fairseq-preprocess")
    tasks: str = flag("cls,mt,ms", "tasks trained and validated, joined by commas")
    task_schedule: ChoiceEnum(SCHEDULES) = flag(  # type: ignore[valid-type]  # read by fairseq
        "joint",
        "joint: one mini-batch of each task in every update, losses summed; alternate: one task an "
        "update in turn",
    )
    task_ratio: Optional[str] = flag(
        None,
        "mini-batches (joint) or updates (alternate) of each task in turn, such as cls:2,mt:1,ms:1 (1 for a "
        "task that is not named); bare numbers are in the order of --tasks and then --pretraining-tasks",
    )
    text_bos: bool = flag(
        False,
        "a source has BOS behind its tag, and the decoder starts with BOS in place of EOS (released code); "
        "at generation the checkpoint knows",
    )
    langs: Optional[str] = flag(
        None,
        "languages of a pre-trained mBART in its order, joined by commas, or mbart25: a source ends with its "
        "language's token and the decoder starts with the target's; at generation the checkpoint knows",
    )
    lang_codes: Optional[str] = flag(
        None,
        "which of --langs a file suffix is in, such as en=en_XX,zh=zh_CN (by default the one that begins "
        "so: en and en_sum are en_XX)",
    )
    same_documents: bool = flag(
        False,
        "the MS mini-batch of an update holds the documents of its CLS mini-batch (MS-CLS of Zhu et al., "
        "2019); MS pairs of other documents are left out",
    )
    share_document_encoding: bool = flag(
        False,
        "the document of a CLS and an MS pair is encoded once for both: --same-documents in one pass; the "
        "encoder must not see the task (--task-tag target or none)",
    )
    pretraining_tasks: Optional[str] = flag(
        None,
        "pre-training tasks trained beside --tasks (MLPT of Xu et al., 2020), joined by commas: mlm (masked "
        "language modelling), dae (denoising), cmlm (mlm of translation pairs in one text)",
    )
    pretraining_texts: Optional[str] = flag(
        None,
        "folders whose texts, both sides, mlm and dae read: any of cls,mt,ms,mono (default: those of "
        "--tasks, and mono where DATA has it; its sides need not be aligned)",
    )
    mlm_share: float = flag(0.15, "share of the tokens that mlm and cmlm mask")
    mlm_span: float = flag(1.0, "mean number of tokens in a span that becomes one mask in mlm and cmlm")
    mlm_target: ChoiceEnum(MLM_TARGETS) = flag(  # type: ignore[valid-type]  # read by fairseq
        "masked", "what the decoder writes in mlm and cmlm: each masked span behind a mask, or the text"
    )
    dae_shuffle: int = flag(3, "most positions that dae moves a word by")
    dae_drop: float = flag(0.1, "probability that dae leaves a word out")
    dae_mask: float = flag(0.1, "probability that dae masks a word")
    cls_fraction: float = flag(
        1.0, "share of the CLS training pairs in use (few-shot), such as 0.001; smaller shares nest"
    )
    fraction_seed: int = flag(1, "seed of the choice made by --cls-fraction")
    source_lang: Optional[str] = flag(
        None, "source language of the CLS data (read off its file names)", argparse_alias="-s"
    )
    target_lang: Optional[str] = flag(
        None, "target language of the CLS data (read off its file names)", argparse_alias="-t"
    )
    left_pad_target: bool = flag(False, "pad the target on the left")

    eval_task: str = flag("cls", "task to generate for")

    eval_rouge: bool = flag(
        False, "validate CLS by generation: rouge1, rouge2, rougeL, for --best-checkpoint-metric"
    )
    eval_bleu: bool = flag(False, "validate CLS by generation: bleu, for --best-checkpoint-metric")
    eval_metrics: str = flag(
        "",
        "validate CLS by generation: metrics of vhm score, joined by commas, that need no model nor sources "
        "(chrf, length, a plugin's); each score is logged by its name",
    )
    eval_gen_args: str = flag(
        '{"beam": 4, "lenpen": 0.6}', "generation settings of the --eval- flags above, as JSON"
    )
    eval_post_process: Optional[str] = flag(
        None, "how pieces are joined for the --eval- flags above (read off the dictionary)"
    )
    eval_print_samples: bool = flag(False, "print an output and its reference from each such batch")



def parse_tasks(text: str) -> tuple[str, ...]:
    """The tasks of ``--tasks`` in their fixed order.

    Raises:
        UserError: an unknown or repeated name.
    """
    return _names(text, TASKS, "--tasks", "task")


def parse_pretraining_tasks(text: Optional[str]) -> tuple[str, ...]:
    """The tasks of ``--pretraining-tasks`` in their fixed order; none without it.

    Raises:
        UserError: an unknown or repeated name.
    """
    return _names(text, PRETRAINING_TASKS, "--pretraining-tasks", "pre-training task") if text else ()


def parse_pretraining_texts(config: Any) -> tuple[str, ...]:
    """The folders of ``--pretraining-texts``.

    Raises:
        UserError: an unknown or repeated name.
    """
    if config.pretraining_texts:
        return _names(config.pretraining_texts, TEXTS, "--pretraining-texts", "folder of texts")
    mono = (MONO,) if os.path.isdir(os.path.join(config.data, MONO)) else ()
    return parse_tasks(config.tasks) + mono


def _names(text: str, known: Collection[str], flag: str, kind: str) -> tuple[str, ...]:
    """Names joined by commas, in the order of those that are known."""
    names = _listed(text)
    if unknown := [n for n in names if n not in known]:
        raise UserError(f"{flag} {text}: '{unknown[0]}' is not a {kind}; choose from {', '.join(known)}")
    if len(set(names)) < len(names):
        raise UserError(f"{flag} {text}: a {kind} is named twice")
    return tuple(n for n in known if n in names)


def _listed(text: str) -> list[str]:
    return text.replace(" ", "").split(",")


def parse_ratio(config: Any) -> dict[str, int]:
    """``--task-ratio``: ``cls:2,mt:1``, or ``2,1`` in the order in which the user names the tasks.

    Raises:
        UserError: not a positive integer for a task of this run.
    """
    tasks = parse_tasks(config.tasks) + parse_pretraining_tasks(config.pretraining_tasks)
    text, ratio = config.task_ratio, dict.fromkeys(tasks, 1)
    parts = _listed(text) if text else []
    if parts and ":" not in text:
        named = [task for flag in (config.tasks, config.pretraining_tasks) if flag for task in _listed(flag)]
        parts = [f"{t}:{p}" for t, p in zip(named, parts, strict=False)] if len(parts) == len(named) else [""]
    for part in parts:
        task, _, number = part.partition(":")
        if task not in tasks or not number.isdecimal() or int(number) < 1:
            raise UserError(
                f"--task-ratio {text}: give a whole number from 1 for each of {', '.join(tasks)}, such as "
                f"{','.join(f'{t}:1' for t in tasks)}"
            )
        ratio[task] = int(number)
    return ratio


def check_shared(config: MiniBatchConfig) -> None:
    """Refuse values of the shared settings that no run can use.

    Raises:
        UserError: names the flag and the remedy.
    """
    if config.task_tag is not None and config.task_tag not in TAG_PLACES:
        raise UserError(f"--task-tag {config.task_tag}: choose from {', '.join(TAG_PLACES)}")
    if config.latent_samples < 1:
        raise UserError(f"--latent-samples {config.latent_samples}: give at least 1")
    if config.latent_samples > 1 and config.latent_inference == "mean":
        raise UserError(
            f"--latent-samples {config.latent_samples} needs --latent-inference sample: "
            "the mean is the same every time"
        )
    if config.non_finite_limit < 1:
        raise UserError(f"--non-finite-limit {config.non_finite_limit}: give at least 1")
    _check_aggressive(config)


def check(config: Any) -> None:
    """Refuse values that no run can use.

    Raises:
        UserError: names the flag and the remedy.
    """
    check_shared(config)
    if config.eval_task not in TASKS:
        raise UserError(f"--eval-task {config.eval_task}: choose from {', '.join(TASKS)}")
    if not 0 < config.cls_fraction <= 1:
        raise UserError(f"--cls-fraction {config.cls_fraction}: give a share above 0 and up to 1")
    if config.share_document_encoding:
        _check_share_document_encoding(config)
    if config.same_documents or config.share_document_encoding:
        _check_same_documents(config)
    _check_pretraining(config)
    if config.text_bos and (config.langs or config.task_tag == "target" or config.pretraining_tasks):
        raise UserError(
            "--text-bos goes with none of --langs, --task-tag target and --pretraining-tasks: drop it"
        )
    if config.langs and config.task_tag == "target":
        raise UserError("--task-tag target and --langs: the decoder starts with the language; use source")
    for name in ("max_source_positions", "max_target_positions"):
        marks = ("tag", *(["BOS"] if config.text_bos else []), "EOS", *(["language"] if config.langs else []))
        if getattr(config, name) <= len(marks):
            least = f"{len(marks) + 1} (a token, {', '.join(marks)})"
            raise UserError(f"--{name.replace('_', '-')} must be at least {least}")


def _check_share_document_encoding(config: Any) -> None:
    flag_name = "--share-document-encoding"
    if config.task_tag not in ("target", "none"):
        raise UserError(f"{flag_name}: a tag in the source tells the tasks apart; give --task-tag target")
    if config.task_schedule != "joint":
        raise UserError(f"{flag_name}: CLS and MS must meet in one update; give --task-schedule joint")


def _check_same_documents(config: Any) -> None:
    name = "--share-document-encoding" if config.share_document_encoding else "--same-documents"
    ratio = parse_ratio(config)
    if not {"cls", "ms"} <= set(ratio):
        raise UserError(f"{name} joins CLS and MS: --tasks {config.tasks} lacks one of them")
    if ratio["cls"] != ratio["ms"]:
        raise UserError(f"{name}: give cls and ms one --task-ratio, not {config.task_ratio}")


def _check_aggressive(config: Any) -> None:
    every, until = config.aggressive_inference, config.aggressive_until
    if every < 1 or until < 0 or (every > 1) != (until > 0):
        raise UserError(
            f"--aggressive-inference {every} and --aggressive-until {until} need each other: give both, such "
            "as 5 and the updates of the first epochs"
        )
    if every > 1 and (config.fp16 or config.bf16):
        raise UserError(
            "--aggressive-inference: fairseq's fp16 and bf16 optimizers update all parameters; train "
            "without --fp16 and --bf16, or with --amp"
        )


def _check_pretraining(config: Any) -> None:
    streams = parse_pretraining_tasks(config.pretraining_tasks)
    if config.pretraining_texts and not streams:
        raise UserError(f"--pretraining-texts {config.pretraining_texts} needs --pretraining-tasks mlm,dae")
    if "cmlm" in streams and "mt" not in parse_tasks(config.tasks):
        raise UserError(f"--pretraining-tasks cmlm reads the pairs of mt, which --tasks {config.tasks} lacks")
    reads_texts = bool({"mlm", "dae"} & set(streams))
    if config.cls_fraction < 1 and reads_texts and "cls" in parse_pretraining_texts(config):
        raise UserError(
            f"--cls-fraction {config.cls_fraction}: --pretraining-texts would read the CLS texts that it "
            "leaves out; give --pretraining-texts mt,ms"
        )
    if not 0 < config.mlm_share <= MOST_MASKED:
        raise UserError(f"--mlm-share {config.mlm_share}: give a share above 0 and up to {MOST_MASKED}")
    if not config.mlm_span >= 1:  # as NaN is not
        raise UserError(f"--mlm-span {config.mlm_span}: give at least 1 token")
    if config.dae_shuffle < 0:
        raise UserError(f"--dae-shuffle {config.dae_shuffle}: give 0 or more")
    for name in ("dae_drop", "dae_mask"):
        if not 0 <= getattr(config, name) < 1:
            value = getattr(config, name)
            raise UserError(f"--{name.replace('_', '-')} {value}: give a probability from 0 and below 1")
