"""VHM's encoder, shared by all tasks: it encodes sources and, in training only, targets, and infers latents.

The latents that enter the decoder travel in ``encoder_out``, so that fairseq's generator computes them once a
sentence and reorders them with its beams.
"""

from argparse import Namespace
from typing import Any

import torch
from fairseq.models.transformer import TransformerEncoder
from torch import Tensor

from fairseq_vhm.latent import LatentBundle
from fairseq_vhm.models.config import VHMConfig
from fairseq_vhm.models.pretrained import PRETRAINING_SYMBOLS
from fairseq_vhm.modules import LatentHierarchy, masked_mean
from fairseq_vhm.modules.beams import beams_of
from fairseq_vhm.modules.hierarchy import Noise
from fairseq_vhm.modules.pooling import pooling_mask
from fairseq_vhm.names import TASKS, language_symbol, task_tag


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


def shares_beams(config: VHMConfig, args: Namespace) -> bool:
    """Whether the beams of a sentence keep its states once."""
    return config.attention == "sdpa" and not args.cross_self_attention


class VHMEncoder(TransformerEncoder):
    """fairseq's encoder with the latents of its input.

    ``encoder_out`` gains ``latent`` (list of one (B x D) tensor, the joined latents of this task's
    decoder; empty without any), ``task`` and ``bundle`` (a :class:`LatentBundle`).
    """

    def __init__(self, args: Namespace, dictionary: Any, embed_tokens: Any) -> None:
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
        summary_rows: Tensor | None = None,
        latent_noise: Noise | None = None,
        encoded: dict | None = None,
    ) -> dict:
        """Encode a batch and infer its latents.

        Args:
            src_tokens: (B x T).
            task: the batch's task, ``cls``, ``mt`` or ``ms``; one of pre-training meets no latents.
            target: (B x T') tokens of the target: latents are then drawn from their posteriors.
            summary: (R x T'') source-language summaries of a CLS batch (``--cls-local-target summary``).
            summary_rows: (R) the rows that have them; all where it is absent.
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
                bundle = self.hierarchy(h_x, h_y, task, self._views(h_x, h_y, summary, summary_rows))
        joined = [bundle[name].z for name in bundle.decoder_latents]
        out["latent"] = [torch.cat(joined, dim=-1)] if joined else []
        out["task"] = [task]
        out["bundle"] = bundle
        return out

    def _views(self, h_x: Tensor, h_y: Tensor, summary: Tensor | None, rows: Tensor | None) -> dict | None:
        """In the rows that have a summary MT reads (summary, Y) and MS reads (X, summary), else (X, Y)."""
        if summary is None:
            return None
        h_s = self._encode_and_pool(summary)
        if rows is None:
            rows = torch.arange(len(h_s), device=h_s.device)
        return {"mt": (h_x.index_copy(0, rows, h_s), h_y), "ms": (h_x, h_y.index_copy(0, rows, h_s))}

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
        sentences: Tensor | None = new_order
        beams = 1
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
