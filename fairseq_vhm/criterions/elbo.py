"""The evidence lower bound: token NLL plus the weighted KL of the latents (Liang et al. 2022, Eq. 9-11).

Units: losses as fairseq logs them (base 2, a token), each KL in nats a sentence.
"""

import argparse
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.dataclass import ChoiceEnum
from fairseq.logging import metrics
from torch import Tensor

from fairseq_vhm.criterions.collapse import CollapseWatch
from fairseq_vhm.criterions.faults import Fault, first_fault, watched
from fairseq_vhm.errors import UserError
from fairseq_vhm.latent import LATENTS, ExtraLoss, KLSchedule, LatentBundle, free_bits
from fairseq_vhm.latent.annealing import KL_SCHEDULES
from fairseq_vhm.modules.token_loss import Summed, TokenLoss
from fairseq_vhm.names import PRETRAINING_TASKS, TASKS

KL_NORMALIZATIONS = ("sum", "released")
ACTIVE_UNIT_VARIANCE = 0.01  # Burda et al. (2016), section 5: Var_x(E_q[z]) > 0.01
EXTRA_LOSS = "extra_loss_"  # in the keys of logging outputs, before the name of a loss of the model's


@dataclass
class ElboCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    """Flags of ``--criterion elbo``."""

    kl_schedule: ChoiceEnum(KL_SCHEDULES) = field(  # type: ignore[valid-type]  # read by fairseq
        default="linear", metadata={"help": "how the weight of the KL rises"}
    )
    kl_anneal_steps: int = field(
        default=400_000, metadata={"help": "updates until the weight of the KL is at its maximum"}
    )
    kl_max_weight: float = field(default=1.0, metadata={"help": "maximum weight of the KL"})
    free_bits: float = field(
        default=0.0, metadata={"help": "nats of each latent's KL, a sentence, that cost nothing"}
    )
    local_kl: bool = field(
        default=False,
        metadata={"help": "charge the KL of z_mt, z_ms on CLS batches too: a bound on p(Y_cls | X_cls)"},
    )
    kl_normalization: ChoiceEnum(KL_NORMALIZATIONS) = field(  # type: ignore[valid-type]  # read by fairseq
        default="sum",
        metadata={
            "help": "sum: KL and NLL are both summed over the batch and divided alike; released: mean "
            "KL a sentence against mean NLL a token, as in the released code (and by --released-code-compat)"
        },
    )
    loss_chunk: int = field(
        default=256,
        metadata={
            "help": "output projection and loss in one pass, with the logits of so many tokens at once: less "
            "memory and time, the same loss; 0: all logits of a batch, as fairseq"
        },
    )


@register_criterion("elbo", dataclass=ElboCriterionConfig)
class ElboCriterion(LabelSmoothedCrossEntropyCriterion):
    """Negative ELBO of a model whose extra outputs hold a :class:`LatentBundle` as ``latents``.

    What the model hands out as ``losses`` (:mod:`fairseq_vhm.latent.losses`) is added and logged by name.
    In training the KL has the schedule's weight at the current update; in validation it has
    ``--kl-max-weight`` throughout, so that validation losses can be compared along a run.
    """

    @classmethod
    def add_args(cls, parser: Any) -> None:
        """Add the flags; what ``--released-code-compat`` sets too is in the arguments only if it is given."""
        parser.add_argument(
            "--kl-normalization",
            choices=KL_NORMALIZATIONS,
            default=argparse.SUPPRESS,
            help=ElboCriterionConfig.__dataclass_fields__["kl_normalization"].metadata["help"],
        )
        super().add_args(parser)  # fairseq leaves a flag as it is that is there

    def __init__(
        self,
        task: Any,
        sentence_avg: Any,
        label_smoothing: Any,
        ignore_prefix_size: Any,
        report_accuracy: Any,
        kl_schedule: Any,
        kl_anneal_steps: Any,
        kl_max_weight: Any,
        free_bits: Any,
        local_kl: Any,
        kl_normalization: Any,
        loss_chunk: Any,
    ) -> None:
        super().__init__(task, sentence_avg, label_smoothing, ignore_prefix_size, report_accuracy)
        if kl_normalization == "released" and sentence_avg:
            raise UserError(
                "--kl-normalization released weighs a mean KL a sentence against a mean NLL a token, "
                "which --sentence-avg does not take: drop it, or give --kl-normalization sum"
            )
        if min(kl_anneal_steps, kl_max_weight, free_bits) < 0:
            raise UserError("--kl-anneal-steps, --kl-max-weight and --free-bits must not be negative")
        if loss_chunk < 0:
            raise UserError(f"--loss-chunk {loss_chunk} must not be negative; 0 switches it off")
        self.loss_chunk = loss_chunk
        self.schedule = KLSchedule(str(kl_schedule), kl_anneal_steps, kl_max_weight)
        self.free_bits = free_bits
        self.local_kl = local_kl
        self.kl_normalization = kl_normalization
        self.collapse_watch = CollapseWatch()
        self.streams = getattr(task, "streams", TASKS)
        self.latents = tuple(getattr(task, "latent_sizes", ()))
        self.extra_losses = tuple(getattr(task, "extra_losses", ()))

    def forward(self, model: Any, sample: dict, reduce: bool = True) -> Any:
        """Loss, sample size and logging outputs of one mini-batch of one task.

        A ``partner`` in the sample is another task's mini-batch of the same documents, which are encoded
        once for both; losses, sizes and logs are their sums.
        """
        options: dict[str, Any] = {}
        in_chunks = self.loss_chunk and reduce and not self.report_accuracy
        if in_chunks and getattr(model, "takes_token_loss", False):
            options["token_loss"] = self._token_loss
        net_output, partner = self._put_out(model, sample, options)
        loss, size, log = self._of_task(model, sample, net_output, reduce)
        if partner is not None:
            more = self._of_task(model, partner, net_output[1]["partner"], reduce)
            loss, size = loss + more[0], size + more[1]
            log = {key: value + more[2][key] for key, value in log.items()}
        return loss, size, log

    @property
    def _token_loss(self) -> TokenLoss:
        chunk = self.loss_chunk or ElboCriterionConfig.loss_chunk
        return TokenLoss(self.eps, self.padding_idx, chunk, self.ignore_prefix_size)

    @staticmethod
    def _put_out(model: Any, sample: dict, options: dict) -> tuple[tuple, dict | None]:
        """What the model puts out on a sample, and the sample's partner."""
        partner = sample.get("partner")
        if partner is not None:
            options = {**options, "partner": {**partner["net_input"], "target": partner["target"]}}
        return model(**sample["net_input"], target=sample["target"], **options), partner

    @torch.no_grad()
    def fault(self, model: Any, sample: dict) -> tuple[dict, Fault] | None:
        """The first term of a mini-batch that is not finite, and the sample (or its partner) that it is of.

        It draws the random numbers that :meth:`forward` draws, and keeps no gradient.
        """
        options: dict[str, Any] = {}
        if getattr(model, "takes_token_loss", False):
            options["token_loss"] = self._token_loss.by_sentence
        with watched(model) as modules:
            net_output, partner = self._put_out(model, sample, options)
        outputs = [(sample, net_output)]
        if partner is not None:
            outputs.append((partner, net_output[1]["partner"]))
        for one, (out, extra) in outputs:
            token_loss = self._loss_of_sentences(model, one, (out, extra))
            if fault := first_fault(extra["latents"], token_loss, extra.get("losses", {})):
                return one, fault.beginning_in(modules)
        return None

    def _loss_of_sentences(self, model: Any, sample: dict, net_output: tuple) -> Tensor:
        """The NLL (B) with its label smoothing."""
        if isinstance(net_output[0], Summed):
            return net_output[0].loss
        loss, _ = self.compute_loss(model, net_output, sample, reduce=False)
        return loss.view(len(sample["target"]), -1).sum(dim=1)

    def _of_task(self, model: Any, sample: dict, net_output: tuple, reduce: bool) -> Any:
        """:meth:`forward` of what the model put out on a sample."""
        if isinstance(net_output[0], Summed):
            loss, nll_loss = net_output[0]
        else:
            loss, nll_loss = self.compute_loss(model, net_output, sample, reduce=reduce)
        task, latents = sample["net_input"]["task"], net_output[1]["latents"]
        weight = self.kl_weight(model)
        kls = {name: latents[name].kl() for name in self.charged(latents, task)}
        loss = loss + weight * self._kl_scale(sample) * self._penalty(kls, loss)
        loss = loss + self._nothing_of_the_rest(latents, kls, loss)
        extra_losses = net_output[1].get("losses", {})
        loss = loss + sum(extra.weighted() for extra in extra_losses.values())
        sample_size = sample["nsentences"] if self.sentence_avg else sample["ntokens"]
        log = {
            "loss": loss.data,
            "nll_loss": nll_loss.data,
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
            "sample_size": sample_size,
        }
        log |= self._log_of_task(log, task)
        log |= self._log_of_latents(kls, latents, model.latent_sizes, nll_loss)
        log |= self._log_of_extra_losses(extra_losses, model.extra_losses, nll_loss)
        log |= {"kl_weight": weight, "batches": 1}
        if self.report_accuracy:
            log["n_correct"], log["total"] = self.compute_accuracy(model, net_output, sample)
        return loss, sample_size, log

    def kl_weight(self, model: Any) -> float:
        """lambda: the schedule's at the model's update in training, its maximum in validation."""
        return self.schedule.weight(model.num_updates) if model.training else self.schedule.max_weight

    def charged(self, latents: LatentBundle, task: str) -> tuple[str, ...]:
        """The latents whose KL counts on this task.

        Those that enter its decoder and the task's own; with ``--local-kl`` also those that only feed
        z_cls.
        """
        return tuple(
            name
            for name in latents.with_kl()
            if self.local_kl or LATENTS[name].task == task or name in latents.decoder_latents
        )

    def _penalty(self, kls: dict[str, Tensor], like: Tensor) -> Tensor:
        """Sum over sentences and latents, in nats, of what exceeds the free bits' floor."""
        return sum((free_bits(kl, self.free_bits).sum() for kl in kls.values()), like.new_zeros(()))

    @staticmethod
    def _nothing_of_the_rest(latents: LatentBundle, kls: dict[str, Tensor], like: Tensor) -> Tensor:
        """0 times the KL that is not charged: torch's DDP waits for a gradient of all that is put out."""
        rest = (v.kl().sum() for name, v in latents.with_kl().items() if name not in kls)
        return 0.0 * sum(rest, like.new_zeros(()))

    def _kl_scale(self, sample: dict) -> float:
        released = self.kl_normalization == "released"
        return sample["ntokens"] / sample["nsentences"] if released else 1.0

    def _log_of_task(self, log: dict, task: str) -> dict:
        """The same sums again for each task of this run.

        The other tasks get zeros of the same kind, since ranks that meet different tasks in the same
        validation step must send the same keys from the same device; also where this task's loss is NaN.
        """
        sums = {key: log[key] for key in ("loss", "nll_loss", "ntokens", "sample_size")}
        zeros = {key: torch.zeros_like(sums[key]) if key in ("loss", "nll_loss") else 0 for key in sums}
        shares = {stream: sums if stream == task else zeros for stream in self.streams}
        return {f"{key}_{stream}": share[key] for stream, share in shares.items() for key in share}

    def _log_of_latents(
        self, kls: dict[str, Tensor], latents: LatentBundle, sizes: dict[str, int], like: Tensor
    ) -> dict:
        """KL sums and, in validation, the moments of the posterior means (for active units)."""
        log: dict = {}
        for name, size in sizes.items():
            charged = name in kls
            log[f"kl_{name}"] = kls[name].sum().data if charged else like.new_zeros(())
            log[f"kl_{name}_sentences"] = kls[name].numel() if charged else 0
            if not self.training:
                mean = like.new_zeros(1, size, dtype=torch.double)
                if charged:
                    mean = latents[name].posterior.mean.double()  # type: ignore[union-attr]  # it has a KL
                log[f"au_{name}_sum"] = mean.sum(dim=0)
                log[f"au_{name}_squares"] = (mean**2).sum(dim=0)
        return log

    @staticmethod
    def _log_of_extra_losses(losses: dict[str, ExtraLoss], names: tuple[str, ...], like: Tensor) -> dict:
        """Sums of each of the model's losses, in this batch or not, and the sentences they are of."""
        log: dict = {}
        for name in names:
            values = losses[name].values.data if name in losses else like.new_zeros(0)
            log[f"{EXTRA_LOSS}{name}"] = values.float().sum()
            log[f"{EXTRA_LOSS}{name}_sentences"] = values.numel()
        return log

    def logged(self) -> list[str] | None:
        """The names of all that validation logs; ``None`` where a subclass may log more."""
        if type(self).reduce_metrics.__func__ is not ElboCriterion.reduce_metrics.__func__:  # type: ignore[attr-defined]
            return None
        of_tasks = [f"{name}_{task}" for name in ("loss", "nll_loss") for task in self.streams]
        of_latents = [f"{name}_{latent}" for name in ("kl", "au") for latent in self.latents]
        accuracy = ["accuracy"] if self.report_accuracy else []
        return ["loss", "nll_loss", "ppl", *accuracy, *of_tasks, "kl_weight", *of_latents, *self.extra_losses]

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict]) -> None:
        """Aggregate the sums above over ranks and micro-batches into fairseq's meters."""
        super().reduce_metrics(logging_outputs)

        def total(key: str) -> Any:
            return sum(log.get(key, 0) for log in logging_outputs)

        for task in (*TASKS, *PRETRAINING_TASKS):
            if tokens := total(f"ntokens_{task}"):
                size = total(f"sample_size_{task}")
                loss, nll = total(f"loss_{task}"), total(f"nll_loss_{task}")
                metrics.log_scalar(f"loss_{task}", loss / size / math.log(2), size, round=3)
                metrics.log_scalar(f"nll_loss_{task}", nll / tokens / math.log(2), tokens, round=3)
        batches = total("batches")
        metrics.log_scalar("kl_weight", total("kl_weight") / batches, batches, round=4)
        for key in [key for log in logging_outputs[:1] for key in log if key.startswith(EXTRA_LOSS)]:
            if sentences := total(f"{key}_sentences"):
                name = key.removeprefix(EXTRA_LOSS)
                metrics.log_scalar(name, total(key) / sentences, sentences, round=4)
        for name in LATENTS:
            if sentences := total(f"kl_{name}_sentences"):
                metrics.log_scalar(f"kl_{name}", total(f"kl_{name}") / sentences, sentences, round=4)
                if any(f"au_{name}_sum" in log for log in logging_outputs):
                    cls._log_active_units(name, total, sentences)

    @staticmethod
    def _log_active_units(name: str, total: Any, sentences: int) -> None:
        metrics.log_scalar(f"_au_{name}_mean", total(f"au_{name}_sum") / sentences, sentences)
        metrics.log_scalar(f"_au_{name}_square", total(f"au_{name}_squares") / sentences, sentences)

        def active_units(meters: Any) -> int:
            variance = meters[f"_au_{name}_square"].avg - meters[f"_au_{name}_mean"].avg ** 2
            return int((variance > ACTIVE_UNIT_VARIANCE).sum())

        metrics.log_derived(f"au_{name}", active_units)
