"""``--optimizer fused_adam``: fairseq's ``adam`` in one pass over each parameter, by torch's own kernel.

fairseq takes a fused kernel where apex is installed, and on GPUs alone; torch has had one for both kinds
of device since 2.4.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from fairseq.optim import register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
from fairseq.optim.fairseq_optimizer import FairseqOptimizer

from fairseq_vhm.errors import UserError


@dataclass
class FusedAdamConfig(FairseqAdamConfig):
    """Flags of fairseq's ``adam``."""


@register_optimizer("fused_adam", dataclass=FusedAdamConfig)
class FusedAdam(FairseqAdam):
    """``torch.optim.AdamW``, whose weight decay is that of fairseq's ``adam``.

    Its epsilon is added after the correction of the bias, fairseq's before: in the first updates the two
    differ where a gradient is near epsilon.

    Raises:
        UserError: ``--fp16-adam-stats``, which torch's kernel has not.
    """

    def __init__(self, cfg: FusedAdamConfig, params: Iterable) -> None:
        FairseqOptimizer.__init__(self, cfg)
        if cfg.fp16_adam_stats:
            raise UserError("--fp16-adam-stats does not go with --optimizer fused_adam: use adam, or drop it")
        self._optimizer = torch.optim.AdamW(params, fused=True, **self.optimizer_config)

    @property
    def supports_flat_params(self) -> bool:
        return True
