"""The systems that the benchmarks compare, by name; each trains on, and decodes, the same pairs.

``vhm`` and ``mt_ms_cls`` are this project's; ``fairseq`` is fairseq's own Transformer with
``label_smoothed_cross_entropy`` (one embedding for source and target, output layer apart, as in ours).  All
three run in fairseq's trainer.  ``released`` is the VHM authors' code (repository XL2248/VHM), from a folder
that the user names.  A peer that knows no tasks gets the same three mini-batches and sums their losses.
"""

import shlex
import sys
from argparse import Namespace
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol

import torch
from fairseq import options, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.logging import metrics
from fairseq.tasks import setup_task
from fairseq.tasks.translation import TranslationTask
from fairseq.trainer import Trainer
from material import Material
from torch import Tensor

import fairseq_vhm  # noqa: F401  (registers everything)
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS

OURS = {"vhm": [], "mt_ms_cls": ["--latents", "none"]}
NAMES = (*OURS, "fairseq", "released")

BEAM, LENGTH_PENALTY = 4, 0.6
DROPOUT, LABEL_SMOOTHING, WARM_UP = 0.1, 0.1, 8000
RECIPE = f"""
    --dropout {DROPOUT} --label-smoothing {LABEL_SMOOTHING} --optimizer adam --adam-eps 1e-9 --lr 5e-4
    --lr-scheduler inverse_sqrt --warmup-updates {WARM_UP} --num-workers 0 --no-progress-bar
"""
SIZES = {
    "base": {"layers": 6, "width": 512, "inner": 2048, "heads": 8},
    "tiny": {"layers": 2, "width": 64, "inner": 128, "heads": 2},
}
RELEASED_KL_STEPS = 800_000


@dataclass(frozen=True)
class Setting:
    """Where, how large and with which flags the systems run.

    Args:
        data: ``DATA`` with the material.
        size: one of :data:`SIZES`.
        device: ``cpu`` or ``cuda``.
        bf16: whether fairseq's systems compute in it (the released code knows fp32 alone).
        ours, ours_b: flags of this project's systems, and those of the second of a pair besides.
        released: folder of the released code.
    """

    data: Path
    size: str = "base"
    device: str = "cpu"
    bf16: bool = False
    ours: str = ""
    ours_b: str = ""
    released: Path | None = None


class System(Protocol):
    """A model with its loss and optimizer."""

    model: torch.nn.Module

    def update(self, number: int) -> None:
        """Train on the mini-batches of a round."""

    def decode(self, number: int) -> list:
        """The best output for each CLS source of a round, ``length`` words each."""


# ---- fairseq's trainer -------------------------------------------------------------------------


@dataclass
class InTrainer:
    """A system in fairseq's trainer; ``steps`` are the rounds' samples as its task collates them."""

    cfg: object
    task: object
    model: torch.nn.Module
    steps: list[list[dict]]
    length: int
    device: str
    _faster: bool = field(default=False, repr=False)

    @cached_property
    def trainer(self) -> Trainer:
        trainer = Trainer(self.cfg, self.task, self.model, self.task.build_criterion(self.cfg.criterion))
        trainer.begin_epoch(1)
        return trainer

    def update(self, number: int) -> None:
        with metrics.aggregate("train_inner"):
            self.trainer.train_step(self.steps[number])

    @cached_property
    def generator(self):
        """As ``fairseq-generate`` makes it, outputs of ``length`` words."""
        if self.device == "cuda":
            self.model.to("cuda", torch.bfloat16 if self.cfg.common.bf16 else torch.float32)
        self.model.prepare_for_inference_(self.cfg)
        length = {"max_len_a": 0, "max_len_b": self.length, "min_len": self.length}
        flags = Namespace(**vars_of(self.cfg.generation) | length)
        flags.beam, flags.lenpen = BEAM, LENGTH_PENALTY
        return self.task.build_generator([self.model], flags)

    def decode(self, number: int) -> list[Tensor]:
        generator, sample = self.generator, self.cls_batch(number)
        if self.device == "cuda":
            sample = utils.move_to_cuda(sample)
        return [one[0]["tokens"] for one in self.task.inference_step(generator, [self.model], sample)]

    def cls_batch(self, number: int) -> dict:
        """The CLS mini-batch of a round."""
        batches = self.steps[number]
        return batches[0]["mini_batches"][0] if "mini_batches" in batches[0] else batches[0]


def vars_of(config) -> dict:
    """The settings of one group of fairseq's configuration."""
    return {key: config[key] for key in config}


def configured(data: Path, setting: Setting, flags: list[str]):
    """fairseq's configuration for a command line."""
    places = ["--distributed-world-size", "1", *["--cpu"] * (setting.device == "cpu")]
    places += ["--bf16"] if setting.bf16 else []
    parser = options.get_training_parser()
    given = [str(data), *shlex.split(RECIPE), "--adam-betas", "(0.9, 0.998)", *places, *flags]
    return convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, given))


def build_ours(name: str, flags: str, setting: Setting, material: Material, length: int) -> InTrainer:
    """A system of this project's with some flags more."""
    arch = "vhm_transformer" + ("_tiny" if setting.size == "tiny" else "")
    fixed = ["--task", "cross_lingual_summarization", "--arch", arch, "--criterion", "elbo"]
    given = [*fixed, "--batch-size", str(material.shape.sentences), *OURS[name], *shlex.split(flags)]
    cfg = configured(setting.data, setting, given)
    task = setup_task(cfg.task)
    model = task.build_model(cfg.model)
    steps = [[step] for step in material.steps(task)]
    return InTrainer(cfg, task, model, steps, length, setting.device)


def build_fairseq(setting: Setting, material: Material, length: int) -> InTrainer:
    """fairseq's Transformer on the mini-batches of ``vhm``, without the name of their task."""
    given = ["--task", "translation", "-s", "en", "-t", "zh", "--arch", "transformer"]
    given += ["--criterion", "label_smoothed_cross_entropy", "--batch-size", str(material.shape.sentences)]
    given += ["--update-freq", str(len(TASKS)), *_sides(SIZES[setting.size])]
    cfg = configured(setting.data, setting, given)
    plain = build_plain_task(setting)
    task = TranslationTask(cfg.task, plain.source_dictionary, plain.target_dictionary)
    model = task.build_model(cfg.model)
    model.decoder.embed_tokens = model.encoder.embed_tokens
    steps = [[_without_task(batch) for batch in step["mini_batches"]] for step in material.steps(plain)]
    return InTrainer(cfg, task, model, steps, length, setting.device)


def build_plain_task(setting: Setting):
    """This project's task without any flag, whose batches the peers get; a model tells it what to load."""
    given = ["--task", "cross_lingual_summarization", "--arch", "vhm_transformer_tiny", "--criterion", "elbo"]
    cfg = configured(setting.data, setting, given)
    task = setup_task(cfg.task)
    task.build_model(cfg.model)
    return task


def _sides(size: dict[str, int]) -> list[str]:
    flags = []
    for side in ("encoder", "decoder"):
        flags += [f"--{side}-layers", size["layers"], f"--{side}-embed-dim", size["width"]]
        flags += [f"--{side}-ffn-embed-dim", size["inner"], f"--{side}-attention-heads", size["heads"]]
        flags.append(f"--{side}-normalize-before")
    return list(map(str, flags))


def _without_task(batch: dict) -> dict:
    names = ("src_tokens", "src_lengths", "prev_output_tokens")
    kept = {key: batch[key] for key in ("id", "nsentences", "ntokens", "target")}
    return kept | {"net_input": {name: batch["net_input"][name] for name in names}}


# ---- the released code -------------------------------------------------------------------------

UNK, PAD, BOS, RELEASED_EOS, MS, MT, CLS = range(7)
TAGS = {"cls": CLS, "mt": MT, "ms": MS}
NUMBERS = {"mt": 1, "ms": 2, "cls": 3}


class Released:
    """The released model, its loss and its Adam, stepped as its ``train.py`` steps them.

    Its symbols are seven and the words, as many as ours; a source is tag, BOS, words, EOS and pads behind.
    """

    def __init__(self, setting: Setting, material: Material, length: int):
        if setting.size != "base":
            raise UserError(f"--size {setting.size}: the released code is written for base")
        NMTModel, WarmAdam, LabelSmoothingLoss, self.beam_search = import_released(setting.released)
        size, symbols = SIZES["base"], material.shape.vocabulary
        flags = {"layers": size["layers"], "heads": size["heads"], "hidden_size": size["width"]}
        flags |= {"ff_size": size["inner"], "dropout": DROPOUT, "latent_dim": 128, "train_from": None}
        opt = Namespace(**flags, share_source_target_embedding=True)
        pads, sizes = ({key: one for key in ("src", "task1_tgt")} for one in (PAD, symbols))
        self.model = NMTModel.load_model(opt, pads, sizes).to(setting.device)
        decoder = self.model.task1_decoder
        decoder.zero_mask = decoder.zero_mask.bool()  # torch no longer masks by bytes
        self.loss = LabelSmoothingLoss(LABEL_SMOOTHING, symbols, PAD)
        self.optimizer = WarmAdam(self.model.parameters(), 1.0, size["width"], WARM_UP, 1)
        self.rounds = [released_batches(material, r, setting.device) for r in material.rounds]
        self.search = Namespace(
            beam_size=BEAM, length_penalty=LENGTH_PENALTY, min_length=length, max_length=length + 1
        )

    def update(self, number: int) -> None:
        self.model.train()
        weight = min(self.optimizer.n_step / RELEASED_KL_STEPS, 1.0)
        for task, source, target in self.rounds[number]:
            scores, kl = self.model(source, target, task, True)
            loss = self.loss(scores, target) + weight * kl
            loss.backward()
        self.optimizer.step()
        self.model.zero_grad()

    def decode(self, number: int) -> list[Tensor]:
        self.model.eval()
        field = SimpleNamespace(pad_id=PAD, bos_id=BOS, eos_id=RELEASED_EOS)
        task, source, _ = self.rounds[number][0]
        with torch.no_grad():
            return self.beam_search(self.search, self.model, source, {"src": field, "task3_tgt": field}, task)


def import_released(folder: Path | None) -> tuple:
    """The parts of the released code that are measured, from a clone of it.

    Raises:
        UserError: no folder is given, or it is another's.
    """
    if folder is None:
        raise UserError("released: give --released PATH, a clone of https://github.com/XL2248/VHM")
    if not (folder / "beaver" / "model" / "nmt_model.py").is_file():
        raise UserError(f"--released {folder}: not a clone of https://github.com/XL2248/VHM")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    from beaver.infer import beam_search
    from beaver.loss import LabelSmoothingLoss, WarmAdam
    from beaver.model import NMTModel

    return NMTModel, WarmAdam, LabelSmoothingLoss, beam_search


def released_batches(material: Material, number: int, device: str) -> list[tuple[int, Tensor, Tensor]]:
    """The mini-batches of a round: the task's number, sources and targets (B x T) in that code's numbers."""
    rows = material.rows(number)
    return [
        (
            NUMBERS[task],
            _padded(material.texts[task][0][rows], [TAGS[task], BOS]).to(device),
            _padded(material.texts[task][1][rows], [BOS]).to(device),
        )
        for task in TASKS
    ]


def _padded(texts: list, before: list[int]) -> Tensor:
    """Texts in the released code's numbers; its words come three after ours."""
    rows = [[*before, *(text + len(TASKS)).tolist(), RELEASED_EOS] for text in texts]
    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


# ---- by name -----------------------------------------------------------------------------------


def build(name: str, setting: Setting, material: Material, length: int = 20, second: bool = False) -> System:
    """A system; one of ours that is the ``second`` of its pair also gets the flags of ``--ours-b``.

    Raises:
        UserError: the system cannot be had as asked.
    """
    if name == "released":
        return Released(setting, material, length)
    if name == "fairseq":
        return build_fairseq(setting, material, length)
    flags = f"{setting.ours} {setting.ours_b}" if second else setting.ours
    return build_ours(name, flags, setting, material, length)


def parameters(system: System) -> int:
    """Learned numbers of a system's model, each once."""
    return sum(parameter.numel() for parameter in system.model.parameters())
