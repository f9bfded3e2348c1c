"""VHM: a Transformer whose decoder states meet latent variables (Liang et al., ACL 2022).

How :mod:`~fairseq_vhm.models.vhm_encoder` and :mod:`~fairseq_vhm.models.vhm_decoder` become a model: built,
loaded, trained.  With ``--latents none`` this is the paper's MT-MS-CLS.
"""

from argparse import Namespace
from contextlib import ExitStack
from copy import deepcopy
from functools import partial
from typing import Any

from fairseq.models import register_model
from fairseq.models.transformer import TransformerConfig, TransformerModel
from torch import Tensor

from fairseq_vhm.errors import UserError
from fairseq_vhm.latent import ExtraLoss
from fairseq_vhm.models.config import VHMConfig
from fairseq_vhm.models.initialisation import goes_on, initialise
from fairseq_vhm.models.pretrained import without_pretraining_symbols
from fairseq_vhm.models.task_decoders import TaskDecoders
from fairseq_vhm.models.vhm_decoder import VHMDecoder
from fairseq_vhm.models.vhm_encoder import VHMEncoder
from fairseq_vhm.modules.attention import kernel_for, use_sdpa
from fairseq_vhm.modules.biases import add_output_bias, drop_biases
from fairseq_vhm.modules.embedding import one_gradient, use_one_gradient
from fairseq_vhm.modules.hierarchy import Noise
from fairseq_vhm.modules.token_loss import TokenLoss, decoded
from fairseq_vhm.names import TASKS

BAG_OF_WORDS = "bag_of_words"


@register_model("vhm_transformer")
class VHMTransformerModel(TransformerModel):
    """Transformer with VHM's latents; see :class:`~fairseq_vhm.models.config.VHMConfig` for its flags."""

    encoder_type: type[VHMEncoder] = VHMEncoder
    decoder_type: type[VHMDecoder] = VHMDecoder
    num_updates = 0
    bag_of_words_weight = 0.0
    chooses_kernel = False
    takes_partner = True  # two tasks' targets of one document, in one call
    keeps_optimizer = False  # whether the run goes on with the optimizer of what it loads

    @classmethod
    def hub_models(cls) -> dict:
        return {}

    @classmethod
    def add_args(cls, parser: Any) -> None:
        super().add_args(parser)
        VHMConfig.add_args(parser)

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> Any:
        VHMConfig.fill(args)
        config = VHMConfig.of(args)
        share = config.share_encoder_decoder_embeddings
        _check_tables(args, config, task.source_dictionary == task.target_dictionary)
        model = super().build_model(args, task)
        for decoder in model.decoders:
            if share:
                decoder.embed_tokens = model.encoder.embed_tokens
            if config.biases == "paper":
                add_output_bias(decoder)
        if config.biases == "paper":
            drop_biases(model)
        model.chooses_kernel = config.attention == "sdpa"
        if config.attention == "sdpa":
            use_sdpa(model)
        if config.embedding_gradient == "one":
            use_one_gradient(model)
        model.bag_of_words_weight = config.bag_of_words_weight
        return model

    def warm_start(self, args: Namespace) -> None:
        """Start from ``--init-from``, unless the run resumes a checkpoint of its own.

        Raises:
            UserError: the checkpoint does not fit, or a flag would change nothing.
        """
        _check_changes_something(args)
        if args.init_from and not goes_on(args):
            allowed = [pattern.strip() for pattern in args.init_allow.split(",") if pattern.strip()]
            initialise(self, args, args.init_from, allowed).log()

    @classmethod
    def build_encoder(cls, cfg: TransformerConfig, src_dict: Any, embed_tokens: Any) -> VHMEncoder:
        return cls.encoder_type(cfg, src_dict, embed_tokens)

    @classmethod
    def build_decoder(
        cls, cfg: TransformerConfig, tgt_dict: Any, embed_tokens: Any
    ) -> VHMDecoder | TaskDecoders:
        """The decoder of all tasks or, with ``--decoders task``, one for each of ``--tasks``."""
        config = VHMConfig.of(cfg)
        options = {"no_encoder_attn": cfg.no_cross_attention}
        if config.decoders == "shared":
            return cls.decoder_type(cfg, tgt_dict, embed_tokens, **options)
        tied = cfg.share_all_embeddings or config.share_encoder_decoder_embeddings
        return TaskDecoders(
            {
                task: cls.decoder_type(
                    cfg, tgt_dict, embed_tokens if tied else deepcopy(embed_tokens), (task,), **options
                )
                for task in cls.trained_tasks(cfg)
            }
        )

    @staticmethod
    def trained_tasks(args: Namespace) -> tuple[str, ...]:
        """The tasks of ``--tasks``, which a checkpoint remembers; all where nobody has said."""
        named = getattr(args, "tasks", None) or ",".join(TASKS)
        return tuple(task for task in TASKS if task in named.replace(" ", "").split(","))

    @property
    def decoders(self) -> list[VHMDecoder]:
        """The decoder, or that of each task."""
        several = isinstance(self.decoder, TaskDecoders)
        return list(self.decoder.decoders.values()) if several else [self.decoder]

    def decoder_of(self, task: str) -> VHMDecoder:
        """The decoder of a task."""
        decoder: Any = self.decoder
        return decoder.decoders[task] if isinstance(decoder, TaskDecoders) else decoder

    @property
    def takes_token_loss(self) -> bool:
        """Whether the output is a plain softmax of the output projection."""
        return all(decoder.adaptive_softmax is None for decoder in self.decoders)

    @classmethod
    def from_pretrained(
        cls, model_name_or_path: str, checkpoint_file: str = "checkpoint_best.pt", **kwargs: Any
    ) -> Any:
        """Load a trained model, as fairseq's users know it, with ``.summarize(list of texts)`` added."""
        from fairseq_vhm.generation.hub import load

        return load(cls, model_name_or_path, checkpoint_file, **kwargs)

    @property
    def extra_losses(self) -> tuple[str, ...]:
        """Names of the losses that the model adds to the criterion's."""
        return (BAG_OF_WORDS,) if self.bag_of_words_weight else ()

    @property
    def latent_sizes(self) -> dict[str, int]:
        """Dimension of each latent, by name."""
        hierarchy = self.encoder.hierarchy
        return {} if hierarchy is None else dict.fromkeys(hierarchy.names, hierarchy.latent_dim)

    def load_state_dict(
        self, state_dict: dict, strict: bool = True, model_cfg: Any = None, args: Any = None
    ) -> Any:
        """As fairseq's; a checkpoint of another dictionary is refused in one line.

        A pre-trained one (``--pretraining-tasks``) is taken without the symbols that only it has.

        Raises:
            UserError: the embeddings have another number of rows than the dictionary has symbols, or the
                run would go on with the optimizer of a pre-trained checkpoint.
        """
        fitted = without_pretraining_symbols(state_dict, self.state_dict())
        if fitted is not state_dict and self.keeps_optimizer:
            raise UserError(
                "the checkpoint was trained with --pretraining-tasks: give them too to go on with it, or "
                "fine-tune it with --finetune-from-model in place of --restore-file"
            )
        state_dict = fitted
        trained = state_dict.get("encoder.embed_tokens.weight")
        symbols = self.encoder.embed_tokens.num_embeddings
        if trained is not None and len(trained) != symbols:
            raise UserError(
                f"DATA's dictionary has {symbols:,} symbols with tags, but the checkpoint was trained with "
                f"{len(trained):,}: give the DATA that it was trained on, or one prepared with its --dict"
            )
        return super().load_state_dict(state_dict, strict, model_cfg, args)

    def set_num_updates(self, num_updates: int) -> None:
        """The update that a criterion's schedules go by."""
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor,
        task: str = "cls",
        target: Tensor | None = None,
        summary: Tensor | None = None,
        summary_rows: Tensor | None = None,
        latent_noise: Noise | None = None,
        token_loss: TokenLoss | None = None,
        partner: dict | None = None,
        **decoder_options: Any,
    ) -> Any:
        """Logits (B x T x V) of the decoder fed with ``prev_output_tokens``, and its extra outputs.

        With ``target`` the latents come from their posteriors, else from their priors; the extra
        outputs hold them as ``latents``, a :class:`~fairseq_vhm.latent.LatentBundle`, and as ``losses``
        what the model adds to the criterion's (:mod:`fairseq_vhm.latent.losses`).  With ``token_loss``
        (and ``target``; see :attr:`takes_token_loss`) there are no logits, but their loss in its place,
        so that all of them need never exist at once.

        ``partner`` is another task's input of the same sources (``task``, ``prev_output_tokens``,
        ``target``): the sources are encoded once, and the extra outputs hold as ``partner`` what a call of
        its own would have put out.
        """
        encode: Any = partial(self.encoder, src_tokens, src_lengths=src_lengths)
        decode: Any = partial(self._decode, src_lengths=src_lengths, token_loss=token_loss, **decoder_options)
        longest = max(src_tokens.size(1), prev_output_tokens.size(1))
        with self._at_speed(longest):
            posterior = {"target": target, "summary": summary, "summary_rows": summary_rows}
            encoder_out = encode(task=task, latent_noise=latent_noise, **posterior)
            out, extra = decode(encoder_out, prev_output_tokens, target)
            if partner is not None:
                again = encode(task=partner["task"], target=partner["target"], encoded=encoder_out)
                extra["partner"] = decode(again, partner["prev_output_tokens"], partner["target"])
        return out, extra

    def _at_speed(self, longest: int) -> ExitStack:
        """What is faster in a pass over texts of so many tokens, and the same otherwise."""
        tables = self.encoder.embed_tokens, *(decoder.embed_tokens for decoder in self.decoders)
        chosen = ExitStack()
        chosen.enter_context(one_gradient(*tables))
        if self.chooses_kernel:
            chosen.enter_context(kernel_for(tables[0].weight, longest))
        return chosen

    def _decode(
        self,
        encoder_out: dict,
        prev_output_tokens: Tensor,
        target: Tensor | None,
        token_loss: TokenLoss | None,
        **options: Any,
    ) -> Any:
        decode = partial(self.decoder, prev_output_tokens, encoder_out=encoder_out, **options)
        layer = self.decoder_of(encoder_out["task"][0]).output_projection
        out, extra = decoded(decode, layer, token_loss, target)
        extra["latents"] = encoder_out["bundle"]
        extra["losses"] = encoder_out.get("losses", {})
        if self.bag_of_words_weight and target is not None and encoder_out["latent"]:
            extra["losses"] |= {BAG_OF_WORDS: self._bag_of_words(encoder_out, target)}
        return out, extra

    def _bag_of_words(self, encoder_out: dict, target: Tensor) -> ExtraLoss:
        decoder = self.decoder_of(encoder_out["task"][0])
        nll = decoder.predict_words(encoder_out, target, self.encoder.special_tokens)
        return ExtraLoss(nll, self.bag_of_words_weight)


def _check_tables(args: Namespace, config: VHMConfig, joined: bool) -> None:
    """Refuse tables of embeddings and an output layer that cannot be what the flags say.

    Args:
        joined: whether source and target have one dictionary.

    Raises:
        UserError: names the flags and the remedy.
    """
    widths = args.encoder_embed_dim, args.decoder_embed_dim
    if config.share_encoder_decoder_embeddings and not joined:
        raise UserError(
            "source and target have two dictionaries, and --share-encoder-decoder-embeddings (the default) "
            "has one table for both: give --no-share-encoder-decoder-embeddings, or prepare DATA with one"
        )
    if config.share_encoder_decoder_embeddings and widths[0] != widths[1]:
        raise UserError(
            f"--encoder-embed-dim {widths[0]} and --decoder-embed-dim {widths[1]} differ, and "
            "--share-encoder-decoder-embeddings (the default) has one table for both: give one width, or "
            "--no-share-encoder-decoder-embeddings"
        )
    if args.adaptive_softmax_cutoff is not None and config.biases == "paper":
        raise UserError(
            "--adaptive-softmax-cutoff has no place for the output bias of --biases paper (the default): "
            "give --biases fairseq"
        )
    if args.adaptive_softmax_cutoff is not None and config.bag_of_words_weight:
        raise UserError(
            "--bag-of-words-weight reads the output layer, which --adaptive-softmax-cutoff splits: drop one"
        )


def _check_changes_something(args: Namespace) -> None:
    """Refuse, where a run begins, flags that another one takes the effect from; old checkpoints have them.

    Raises:
        UserError: names both flags.
    """
    one_table = args.share_encoder_decoder_embeddings and not args.share_all_embeddings
    if one_table and args.share_decoder_input_output_embed:
        raise UserError(
            "--share-decoder-input-output-embed changes nothing beside --share-encoder-decoder-embeddings "
            "(the default): give --share-all-embeddings for one table and output layer, or drop it"
        )
    if args.init_from and getattr(args, "finetune_from_model", None):
        raise UserError(
            "--init-from and --finetune-from-model each say where the weights start: drop one of them"
        )
