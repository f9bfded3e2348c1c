"""The settings of VHM's latents: the only home of their defaults, and the checks of their combinations.

The defaults are the paper's reading; every other value is listed in ``docs/deviations.md``.
"""

import argparse
from dataclasses import dataclass, field, fields

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.dataclass.utils import gen_parser_from_dataclass

from fairseq_vhm.errors import UserError
from fairseq_vhm.latent import LATENTS
from fairseq_vhm.modules.biases import BIASES
from fairseq_vhm.modules.fusion import ACTIVATIONS
from fairseq_vhm.modules.hierarchy import NOISE
from fairseq_vhm.modules.latent_nets import HEADS
from fairseq_vhm.modules.pooling import POOLING

RELEASED_CODE = {
    "latent_dim": 256,
    "latent_mlp_layers": 1,
    "latent_head": "released",
    "latent_noise": "uniform",
    "latent_pooling": "all",
    "latent_activation": "none",
    "cls_prior_locals": "prior",
}
"""What ``--released-code-compat`` changes in the model (repository XL2248/VHM, commit 669bcde)."""


def _setting(default, help_text: str):
    return field(default=default, metadata={"help": help_text})


@dataclass
class VHMConfig(FairseqDataclass):
    """Flags of ``vhm_transformer`` beside those of fairseq's ``transformer``."""

    latents: str = _setting(
        "mt,ms,cls", "latents there are: any of mt,ms,cls joined by commas, or 'none' (MT-MS-CLS)"
    )
    no_hierarchy: bool = _setting(
        False, "z_mt and z_ms do not condition z_cls; all enter the decoder on CLS (Table 5, row 5)"
    )
    latent_dim: int = _setting(128, "D, the dimension of each latent")
    latent_mlp_layers: int = _setting(2, "layers of each prior and recognition network")
    latent_mlp_hidden: int = _setting(0, "hidden width of these networks; 0: the latent dimension")
    latent_head: ChoiceEnum(HEADS) = _setting(
        "separate",
        "networks of mu and sigma: separate (Eq. 2), tied (all layers but the last shared), or "
        "released (one network, softplus of the mean taken as log-variance)",
    )
    latent_noise: ChoiceEnum(NOISE) = _setting(
        "normal", "noise of the draws in training; uniform on [0, 1) is the released code's"
    )
    latent_pooling: ChoiceEnum(POOLING) = _setting(
        "non-pad", "positions that h averages: non-pad, words (no EOS, no tag), or all (released)"
    )
    latent_projection: ChoiceEnum(["task", "shared", "none"]) = _setting(
        "task",
        "Eq. 8: a projection for each task, one shared by all, or none for MT and MS, which then "
        "decode without their latents",
    )
    latent_activation: ChoiceEnum(list(ACTIVATIONS)) = _setting(
        "tanh", "activation of Eq. 8; none is the released code's"
    )
    cls_prior_locals: ChoiceEnum(["posterior", "prior"]) = _setting(
        "posterior",
        "draws of z_mt, z_ms that the prior of z_cls sees in training; prior (released) is what it "
        "sees at inference",
    )
    cls_local_target: ChoiceEnum(["cls", "summary"]) = _setting(
        "cls",
        "what z_mt, z_ms are inferred from on CLS batches: (X_cls, Y_cls), or the source-language "
        "summary of the same document where the MS data has it",
    )
    decoders: ChoiceEnum(["shared", "task"]) = _setting(
        "shared", "one decoder for all tasks, or one for each with an output layer of its own (NCLS)"
    )
    share_encoder_decoder_embeddings: bool = _setting(
        True, "one embedding table for source and target, output layer apart (the paper's counts)"
    )
    biases: ChoiceEnum(BIASES) = _setting(
        "paper",
        "paper: an output bias, none in feed-forward layers nor in query, key and value projections "
        "(the paper's counts); fairseq: as in fairseq's transformer",
    )
    post_norm: bool = _setting(False, "layer norm after each block in place of before it")
    released_code_compat: bool = _setting(
        False, "set every option that follows the released code; your own flags still win"
    )

    @property
    def latent_names(self) -> tuple[str, ...]:
        """The latents in their fixed order.

        Raises:
            UserError: an unknown or repeated name.
        """
        names = [] if self.latents.strip() == "none" else self.latents.replace(" ", "").split(",")
        if unknown := [n for n in names if n not in LATENTS]:
            raise UserError(
                f"--latents {self.latents}: '{unknown[0]}' is not a latent; "
                "choose from mt, ms, cls joined by commas, or none"
            )
        if len(set(names)) < len(names):
            raise UserError(f"--latents {self.latents}: a latent is named twice")
        return tuple(n for n in LATENTS if n in names)

    @property
    def hidden(self) -> int:
        return self.latent_mlp_hidden or self.latent_dim

    def check(self) -> None:
        """Refuse settings that make no sense together.

        Raises:
            UserError: names the flags and the remedy.
        """
        names = self.latent_names
        several_on_cls = self.no_hierarchy or ("cls" not in names and len(names) > 1)
        if self.no_hierarchy and ("cls" not in names or len(names) < 2):
            raise UserError(
                f"--no-hierarchy cuts the links from z_mt, z_ms to z_cls, and --latents {self.latents} "
                "has none: drop --no-hierarchy, or give --latents with cls and mt or ms"
            )
        if self.latent_projection == "shared" and several_on_cls:
            raise UserError(
                "--latent-projection shared needs one latent in each decoder, but CLS joins several "
                f"(--latents {self.latents}{', --no-hierarchy' * self.no_hierarchy}): "
                "use --latent-projection task"
            )
        if self.cls_local_target == "summary" and not set(names) & {"mt", "ms"}:
            raise UserError(
                f"--cls-local-target summary concerns z_mt and z_ms, which --latents {self.latents} "
                "leaves out: drop it"
            )
        no_parents = self.no_hierarchy or "cls" not in names or len(names) < 2
        if self.cls_prior_locals == "prior" and no_parents and not self.released_code_compat:
            raise UserError(
                "--cls-prior-locals prior concerns z_mt, z_ms as parents of z_cls, which "
                f"--latents {self.latents}{' --no-hierarchy' * self.no_hierarchy} leaves out: drop it"
            )
        for name in ("latent_dim", "latent_mlp_layers"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} must be at least 1")

    @classmethod
    def add_args(cls, parser: argparse._ArgumentGroup) -> None:
        """Add the flags without defaults, so that an architecture can tell what the user gave."""
        sharing = cls.__dataclass_fields__["share_encoder_decoder_embeddings"]
        parser.add_argument(
            "--share-encoder-decoder-embeddings",
            action=argparse.BooleanOptionalAction,
            help=sharing.metadata["help"],
        )
        gen_parser_from_dataclass(parser, cls(), delete_default=True)

    @classmethod
    def fill(cls, args: argparse.Namespace) -> None:
        """Give ``args`` each setting that the user left open."""
        released = RELEASED_CODE if getattr(args, "released_code_compat", False) else {}
        for setting in fields(cls):
            if not setting.name.startswith("_") and not hasattr(args, setting.name):
                setattr(args, setting.name, released.get(setting.name, setting.default))

    @classmethod
    def of(cls, args: argparse.Namespace) -> "VHMConfig":
        """The checked settings in ``args``."""
        config = cls(
            **{f.name: getattr(args, f.name) for f in fields(cls) if not f.name.startswith("_")}
        )
        config.check()
        return config
