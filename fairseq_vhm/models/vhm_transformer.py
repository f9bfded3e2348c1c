"""VHM: a Transformer whose decoder states meet latent variables (Liang et al., ACL 2022).

The encoder, shared by all tasks, encodes sources and, in training only, targets; its pooled states give
the latents (:mod:`fairseq_vhm.modules.hierarchy`).  The latents that enter the decoder travel in
``encoder_out`` so that fairseq's generator computes them once a sentence and reorders them with its
beams.  With ``--latents none`` this is the paper's MT-MS-CLS.
"""

from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from copy import deepcopy
from functools import partial

import torch
from fairseq.models import register_model
from fairseq.models.transformer import (
    TransformerConfig,
    TransformerDecoder,
    TransformerEncoder,
    TransformerModel,
)
from torch import Tensor

from fairseq_vhm.errors import UserError
from fairseq_vhm.latent import ExtraLoss, LatentBundle
from fairseq_vhm.models.config import VHMConfig
from fairseq_vhm.models.initialisation import goes_on, initialise
from fairseq_vhm.models.pretrained import PRETRAINING_SYMBOLS, without_pretraining_symbols
from fairseq_vhm.models.task_decoders import TaskDecoders
from fairseq_vhm.modules import LatentFusion, LatentHierarchy, masked_mean
from fairseq_vhm.modules.attention import BEAMS, kernel_for, use_sdpa
from fairseq_vhm.modules.bag_of_words import BagOfWords, bag_of_words_nll
from fairseq_vhm.modules.beams import Beams, beams_of
from fairseq_vhm.modules.biases import add_output_bias, drop_biases
from fairseq_vhm.modules.embedding import one_gradient, use_one_gradient
from fairseq_vhm.modules.hierarchy import Noise
from fairseq_vhm.modules.layout import lay_out_for_few_rows
from fairseq_vhm.modules.pooling import pooling_mask
from fairseq_vhm.modules.token_loss import TokenLoss
from fairseq_vhm.names import TASKS, language_symbol, task_tag

BAG_OF_WORDS = "bag_of_words"
NO_LAYER = -1


def build_hierarchy(config: VHMConfig, width: int) -> LatentHierarchy | None:
    """The latents that the settings ask for, or ``None`` for ``--latents none``."""
    if not config.latent_names:
        return None
    return LatentHierarchy(
        width,
        config.latent_dim,
        config.latent_names,
        hierarchical=not config.no_hierarchy,
        network={
            "layers": config.latent_mlp_layers,
            "hidden": config.hidden,
            "head": config.latent_head,
        },
        noise=config.latent_noise,
        cls_prior_locals=config.cls_prior_locals,
        local_decoder_latents=config.latent_projection != "none",
    )


def decoder_inputs(
    config: VHMConfig, hierarchy: LatentHierarchy | None, tasks: Sequence[str] = TASKS
) -> dict[str, int]:
    """The joint width of the latents that enter the decoder of each of ``tasks`` which has any."""
    if hierarchy is None:
        return {}
    latents = {task: hierarchy.decoder_latents(task) for task in tasks}
    return {task: config.latent_dim * len(names) for task, names in latents.items() if names}


def build_fusion(config: VHMConfig, width: int, inputs: dict[str, int]) -> LatentFusion | None:
    """Eq. 8 for each task whose decoder meets latents; ``None`` where none does."""
    if not inputs:
        return None
    sharing = "task" if config.latent_projection == "none" else config.latent_projection
    return LatentFusion(
        width, inputs, sharing, config.latent_activation, config.latent_projection_init
    )


def shares_beams(config: VHMConfig, args: Namespace) -> bool:
    """Whether the beams of a sentence keep its states once."""
    return config.attention == "sdpa" and not args.cross_self_attention


class VHMEncoder(TransformerEncoder):
    """fairseq's encoder with the latents of its input.

    ``encoder_out`` gains ``latent`` (list of one (B x D) tensor, the joined latents of this task's
    decoder; empty without any), ``task`` and ``bundle`` (a :class:`LatentBundle`).
    """

    def __init__(self, args: Namespace, dictionary, embed_tokens):
        super().__init__(args, dictionary, embed_tokens)
        config = VHMConfig.of(args)
        self.pooling = config.latent_pooling
        self.target_gradient = not config.no_target_gradient
        self.shares_beams = shares_beams(config, args)
        self.hierarchy = build_hierarchy(config, embed_tokens.embedding_dim)
        languages = (getattr(args, "langs", None) or "").split(",")
        marks = [*map(task_tag, TASKS), *map(language_symbol, languages)]
        ids = [dictionary.eos(), *map(dictionary.index, marks)]
        special = [i for i in ids if i != dictionary.unk()]
        self.register_buffer("special_tokens", torch.tensor(special), persistent=False)
        if more := getattr(dictionary, "pretraining_symbols", 0):
            self.register_buffer(PRETRAINING_SYMBOLS, torch.tensor(more))  # a checkpoint remembers it

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor | None = None,
        return_all_hiddens: bool = False,
        token_embeddings: Tensor | None = None,
        task: str = "cls",
        target: Tensor | None = None,
        summary: Tensor | None = None,
        latent_noise: Noise | None = None,
        encoded: dict | None = None,
    ) -> dict:
        """Encode a batch and infer its latents.

        Args:
            src_tokens: (B x T).
            task: the batch's task, ``cls``, ``mt`` or ``ms``; one of pre-training meets no latents.
            target: (B x T') tokens of the target: latents are then drawn from their posteriors.
            summary: (B x T'') source-language summaries of a CLS batch (``--cls-local-target summary``).
            latent_noise: name -> (B x D) standard normal noise for draws from the priors; without it
                (and without a target) each latent is its prior's mean.
            encoded: what another task's batch of the same sources was encoded to; its states serve again.
        """
        if encoded is None:
            out = super().forward(src_tokens, src_lengths, return_all_hiddens, token_embeddings)
        else:
            out = dict(encoded)
        bundle = LatentBundle()
        if self.hierarchy is not None and task in TASKS:
            h_x = self._pool(out, src_tokens)
            if target is None:
                bundle = self.hierarchy.infer(h_x, task, latent_noise)
            else:
                h_y = self._encode_and_pool(target)
                bundle = self.hierarchy(h_x, h_y, task, self._views(h_x, h_y, summary))
        joined = [bundle[name].z for name in bundle.decoder_latents]
        out["latent"] = [torch.cat(joined, dim=-1)] if joined else []
        out["task"] = [task]
        out["bundle"] = bundle
        return out

    def _views(self, h_x: Tensor, h_y: Tensor, summary: Tensor | None) -> dict | None:
        """MT reads (summary, Y) and MS reads (X, summary), where there is a summary."""
        if summary is None:
            return None
        h_s = self._encode_and_pool(summary)
        return {"mt": (h_s, h_y), "ms": (h_x, h_s)}

    def _encode_and_pool(self, tokens: Tensor) -> Tensor:
        """h of targets and summaries; with ``--no-target-gradient`` the encoder learns nothing from them."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.target_gradient):
            return self._pool(super().forward(tokens), tokens)

    def _pool(self, out: dict, tokens: Tensor) -> Tensor:
        mask = pooling_mask(tokens, self.pooling, self.padding_idx, self.special_tokens)
        return masked_mean(out["encoder_out"][0], mask)

    def reorder_encoder_out(self, encoder_out: dict, new_order: Tensor) -> dict:
        """Beams carry the latent of their own sentence, and share its states where they stand together.

        ``latent`` has one row a hypothesis; the rest has one a sentence, of ``beams`` hypotheses each.
        """
        sentences, beams = new_order, 1
        if self.shares_beams:
            count = encoder_out["encoder_out"][0].size(1)
            sentences, beams = beams_of(new_order, count, encoder_out.get("beams", 1))
        reordered = dict(encoder_out)
        if sentences is not None:  # fairseq drops keys that it does not know
            reordered = super().reorder_encoder_out(encoder_out, sentences)
        reordered["beams"] = beams
        reordered["latent"] = [z.index_select(0, new_order) for z in encoder_out["latent"]]
        reordered["task"] = encoder_out["task"]
        return reordered


class VHMDecoder(TransformerDecoder):
    """fairseq's decoder of ``tasks`` with Eq. 8 between its last layer and the output projection.

    The last layer's attention to the source is handed out where ``returns_attention``.
    """

    reads_attention = False  # whether the decoder itself is in need of it

    def __init__(
        self, args: Namespace, dictionary, embed_tokens, tasks: Sequence[str] = TASKS, **kwargs
    ):
        super().__init__(args, dictionary, embed_tokens, **kwargs)
        config = VHMConfig.of(args)
        self.returns_attention = self.reads_attention or config.attention == "fairseq"
        self.shares_beams = shares_beams(config, args)
        inputs = decoder_inputs(config, build_hierarchy(config, self.embed_dim), tasks)
        self.fusion = build_fusion(config, self.output_embed_dim, inputs)
        wanted = inputs and config.bag_of_words_weight
        self.bag_of_words = BagOfWords(self.output_embed_dim, inputs) if wanted else None
        for layer_norm in (m for m in self.modules() if hasattr(m, "eps")):
            layer_norm.eps = config.decoder_norm_eps

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict | None,
        incremental_state: dict | None = None,
        full_context_alignment: bool = False,
        alignment_layer: int | None = None,
        alignment_heads: int | None = None,
    ):
        """Decoder states after Eq. 8 (B x T x C), and fairseq's extra outputs."""
        if alignment_layer is None and not self.returns_attention:
            alignment_layer = NO_LAYER
        if incremental_state is not None and encoder_out and self.shares_beams:
            self._step(incremental_state, encoder_out, prev_output_tokens[:, -1])
        x, extra = super().extract_features(
            prev_output_tokens,
            encoder_out,
            incremental_state,
            full_context_alignment,
            alignment_layer,
            alignment_heads,
        )
        if encoder_out and self.fusion is not None:
            latent = encoder_out["latent"][0] if encoder_out["latent"] else None
            x = self.fusion(x, latent, encoder_out["task"][0])
        return x, extra

    def _step(self, incremental_state: dict, encoder_out: dict, tokens: Tensor) -> None:
        """Tell the attention of all layers which rows (B') there are."""
        beams = self.get_incremental_state(incremental_state, BEAMS) or Beams()
        beams.step(encoder_out["encoder_out"][0], tokens.eq(self.padding_idx))
        self.set_incremental_state(incremental_state, BEAMS, beams)
        incremental_state[BEAMS] = beams

    def reorder_incremental_state(self, incremental_state: dict, new_order: Tensor) -> None:
        """Go on with the rows ``new_order``, to which ``encoder_out`` is reordered too."""
        beams = self.get_incremental_state(incremental_state, BEAMS)
        if beams is not None:
            beams.reorder(new_order)

    def make_generation_fast_(self, need_attn: bool = False, **_) -> None:
        """fairseq's commands say with ``need_attn`` that they print alignments."""
        self.returns_attention |= bool(need_attn)
        if self.shares_beams:
            lay_out_for_few_rows(self)

    def predict_words(self, encoder_out: dict, target: Tensor, special: Tensor) -> Tensor:
        """How well the latents alone tell each target's words: negative log-likelihoods (B, in nats)."""
        features = self.bag_of_words(encoder_out["latent"][0], encoder_out["task"][0])
        words = target.ne(self.padding_idx) & ~torch.isin(target, special)
        return bag_of_words_nll(self.output_layer(features), target, words)


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
    def add_args(cls, parser) -> None:
        super().add_args(parser)
        VHMConfig.add_args(parser)

    @classmethod
    def build_model(cls, args: Namespace, task):
        VHMConfig.fill(args)
        config = VHMConfig.of(args)
        share = config.share_encoder_decoder_embeddings
        if share and task.source_dictionary != task.target_dictionary:
            raise UserError("--share-encoder-decoder-embeddings requires a joined dictionary")
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
            UserError: the checkpoint does not fit.
        """
        if args.init_from and not goes_on(args):
            allowed = [pattern.strip() for pattern in args.init_allow.split(",") if pattern.strip()]
            initialise(self, args, args.init_from, allowed).log()

    @classmethod
    def build_encoder(cls, cfg: TransformerConfig, src_dict, embed_tokens) -> VHMEncoder:
        return cls.encoder_type(cfg, src_dict, embed_tokens)

    @classmethod
    def build_decoder(
        cls, cfg: TransformerConfig, tgt_dict, embed_tokens
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
        return self.decoder.decoders[task] if isinstance(self.decoder, TaskDecoders) else self.decoder

    @property
    def takes_token_loss(self) -> bool:
        """Whether the output is a plain softmax of the output projection."""
        return all(decoder.adaptive_softmax is None for decoder in self.decoders)

    @classmethod
    def from_pretrained(cls, model_name_or_path, checkpoint_file="checkpoint_best.pt", **kwargs):
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

    def load_state_dict(self, state_dict, strict=True, model_cfg=None, args=None):
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
        latent_noise: Noise | None = None,
        token_loss: TokenLoss | None = None,
        partner: dict | None = None,
        **decoder_options,
    ):
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
        encode = partial(self.encoder, src_tokens, src_lengths=src_lengths)
        decode = partial(self._decode, src_lengths=src_lengths, token_loss=token_loss, **decoder_options)
        longest = max(src_tokens.size(1), prev_output_tokens.size(1))
        with self._at_speed(longest):
            encoder_out = encode(task=task, target=target, summary=summary, latent_noise=latent_noise)
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
        **options,
    ):
        if token_loss is not None:
            options["features_only"] = True
        out, extra = self.decoder(prev_output_tokens, encoder_out=encoder_out, **options)
        if token_loss is not None:
            layer = self.decoder_of(encoder_out["task"][0]).output_projection
            out = token_loss(out, layer.weight, layer.bias, target)
        extra["latents"] = encoder_out["bundle"]
        extra["losses"] = encoder_out.get("losses", {})
        if self.bag_of_words_weight and target is not None and encoder_out["latent"]:
            extra["losses"] |= {BAG_OF_WORDS: self._bag_of_words(encoder_out, target)}
        return out, extra

    def _bag_of_words(self, encoder_out: dict, target: Tensor) -> ExtraLoss:
        decoder = self.decoder_of(encoder_out["task"][0])
        nll = decoder.predict_words(encoder_out, target, self.encoder.special_tokens)
        return ExtraLoss(nll, self.bag_of_words_weight)
