"""The settings of VHM's latents: the only home of their defaults, and the checks of their combinations.
:class:`Settings` is how they, and those of other models, are put into fairseq's arguments and taken out.

The defaults are the paper's reading; every other value is listed in ``docs/deviations.md``.
"""

import argparse
from dataclasses import dataclass, field, fields
from typing import Any, Self

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.dataclass.utils import gen_parser_from_dataclass

from fairseq_vhm.errors import UserError
from fairseq_vhm.latent import LATENTS
from fairseq_vhm.modules.attention import ATTENTION
from fairseq_vhm.modules.biases import BIASES
from fairseq_vhm.modules.embedding import EMBEDDING_GRADIENTS
from fairseq_vhm.modules.fusion import ACTIVATIONS, PROJECTION_STARTS, PROJECTIONS
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
    "decoder_norm_eps": 1e-6,
}
"""What ``--released-code-compat`` changes in the model (repository XL2248/VHM, commit 669bcde)."""

RELEASED_LOSS = {"kl_normalization": "released"}
"""What it changes in the criterion: what ``elbo`` leaves out of the arguments unless the user gave it."""


def setting(default: Any, help_text: str) -> Any:
    """A field of :class:`Settings`, with the help that its flag shows."""
    return field(default=default, metadata={"help": help_text})


@dataclass
class Settings(FairseqDataclass):
    """A model's own flags, one a field, beside those of the model that it extends."""

    def check(self) -> None:
        """Refuse settings that make no sense together.

        Raises:
            UserError: names the flags and the remedy.
        """

    @classmethod
    def add_args(cls, parser: argparse._ArgumentGroup) -> None:
        """Add the flags without defaults, so that an architecture can tell what the user gave."""
        gen_parser_from_dataclass(parser, cls(), delete_default=True)

    @classmethod
    def defaults(cls, args: argparse.Namespace) -> dict:
        """The default of each setting beside what ``args`` already has."""
        return {f.name: f.default for f in fields(cls) if not f.name.startswith("_")}

    @classmethod
    def fill(cls, args: argparse.Namespace) -> None:
        """Give ``args`` each setting that the user left open."""
        for name, default in cls.defaults(args).items():
            if not hasattr(args, name):
                setattr(args, name, default)

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """The checked settings in ``args``."""
        config = cls(**{name: getattr(args, name) for name in cls.defaults(args)})
        config.check()
        return config


@dataclass
class VHMConfig(Settings):
    """Flags of ``vhm_transformer`` beside those of fairseq's ``transformer``."""

    latents: str = setting(
        "mt,ms,cls", "latents there are: any of mt,ms,cls joined by commas, or 'none' (MT-MS-CLS)"
    )
    no_hierarchy: bool = setting(
        False, "z_mt and z_ms do not condition z_cls; all enter the decoder on CLS (Table 5, row 5)"
    )
    latent_dim: int = setting(128, "D, the dimension of each latent")
    latent_mlp_layers: int = setting(2, "layers of each prior and recognition network")
    latent_mlp_hidden: int = setting(0, "hidden width of these networks; 0: the latent dimension")
    latent_head: ChoiceEnum(HEADS) = setting(  # type: ignore[valid-type]  # read by fairseq
        "separate",
        "networks of mu and sigma: separate (Eq. 2), tied (all layers but the last shared), or "
        "released (one network, softplus of the mean taken as log-variance)",
    )
    latent_noise: ChoiceEnum(NOISE) = setting(  # type: ignore[valid-type]  # read by fairseq
        "normal", "noise of the draws in training; uniform on [0, 1) is the released code's"
    )
    latent_pooling: ChoiceEnum(POOLING) = setting(  # type: ignore[valid-type]  # read by fairseq
        "non-pad", "positions that h averages: non-pad, words (no EOS, no tag), or all (released)"
    )
    latent_projection: ChoiceEnum([*PROJECTIONS, "none"]) = setting(  # type: ignore[valid-type]  # read by fairseq
        "task",
        "Eq. 8: a projection for each task; one for the states of all tasks with a part of its own for each "
        "task's latents (states); one shared by all; or none for MT and MS, which then decode without "
        "their latents",
    )
    latent_activation: ChoiceEnum(list(ACTIVATIONS)) = setting(  # type: ignore[valid-type]  # read by fairseq
        "tanh", "activation of Eq. 8; none is the released code's"
    )
    cls_prior_locals: ChoiceEnum(["posterior", "prior"]) = setting(  # type: ignore[valid-type]  # read by fairseq
        "posterior",
        "draws of z_mt, z_ms that the prior of z_cls sees in training; prior (released) is what it "
        "sees at inference",
    )
    cls_local_target: ChoiceEnum(["cls", "summary"]) = setting(  # type: ignore[valid-type]  # read by fairseq
        "cls",
        "what z_mt, z_ms are inferred from on CLS batches: (X_cls, Y_cls), or the source-language "
        "summary of the same document where the MS data (of the split) have it",
    )
    no_target_gradient: bool = setting(
        False,
        "the pass over targets that the posteriors read sends no gradient into the encoder: a cheaper step; "
        "the encoder then does not learn to tell the latents what a target says",
    )
    bag_of_words_weight: float = setting(
        0.0, "weight of a loss by which each decoder's latents predict the words of the target; 0: none"
    )
    latent_projection_init: ChoiceEnum(PROJECTION_STARTS) = setting(  # type: ignore[valid-type]  # read by fairseq
        "xavier",
        "where W_p of Eq. 8 starts: xavier, or identity, which hands a trained decoder's states on as they "
        "are and learns to add the latents (vhm_mbart_large's default)",
    )
    decoders: ChoiceEnum(["shared", "task"]) = setting(  # type: ignore[valid-type]  # read by fairseq
        "shared", "one decoder for all tasks, or one for each with an output layer of its own (NCLS)"
    )
    share_encoder_decoder_embeddings: bool = setting(
        True, "one embedding table for source and target, output layer apart (the paper's counts)"
    )
    biases: ChoiceEnum(BIASES) = setting(  # type: ignore[valid-type]  # read by fairseq
        "paper",
        "paper: an output bias, none in feed-forward layers nor in query, key and value projections "
        "(the paper's counts); fairseq: as in fairseq's transformer",
    )
    decoder_norm_eps: float = setting(
        1e-5, "epsilon of the decoder's layer norms (encoder: 1e-5); 1e-6 is the released code's"
    )
    post_norm: bool = setting(False, "layer norm after each block in place of before it")
    attention: ChoiceEnum(ATTENTION) = setting(  # type: ignore[valid-type]  # read by fairseq
        "sdpa",
        "sdpa: torch's kernel where nobody reads the weights; in generation keys and values of a source once "
        "for all its beams, and layers laid out for few rows; fairseq: as in fairseq's transformer, the last "
        "layer's weights always computed",
    )
    embedding_gradient: ChoiceEnum(EMBEDDING_GRADIENTS) = setting(  # type: ignore[valid-type]  # read by fairseq
        "one",
        "on a CPU: one gradient of the embedding for all lookups of a mini-batch, or one for each (as torch)",
    )
    init_from: str = setting(
        "",
        "start from the weights of this checkpoint (mBART's, trimmed or not, or another run's); latents and "
        "tags are new, any other difference is an error",
    )
    init_allow: str = setting(
        "", "patterns of parameters and settings, joined by commas, that may differ from --init-from's"
    )
    released_code_compat: bool = setting(
        False,
        "set the model's options that follow the released code, and --kl-normalization released; your own "
        "flags still win (docs/deviations.md)",
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
                f"choose from {', '.join(LATENTS)} joined by commas, or none"
            )
        if len(set(names)) < len(names):
            raise UserError(f"--latents {self.latents}: a latent is named twice")
        return tuple(n for n in LATENTS if n in names)

    @property
    def hidden(self) -> int:
        return self.latent_mlp_hidden or self.latent_dim

    def check(self) -> None:
        """See :class:`Settings`."""
        self._check_sizes()
        self._check_hierarchy()
        self._check_concerned()

    def _check_sizes(self) -> None:
        for name, least in (("latent_dim", 1), ("latent_mlp_layers", 1), ("latent_mlp_hidden", 0)):
            if getattr(self, name) < least:
                raise UserError(f"--{name.replace('_', '-')} must be at least {least}")
        if self.decoder_norm_eps < 0:
            raise UserError(f"--decoder-norm-eps {self.decoder_norm_eps}: give 0 or more")

    def _check_hierarchy(self) -> None:
        """Refuse links between latents, and projections of them, that ``--latents`` has no place for."""
        names = self.latent_names
        linked = "cls" in names and len(names) > 1
        if self.no_hierarchy and not linked:
            raise UserError(
                f"--no-hierarchy cuts the links from z_mt, z_ms to z_cls, and --latents {self.latents} "
                "has none: drop --no-hierarchy, or give --latents with cls and mt or ms"
            )
        if self.latent_projection == "shared" and (self.no_hierarchy or (len(names) > 1 and not linked)):
            raise UserError(
                "--latent-projection shared needs one latent in each decoder, but CLS joins several "
                f"(--latents {self.latents}{', --no-hierarchy' * self.no_hierarchy}): "
                "use --latent-projection states or task"
            )
        no_parents = self.no_hierarchy or not linked
        if self.cls_prior_locals == "prior" and no_parents and not self.released_code_compat:
            raise UserError(
                "--cls-prior-locals prior concerns z_mt, z_ms as parents of z_cls, which "
                f"--latents {self.latents}{' --no-hierarchy' * self.no_hierarchy} leaves out: drop it"
            )

    def _check_concerned(self) -> None:
        """Refuse flags of what the model has not."""
        names = self.latent_names
        if self.cls_local_target == "summary" and not set(names) & {"mt", "ms"}:
            raise UserError(
                f"--cls-local-target summary concerns z_mt and z_ms, which --latents {self.latents} "
                "leaves out: drop it"
            )
        if self.no_target_gradient and not names:
            raise UserError("--no-target-gradient concerns posteriors, and --latents none has none: drop it")
        if self.init_allow and not self.init_from:
            raise UserError(f"--init-allow {self.init_allow} needs --init-from: the checkpoint to start from")
        if self.bag_of_words_weight < 0 or (self.bag_of_words_weight and not names):
            raise UserError(
                f"--bag-of-words-weight {self.bag_of_words_weight}: give 0 or more, and latents that predict "
                f"the words (--latents {self.latents})"
            )

    @classmethod
    def add_args(cls, parser: argparse._ArgumentGroup) -> None:
        """Add the flags, ``--[no-]share-encoder-decoder-embeddings`` in both forms."""
        sharing = cls.__dataclass_fields__["share_encoder_decoder_embeddings"]
        parser.add_argument(
            "--share-encoder-decoder-embeddings",
            action=argparse.BooleanOptionalAction,
            help=sharing.metadata["help"],
        )
        super().add_args(parser)

    @classmethod
    def defaults(cls, args: argparse.Namespace) -> dict:
        """The paper's reading or, with ``--released-code-compat``, the released code's."""
        released = RELEASED_CODE if getattr(args, "released_code_compat", False) else {}
        return super().defaults(args) | released

    @classmethod
    def fill(cls, args: argparse.Namespace) -> None:
        """Give ``args`` each setting that the user left open, the criterion's of the released code too."""
        super().fill(args)
        for name, value in RELEASED_LOSS.items() if args.released_code_compat else ():
            setattr(args, name, getattr(args, name, value))
