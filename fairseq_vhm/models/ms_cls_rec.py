"""MS-CLS-Rec: MS and CLS learned together, with mappers between the two languages' representations.

Cao, Liu, Wan (2020), "Jointly Learning to Align and Summarize for Neural Cross-Lingual Summarization"
(ACL 2020), as VHM's comparison names it.  The *monolingual path* (MS) decodes the encoder's states; the
*cross-lingual path* (CLS, and MT where it is trained) decodes their image under a linear mapper into the
target language.  Losses on the batches of the cross-lingual path, in nats a sentence (negative
log-likelihoods under a unit Gaussian, but for a constant), each with a weight:

* ``rec_mapping``: each side's mean state, mapped, against the other side's;
* ``rec_cycle``: each state, mapped there and back, against itself;
* ``rec_adversarial`` (off by default): discriminators tell mapped mean states from real ones.

``docs/deviations.md`` says which of this is the paper's word and which our choice.
"""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.models import register_model
from fairseq.models.transformer import TransformerConfig, TransformerEncoder
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, softplus

from fairseq_vhm.errors import UserError
from fairseq_vhm.latent import ExtraLoss
from fairseq_vhm.models.config import Settings, VHMConfig, setting
from fairseq_vhm.models.vhm_encoder import VHMEncoder
from fairseq_vhm.models.vhm_transformer import VHMTransformerModel
from fairseq_vhm.modules import masked_mean

CROSS_LINGUAL = ("cls", "mt")
"""The tasks whose target is in the other language."""


@dataclass
class ReconstructionConfig(Settings):
    """Flags of ``ms_cls_rec_transformer`` beside those of ``vhm_transformer``."""

    rec_mapping_weight: float = setting(
        1.0, "weight of the distance between one language's mean state, mapped, and the other's"
    )
    rec_cycle_weight: float = setting(
        1.0, "weight of the distance between a state and itself, mapped to the other language and back"
    )
    rec_adversarial_weight: float = setting(
        0.0, "weight of discriminators that tell mapped mean states from real ones; 0: there are none"
    )
    target_encoder: ChoiceEnum(["shared", "own"]) = setting(  # type: ignore[valid-type]  # read by fairseq
        "shared", "what encodes the target for these losses: the one encoder, or one of its own"
    )

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each loss that is in use, by the name it is logged under."""
        names = ("rec_mapping", "rec_cycle", "rec_adversarial")
        return {name: weight for name in names if (weight := getattr(self, f"{name}_weight"))}

    def check(self) -> None:
        """Refuse negative weights.

        Raises:
            UserError: names the flag.
        """
        for name, weight in self.weights.items():
            if weight < 0:
                raise UserError(f"--{name.replace('_', '-')}-weight {weight}: give 0 or more")


class Mapper(nn.Linear):
    """A linear map between two languages' states, the identity at the start."""

    def __init__(self, width: int):
        super().__init__(width, width, bias=False)

    def reset_parameters(self) -> None:
        nn.init.eye_(self.weight)

    def forward(self, states: Tensor) -> Tensor:
        return super().forward(states.to(self.weight.dtype))


class _Reversed(torch.autograd.Function):
    """The identity, with the gradient's sign turned (Ganin and Lempitsky, 2015)."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return -gradient


class Discriminator(nn.Module):
    """Tells a language's mean states from those mapped into it; what it reads learns to deceive it."""

    def __init__(self, width: int):
        super().__init__()
        self.hidden, self.output = nn.Linear(width, width), nn.Linear(width, 1)

    def forward(self, real: Tensor, mapped: Tensor) -> Tensor:
        """Binary cross-entropy of both judgements: (B), in nats."""
        return softplus(-self._logit(real)) + softplus(self._logit(mapped))

    def _logit(self, states: Tensor) -> Tensor:
        hidden = leaky_relu(self.hidden(_Reversed.apply(states.to(self.hidden.weight.dtype))), 0.2)
        return self.output(hidden).squeeze(-1).float()


class Reconstruction(nn.Module):
    """The mappers between source and target language, and the losses that tie them to the states."""

    def __init__(self, width: int, weights: dict[str, float]):
        super().__init__()
        self.weights = weights
        self.to_target, self.to_source = Mapper(width), Mapper(width)
        if "rec_adversarial" in weights:
            self.source_discriminator, self.target_discriminator = Discriminator(width), Discriminator(width)

    def forward(
        self, source: Tensor, source_mask: Tensor, target: Tensor, target_mask: Tensor
    ) -> dict[str, ExtraLoss]:
        """Losses of encoder states (T x B x C) where their masks (B x T) hold, by name."""
        x, y = masked_mean(source, source_mask), masked_mean(target, target_mask)
        to_x, to_y = self.to_source(y), self.to_target(x)
        losses = {
            "rec_mapping": lambda: _distance(to_y, y) + _distance(to_x, x),
            "rec_cycle": lambda: (
                self._cycle(source, source_mask, self.to_target, self.to_source)
                + self._cycle(target, target_mask, self.to_source, self.to_target)
            ),
            "rec_adversarial": lambda: (
                self.source_discriminator(x, to_x) + self.target_discriminator(y, to_y)
            ),
        }
        return {name: ExtraLoss(losses[name](), weight) for name, weight in self.weights.items()}

    @staticmethod
    def _cycle(states: Tensor, mask: Tensor, there: Mapper, back: Mapper) -> Tensor:
        distances = _distance(back(there(states)), states)
        return masked_mean(distances.unsqueeze(-1), mask).squeeze(-1)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Half the squared Euclidean distance, over the last dimension, in float32."""
    return 0.5 * (a.float() - b.float()).square().sum(dim=-1)


class ReconstructionEncoder(VHMEncoder):
    """The encoder, whose states the cross-lingual path meets mapped into the target language.

    With a target, ``encoder_out`` of that path gains ``losses``.
    """

    def __init__(self, args: TransformerConfig, dictionary: Any, embed_tokens: Any) -> None:
        super().__init__(args, dictionary, embed_tokens)
        config = ReconstructionConfig.of(args)
        self.reconstruction = Reconstruction(embed_tokens.embedding_dim, config.weights)
        own = config.target_encoder == "own" and config.weights
        self.target_encoder = TransformerEncoder(args, dictionary, embed_tokens) if own else None

    def forward(
        self, src_tokens: Tensor, *args: Any, task: str = "cls", target: Tensor | None = None, **options: Any
    ) -> Any:
        """As :meth:`VHMEncoder.forward`, of which a cross-lingual batch's states are then mapped."""
        out = super().forward(src_tokens, *args, task=task, **options)  # type: ignore[misc]  # args end before
        if task not in CROSS_LINGUAL:
            return out
        states = out["encoder_out"][0]
        if target is not None and self.reconstruction.weights:
            out["losses"] = self.reconstruction(
                states, src_tokens.ne(self.padding_idx), self._encode(target), target.ne(self.padding_idx)
            )
        out["encoder_out"] = [self.reconstruction.to_target(states)]
        return out

    def _encode(self, target: Tensor) -> Tensor:
        encode = self.target_encoder or super().forward
        return encode(target)["encoder_out"][0]


@register_model("ms_cls_rec_transformer")
class MSCLSRecModel(VHMTransformerModel):
    """MS-CLS-Rec; see :class:`ReconstructionConfig` for its flags."""

    encoder_type = ReconstructionEncoder
    takes_partner = False  # CLS meets other states than MS does

    @classmethod
    def add_args(cls, parser: Any) -> None:
        super().add_args(parser)
        ReconstructionConfig.add_args(parser)

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> Any:
        ReconstructionConfig.fill(args)
        if VHMConfig.of(args).latent_names:
            raise UserError(f"--latents {args.latents}: ms_cls_rec_transformer has no latents; drop the flag")
        return super().build_model(args, task)

    @property
    def extra_losses(self) -> tuple[str, ...]:
        """Names of the losses beside the criterion's."""
        return tuple(self.encoder.reconstruction.weights)
