"""VHM's decoder: fairseq's, whose last states meet the latents (Eq. 8) before the output projection."""

from argparse import Namespace
from collections.abc import Collection
from typing import Any

import torch
from fairseq.models.transformer import TransformerDecoder
from torch import Tensor

from fairseq_vhm.models.config import VHMConfig
from fairseq_vhm.models.vhm_encoder import build_hierarchy, shares_beams
from fairseq_vhm.modules import LatentFusion, LatentHierarchy
from fairseq_vhm.modules.attention import BEAMS
from fairseq_vhm.modules.bag_of_words import BagOfWords, bag_of_words_nll
from fairseq_vhm.modules.beams import Beams
from fairseq_vhm.modules.layout import lay_out_for_few_rows
from fairseq_vhm.names import TASKS

NO_LAYER = -1


def decoder_inputs(
    config: VHMConfig, hierarchy: LatentHierarchy | None, tasks: Collection[str] = TASKS
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


class VHMDecoder(TransformerDecoder):
    """fairseq's decoder of ``tasks`` with Eq. 8 between its last layer and the output projection.

    The last layer's attention to the source is handed out where ``returns_attention``.
    """

    reads_attention = False  # whether the decoder itself is in need of it

    def __init__(
        self,
        args: Namespace,
        dictionary: Any,
        embed_tokens: Any,
        tasks: Collection[str] = TASKS,
        **kwargs: Any,
    ) -> None:
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
    ) -> Any:
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

    def make_generation_fast_(self, need_attn: bool = False, **_: Any) -> None:
        """fairseq's commands say with ``need_attn`` that they print alignments."""
        self.returns_attention |= bool(need_attn)
        if self.shares_beams:
            lay_out_for_few_rows(self)

    def predict_words(self, encoder_out: dict, target: Tensor, special: Tensor) -> Tensor:
        """How well the latents alone tell each target's words: negative log-likelihoods (B, in nats)."""
        assert self.bag_of_words is not None, "--bag-of-words-weight"
        features = self.bag_of_words(encoder_out["latent"][0], encoder_out["task"][0])
        words = target.ne(self.padding_idx) & ~torch.isin(target, special)
        return bag_of_words_nll(self.output_layer(features), target, words)
