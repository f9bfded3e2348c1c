"""What the tasks share: steps of several mini-batches, their seeds, validation, draws of the latents."""

import fileinput
import logging
import math
import sys
import zlib
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from fairseq import utils
from fairseq.data.iterators import EpochBatchIterator
from fairseq.optim.amp_optimizer import AMPOptimizer
from fairseq.tasks import FairseqTask
from torch import Tensor

from fairseq_vhm.compat.position import ResumableIterator
from fairseq_vhm.data.languages import MarkedDictionary
from fairseq_vhm.data.pairs import Batching
from fairseq_vhm.errors import UserError
from fairseq_vhm.generation.draws import latent_noise, merge_draws
from fairseq_vhm.latent import LATENTS, AggressiveInference
from fairseq_vhm.names import DICTIONARY_DIGEST, SOURCE_LENGTH
from fairseq_vhm.tasks.evaluation import GenerationMetrics
from fairseq_vhm.tasks.non_finite import NonFinite, as_nan_where_not_finite
from fairseq_vhm.tasks.trained_on import check_trained_on

logger = logging.getLogger(__name__)


class MiniBatchTask(FairseqTask):
    """A task whose training steps hold ``{"mini_batches": [...]}``, each of one task and a stream's place.

    ``cfg`` has ``seed``, ``latent_inference``, ``latent_samples``, ``eval_print_samples``,
    ``aggressive_inference``, ``aggressive_until``, ``non_finite``, ``non_finite_limit`` and ``eval_task``.
    """

    architectures = "--arch vhm_transformer, with --latents none for a model without latents"
    """Those that read the task's batches, for who names another."""

    eval_task_flag = "--eval-task"
    """By which a user says what to decode for."""
    always_trained: tuple[str, ...] = ()
    """Tasks that a model may have learned though ``--tasks`` does not name them."""

    generation_metrics: GenerationMetrics | None = None
    latent_sizes: dict[str, int]
    extra_losses: tuple[str, ...]
    marks_of_checkpoint: Any = None
    source_length_known = False
    interactive_lines = 0

    dictionary: MarkedDictionary
    tasks: tuple[str, ...]
    streams: tuple[str, ...]

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        self.checkpoints: list[Namespace] = []  # settings of models that nothing is decoded with yet
        self.non_finite = NonFinite(str(cfg.non_finite), cfg.non_finite_limit, self.as_in_training)

    @property
    def source_dictionary(self) -> MarkedDictionary:
        return self.dictionary

    @property
    def target_dictionary(self) -> MarkedDictionary:
        return self.dictionary

    def max_positions(self) -> tuple[int, int]:
        return self.cfg.max_source_positions, self.cfg.max_target_positions

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model; one that does not read batches that name their task is refused."""
        if from_checkpoint:
            self.check_dictionary(vars(cfg))
            self.agree_on_source_length(getattr(cfg, SOURCE_LENGTH, self.source_length_of_old(cfg)))
            self.checkpoints.append(cfg)
        else:
            setattr(cfg, DICTIONARY_DIGEST, self.dictionary.digest)
            setattr(cfg, SOURCE_LENGTH, self.cfg.max_source_positions)
        model = super().build_model(cfg, from_checkpoint)
        if not hasattr(model, "latent_sizes"):
            raise UserError(
                f"--arch {getattr(cfg, 'arch', cfg._name)} does not read batches that name their task: use "
                f"{self.architectures}"
            )
        self.latent_sizes, self.extra_losses = model.latent_sizes, model.extra_losses
        return model

    def check_dictionary(self, trained: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of other symbols, which may be as many; older ones do not say of which.

        Args:
            trained: its model's settings.
        """
        if trained.get(DICTIONARY_DIGEST) not in (None, self.dictionary.digest):
            raise UserError(
                f"{self.cfg.data}: its dictionary holds other symbols than the one that the checkpoint was "
                "trained with: give the DATA that it was trained on, or one prepared with its --spm (and "
                "--dict)"
            )

    def source_length_of_old(self, trained: Any) -> int | None:
        """Where a checkpoint that does not say it cut its sources, as far as its model's settings tell."""
        return None

    def agree_on_source_length(self, limit: int | None) -> None:
        """Cut sources where the checkpoint's were, or sooner where the command line says so.

        Of an ensemble's checkpoints the least counts.
        """
        if limit is None:
            return
        asked = any(argument.split("=")[0] == "--max-source-positions" for argument in sys.argv[1:])
        if asked or self.source_length_known:
            limit = min(limit, self.cfg.max_source_positions)
        self.source_length_known = True
        self.cfg.max_source_positions = limit

    def check_ensemble(self, marks: Any) -> None:
        """Refuse a checkpoint whose texts had other marks around them than those of the one before it."""
        if self.marks_of_checkpoint not in (None, marks):
            raise UserError(
                "--path: its checkpoints were trained with different --task-tag, --text-bos or --langs, and "
                "no source can have the marks of both: decode with each alone, or with those that agree"
            )
        self.marks_of_checkpoint = marks

    def check_latents_are_trained(self) -> None:
        """Refuse a latent whose task no mini-batch is of."""
        trained = [name for name in self.latent_sizes if LATENTS[name].task in self.streams]
        for name in self.latent_sizes:
            if name not in trained:
                task = LATENTS[name].task
                raise UserError(
                    f"--latents: z_{name} is trained on {task.upper()} batches, but --tasks is "
                    f"{','.join(self.tasks)}: add {task} to --tasks, or give --latents "
                    f"{','.join(trained) or 'none'}"
                )

    @property
    def aggressive(self) -> AggressiveInference:
        return AggressiveInference(self.cfg.aggressive_inference, self.cfg.aggressive_until)

    def build_criterion(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the criterion; one that does not know what the model puts out is refused."""
        criterion = super().build_criterion(cfg, from_checkpoint)
        if self.aggressive.until and not self.latent_sizes:
            raise UserError("--aggressive-inference trains posteriors, and --latents none has none: drop it")
        if self.latent_sizes and not hasattr(criterion, "kl_weight"):
            raise UserError(
                f"--criterion {cfg._name} never trains the latents {','.join(self.latent_sizes)}: "
                "use --criterion elbo, or --latents none"
            )
        if self.extra_losses and not hasattr(criterion, "kl_weight"):
            raise UserError(
                f"--criterion {cfg._name} leaves out the model's {', '.join(self.extra_losses)}: "
                "use --criterion elbo"
            )
        self._check_best_metric(criterion)
        return criterion

    def _check_best_metric(self, criterion: Any) -> None:
        """Refuse to choose checkpoints by what no validation computes, before an epoch has been trained.

        Criterions and tasks of plugins that log by themselves are not asked.
        """
        of_criterion = criterion.logged() if hasattr(criterion, "logged") else None
        if of_criterion is None or type(self).reduce_metrics is not MiniBatchTask.reduce_metrics:
            return
        names = [*of_criterion, *(self.generation_metrics.names if self.generation_metrics else ())]
        if (metric := self.cfg.best_checkpoint_metric) not in names:
            more = ", or add --eval-metrics" if hasattr(self.cfg, "eval_metrics") else ""
            raise UserError(
                f"--best-checkpoint-metric {metric}: validation does not compute it; choose from "
                f"{', '.join(names)}{more}"
            )

    @staticmethod
    def batching_of(settings: dict) -> Batching:
        """The limits of mini-batches in fairseq's settings of an iterator."""
        return Batching(
            settings.get("max_tokens"),
            settings.get("max_sentences"),
            settings.get("required_batch_size_multiple", 1),
            settings.get("seed", 1),
        )

    @staticmethod
    def iterator_over(
        dataset: Any,
        batches: Any,
        settings: dict,
        kind: Callable[..., EpochBatchIterator] = EpochBatchIterator,
    ) -> EpochBatchIterator:
        """fairseq's iterator over batches in the order given, or given for each epoch by a function."""
        return kind(
            dataset=dataset,
            collate_fn=dataset.collater,
            batch_sampler=batches,
            seed=settings.get("seed", 1),
            num_shards=settings.get("num_shards", 1),
            shard_id=settings.get("shard_id", 0),
            num_workers=settings.get("num_workers", 0),
            epoch=settings.get("epoch", 1),
            buffer_size=settings.get("data_buffer_size", 0),
            disable_shuffling=True,
            persistent_workers=False,  # an iterator lives for one epoch; idle workers would delay its end
        )

    @classmethod
    def iterator_over_plan(cls, steps: Any, plan: Any, settings: dict) -> EpochBatchIterator:
        """An iterator over the steps of a plan, which goes on within an epoch on any number of ranks."""
        kind = partial(ResumableIterator, steps_per_update=plan.steps_per_update)
        return cls.iterator_over(steps, lambda _, epoch: plan.steps(epoch), settings, kind)

    @staticmethod
    def check_fits(parts: Mapping, max_tokens: int | None, flag: str) -> None:
        """Refuse a limit that the longest pair of a task is beyond."""
        for task, pairs in parts.items():
            longest = int(pairs.num_tokens_vec(pairs.ordered_indices()).max())
            if max_tokens and longest > max_tokens:
                raise UserError(
                    f"{flag} {max_tokens}: the longest pair of {task} has {longest} tokens; raise it, or "
                    "lower --max-source-positions and --max-target-positions to cut longer texts"
                )

    def train_step(
        self,
        sample: dict,
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
    ) -> Any:
        """Forward and backward of each mini-batch of a step; losses and sample sizes are summed.

        Dropout and the latents' noise are seeded by the mini-batch's place in its stream: they depend
        neither on the number of ranks nor on what was computed before.  Gradients are exchanged between the
        ranks once, with the last mini-batch; so ranks may have different numbers of them.
        """
        model.train()
        model.set_num_updates(update_num)
        total_loss, total_size, logs = 0.0, 0, []
        *others, last = sample["mini_batches"]
        for batch in (*others, last):
            alone = nullcontext() if batch is last else _without_exchange(model)
            with alone, self.as_in_training(batch, optimizer):
                loss, size, log = criterion(model, batch)
                if ignore_grad:
                    loss = loss * 0
                optimizer.backward(as_nan_where_not_finite(loss))
            total_loss, total_size = total_loss + loss.detach(), total_size + size
            logs.append(log)
        return total_loss, total_size, _summed(logs)

    @contextmanager
    def as_in_training(self, batch: dict, optimizer: Any) -> Iterator[None]:
        """In it, a mini-batch meets the dropout, the noise and the precision of its update.

        With ``--amp`` that is autocast to float16, on a CPU to bfloat16.
        """
        utils.set_torch_seed(self._seed_of(batch))
        device, mixed = batch["target"].device.type, isinstance(optimizer, AMPOptimizer)
        with torch.autocast(device, enabled=mixed), float32_products(self.cfg.matmul_precision):
            yield

    def _seed_of(self, batch: dict) -> int:
        return zlib.crc32(f"{self.cfg.seed} {batch['stream']} {batch['position']}".encode())

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:
        """Update; a latent's network that is idle in this update has a gradient of zero.

        One process leaves such gradients ``None`` and its optimizer skips them; legacy_ddp and fp16
        fill in zeros.  Zeros everywhere make all of them one algorithm.
        """
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.aggressive.keep(model.named_parameters(), update_num)
        self.non_finite.in_a_row = 0
        super().optimizer_step(optimizer, model, update_num)

    def valid_step(self, sample: dict, model: Any, criterion: Any) -> Any:
        """Loss with the latents drawn from their posteriors under a fixed seed; ROUGE and BLEU if asked."""
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices):
            utils.set_torch_seed(self.cfg.seed)
            loss, size, log = super().valid_step(sample, model, criterion)
            self.non_finite.remember(sample, log)
            if self.generation_metrics is not None:
                log |= self._generate_and_score(sample, model)
        return loss, size, log

    def post_validate(self, model: Any, stats: dict, agg: Any) -> None:
        """A validation loss that is not finite stops the run, or is the worst of all."""
        metric = self.cfg.best_checkpoint_metric
        if self.non_finite.in_validation(stats["loss"]) and not math.isfinite(stats[metric]):
            stats[metric] = -math.inf if self.cfg.maximize_best_checkpoint_metric else math.inf

    def _generate_and_score(self, sample: dict, model: Any) -> dict:
        if sample["net_input"]["task"] != "cls":
            return self.generation_metrics.empty()  # type: ignore[union-attr]  # there are some
        hypos = self.inference_step(self.validation_generator, [model], sample)
        scored = self.generation_metrics.score  # type: ignore[union-attr]  # likewise
        return scored(hypos, sample["target"], self.cfg.eval_print_samples)

    def reduce_metrics(self, logging_outputs: list[dict], criterion: Any) -> None:
        super().reduce_metrics(logging_outputs, criterion)
        if self.generation_metrics is not None:
            self.generation_metrics.reduce(logging_outputs)
        if criterion.training:
            self.non_finite.log()
        if criterion.training and hasattr(criterion, "collapse_watch"):
            criterion.collapse_watch.update(logging_outputs)

    def build_generator(self, models: Any, args: Any, **settings: Any) -> Any:
        """fairseq's generator, of models that know the task; for alignments they hand out their attention."""
        for trained in self.checkpoints:
            check_trained_on(str(self.cfg.eval_task), trained, self.eval_task_flag, self.always_trained)
        self.checkpoints.clear()
        if getattr(args, "print_alignment", False):
            for decoder in (module for model in models for module in model.modules()):
                if hasattr(decoder, "returns_attention"):
                    decoder.returns_attention = True
        return super().build_generator(models, args, **settings)

    def check_line(self, text: str) -> None:
        """Refuse a line that ``fairseq-interactive`` would misread without a word; at a prompt, warn.

        Raises:
            UserError: the line is empty or not UTF-8.
        """
        self.interactive_lines += 1
        problem = problem_of(text)
        if problem and not _at_a_prompt():
            raise UserError(f"input line {self.interactive_lines}: {problem}")
        if problem:
            logger.warning(f"{problem}: the output is invented")

    def say_cut_lines(self, cut: int, lines: int) -> None:
        """Warn of lines that the model does not see the end of."""
        if cut:
            longest = self.cfg.max_source_positions
            logger.warning(
                f"{cut:,} of {lines:,} lines longer than {longest:,} tokens were cut there "
                "(--max-source-positions)"
            )

    def decode(
        self,
        generator: Any,
        models: Any,
        sample: dict,
        start: Any,
        prefix_tokens: Any = None,
        constraints: Any = None,
    ) -> Any:
        """Decode a batch with the mean of its latents' priors, or with K draws (best score first).

        Args:
            start: what the decoder starts with: an id, one for each row of beams, or ``None`` for EOS.
        """
        draws = []
        for noise in self._noise_of_draws(models, sample["net_input"]["src_tokens"]):
            net_input = {**sample["net_input"], "latent_noise": noise}
            with torch.no_grad():
                hypos = generator.generate(
                    models,
                    {**sample, "net_input": net_input},
                    prefix_tokens=prefix_tokens,
                    constraints=constraints,
                    **({} if start is None else {"bos_token": start}),
                )
            draws.append(hypos)
        return draws[0] if len(draws) == 1 else merge_draws(draws)

    def _noise_of_draws(self, models: Any, src_tokens: Any) -> Iterator[dict[str, Tensor] | None]:
        """One noise for each draw; ``None`` stands for the mean."""
        sizes: dict[str, int] = {}
        for model in models:
            for name, size in getattr(model, "latent_sizes", {}).items():
                sizes[name] = max(size, sizes.get(name, 0))
        if self.cfg.latent_inference == "mean" or not sizes:
            yield None
            return
        for draw in range(self.cfg.latent_samples):
            yield latent_noise(src_tokens, self.target_dictionary.pad(), sizes, self.cfg.seed, draw)


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """In it float32 matrix products are as exact as torch means by ``highest``, ``high`` or ``medium``.

    Parameters, gradients and all that is no product (softmax, norms, KL, the optimizer) stay in float32.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(str(precision))  # a choice of fairseq's flags is no plain text
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _at_a_prompt() -> bool:
    """Whether lines are typed, rather than read off a pipe or the file of ``--input``."""
    try:
        from_stdin = fileinput.isstdin()
    except RuntimeError:  # nobody reads by it: lines of Python
        from_stdin = True
    return from_stdin and sys.stdin is not None and sys.stdin.isatty()


def problem_of(line: str) -> str | None:
    """What is wrong with a line of text that is to be summarised."""
    if not line.strip():
        return "empty; remove the line or give it some text"
    if "\ufffd" in line or any("\ud800" <= c <= "\udfff" for c in line):
        return "not UTF-8; convert the file, for instance with iconv"
    return None


def _without_exchange(model: Any) -> AbstractContextManager:
    """In it a model of several ranks (fairseq's wrappers of DDP) keeps its gradients to itself."""
    return model.no_sync() if hasattr(model, "no_sync") else nullcontext()


def _summed(logs: list[dict]) -> dict:
    """Logging outputs of the mini-batches of a step, added up."""
    return {key: sum(log[key] for log in logs) for key in logs[0]}
