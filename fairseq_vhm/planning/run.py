"""The run that a plan is of: ``fairseq-train``'s own flags, read by its own parser."""

import contextlib
import io
import json
from argparse import ArgumentError, ArgumentParser, Namespace
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from fairseq_vhm.compat.command_line import check_arguments
from fairseq_vhm.errors import UserError
from fairseq_vhm.tasks import config, many_to_many_config
from fairseq_vhm.tasks.cross_lingual_summarization import DEFAULT_TAG_PLACE
from fairseq_vhm.text.mt5 import read_config

ROUND_ROBIN, MANY_TO_MANY = "cross_lingual_summarization", "many_to_many_summarization"
USUAL = ("--task", ROUND_ROBIN, "--arch", "vhm_transformer", "--criterion", "elbo", "--optimizer", "adam")
"""What a plan takes where the user says nothing."""
CHECKS = {ROUND_ROBIN: config.check, MANY_TO_MANY: many_to_many_config.check}
"""What each task itself refuses."""
MT5 = "hf_mt5"
WORLD = "--distributed-world-size"
HERE = ("--cpu", WORLD, "1")
"""Where a plan counts and measures: in this process, whatever GPUs and ranks there are."""
NO_LIMIT = "--max-update: give it, or --max-epoch: without either fairseq-train never ends"


class WrongFlags(UserError):
    """Flags that ``fairseq-train`` does not take."""


@dataclass(frozen=True)
class Run:
    """Settings of a training run, as fairseq reads them.

    Args:
        world: the GPUs that the flags are for (``--distributed-world-size``), here or elsewhere.
    """

    args: Namespace
    cfg: Any
    world: int

    @classmethod
    def of(cls, flags: list[str], data: Path | None = None) -> "Run":
        """Read flags, over those of :data:`USUAL`.

        Raises:
            WrongFlags: fairseq's parser does not take them.
            UserError: they cannot work, or do not say how long or with which batches the run trains.
        """
        flags, world = _without_world(flags)
        given = [str(data or "DATA"), *USUAL, *flags, *HERE]
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                args = options.parse_args_and_arch(options.get_training_parser(), given)
        except SystemExit as error:
            raise WrongFlags(said.getvalue().strip().rpartition("error: ")[2]) from error
        check_arguments(args)
        run = cls(args, convert_namespace_to_omegaconf(args), world)
        run.check()
        return run

    def check(self) -> None:
        """Refuse what no plan can be made of, and what no run can use."""
        if self.task not in CHECKS:
            raise UserError(f"--task {self.task}: a plan is made of {' and '.join(CHECKS)}")
        CHECKS[self.task](self.settings)
        if not self.cfg.dataset.max_tokens and not self.cfg.dataset.batch_size:
            raise UserError("--max-tokens: give it, or --batch-size: they say how large a mini-batch is")
        if not self.cfg.optimization.max_update and not self.cfg.optimization.max_epoch:
            raise UserError(NO_LIMIT)

    @property
    def task(self) -> str:
        """Its name."""
        return self.args.task

    @property
    def settings(self) -> Any:
        """Those of the task."""
        return self.cfg.task

    @property
    def is_many_to_many(self) -> bool:
        return self.task == MANY_TO_MANY

    @property
    def shares_documents(self) -> bool:
        """Whether CLS and MS are one mini-batch."""
        return bool(self.settings.get("share_document_encoding", False))

    @property
    def same_documents(self) -> bool:
        """Whether the MS mini-batches hold the documents of those of CLS."""
        return self.shares_documents or bool(self.settings.get("same_documents", False))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks trained, in their order."""
        return config.parse_tasks(self.settings.tasks)

    @property
    def few_shot(self) -> tuple[float, int]:
        """``--cls-fraction`` and ``--fraction-seed``."""
        return self.settings.get("cls_fraction", 1.0), self.settings.get("fraction_seed", 1)

    @property
    def pretraining(self) -> str:
        """``--pretraining-tasks``, empty without them."""
        return self.settings.get("pretraining_tasks") or ""

    @property
    def marks(self) -> tuple[int, int]:
        """Tokens that the task puts around each source and each target."""
        if self.is_many_to_many:
            place = self.settings.task_tag or ("source" if len(self.tasks) > 1 else "none")
            return int(place == "source"), 0
        tag = (self.settings.task_tag or DEFAULT_TAG_PLACE) == "source"
        language = bool(self.settings.langs)
        return tag + language + self.settings.text_bos, int(language)

    @property
    def halved(self) -> bool:
        """Whether products are of 16 bits."""
        common = self.cfg.common
        return bool(common.fp16 or common.bf16 or common.amp)

    @property
    def tf32(self) -> bool:
        """Whether a GPU may round the factors of float32 products (``--matmul-precision``)."""
        return str(self.settings.matmul_precision) != "highest"

    @property
    def steps_an_update(self) -> int:
        """``--update-freq`` in the long run."""
        return self.cfg.optimization.update_freq[-1]

    def updates(self, in_epoch: int) -> int:
        """Updates of the whole run, with so many in an epoch."""
        limits = (self.cfg.optimization.max_update, self.cfg.optimization.max_epoch * in_epoch)
        return min(limit for limit in limits if limit)

    @property
    def positions(self) -> tuple[int, int]:
        """Tokens at which sources and targets are cut, marks included."""
        return self.settings.max_source_positions, self.settings.max_target_positions

    @cached_property
    def mt5_config(self) -> dict | None:
        """``config.json`` of ``--hf-model``; ``None`` for another architecture.

        Raises:
            UserError: there is no such file.
        """
        if self.args.arch != MT5:
            return None
        if not self.args.hf_model:
            raise UserError("--hf-model: give the folder of an mT5; its config.json alone is read here")
        return read_config(Path(self.args.hf_model), "--hf-model")

    def args_of(self, symbols: int) -> Namespace:
        """Settings of its model with so many symbols."""
        args = Namespace(**vars(self.args))
        if self.mt5_config is not None:
            args.hf_config = json.dumps({**self.mt5_config, "vocab_size": symbols})
        return args


def _without_world(flags: list[str]) -> tuple[list[str], int]:
    """Flags without the number of GPUs, and that number; 1 if not given, however many there are here."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(WORLD, type=int, default=1)
    try:
        own, rest = parser.parse_known_args(flags)
    except ArgumentError as error:
        raise WrongFlags(str(error)) from error
    if own.distributed_world_size < 1:
        raise WrongFlags(f"{WORLD} {own.distributed_world_size}: give at least 1")
    return rest, own.distributed_world_size
