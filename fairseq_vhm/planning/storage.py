"""What a run keeps on disk and in a GPU's memory, by the rules of fairseq's optimizers and checkpoints."""

import math
from dataclasses import dataclass

from fairseq_vhm.errors import UserError
from fairseq_vhm.planning.run import Run

FP32, FP16 = 4, 2
MOMENTS = {
    "adam": 2,
    "fused_adam": 2,
    "adamax": 2,
    "adadelta": 2,
    "adagrad": 1,
    "nag": 1,
    "sgd": 0,
    "adafactor": 0,
}
"""Numbers that an optimizer keeps for each parameter; Adafactor's row and column of each matrix are next to
nothing, and counted so."""
FIRST_MOMENT = {"sgd": "momentum", "adafactor": "beta1"}
"""Flags that have an optimizer keep one number more."""
ENTRY, SETTINGS = 320, 30_000
"""Bytes around a tensor in a checkpoint, and of fairseq's settings: those of a small one (torch 2.13)."""
LOGITS, SOFTMAX = 1, 1
"""Tables of chunk x symbols in float32 that the loss in chunks has at once."""


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    loss: int

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.optimizer + self.activations + self.loss


def moments(run: Run) -> int:
    """Numbers that the optimizer keeps for each parameter.

    Raises:
        UserError: not known of this optimizer.
    """
    name = run.args.optimizer
    if name not in MOMENTS:
        raise UserError(f"--optimizer {name}: a plan knows {', '.join(MOMENTS)}")
    more = name in FIRST_MOMENT and bool(getattr(run.args, FIRST_MOMENT[name]))
    return MOMENTS[name] + more


def memory(run: Run, parameters: int, activations: float, symbols: int, output_width: int) -> Memory:
    """Memory of an update; activations are given for float32, and halve in 16 bits."""
    common = run.cfg.common
    sixteen = common.fp16 or common.bf16
    lean = common.memory_efficient_fp16 or common.memory_efficient_bf16
    width = FP16 if sixteen else FP32
    copies = 2 * FP32 if sixteen and not lean else 0  # fairseq's master weights, and their gradients
    return Memory(
        parameters=parameters * width,
        gradients=parameters * width,
        optimizer=parameters * (moments(run) * FP32 + copies),
        activations=round(activations * (0.5 if run.halved else 1)),
        loss=_loss(run, symbols, output_width),
    )


def _loss(run: Run, symbols: int, output_width: int) -> int:
    """Logits of a chunk and their softmax, and the output layer's gradient, which is ready beforehand."""
    chunk = run.cfg.criterion.get("loss_chunk", 0)
    if not chunk:
        return 0  # all logits at once are activations, and counted there
    return FP32 * ((LOGITS + SOFTMAX) * chunk * symbols + symbols * output_width)


def checkpoint(run: Run, parameters: int, tensors: int) -> int:
    """Bytes of one checkpoint: parameters in the run's precision, the optimizer's numbers in float32."""
    common = run.cfg.common
    width = FP16 if common.fp16 or common.bf16 else FP32
    kept = 0 if run.cfg.checkpoint.no_save_optimizer_state else moments(run)
    return parameters * (width + kept * FP32) + tensors * (1 + kept) * ENTRY + SETTINGS


def checkpoints_kept(run: Run, updates: int, epochs: float) -> int:
    """Files that lie in ``--save-dir`` at the end, by fairseq's flags; one more while one is written."""
    settings = run.cfg.checkpoint
    if settings.no_save:
        return 0
    best = 0 if run.cfg.dataset.disable_validation else 1
    kept = best + (not settings.no_last_checkpoints) + max(0, settings.keep_best_checkpoints)
    if settings.save_interval_updates:
        kept += _limited(updates // settings.save_interval_updates, settings.keep_interval_updates)
    if not settings.no_epoch_checkpoints:
        kept += _limited(math.floor(epochs / settings.save_interval), settings.keep_last_epochs)
    return kept


def _limited(number: int, most: int) -> int:
    return min(number, most) if most > 0 else number
