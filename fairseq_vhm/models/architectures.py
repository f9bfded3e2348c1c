"""Sizes of the models: each edits its parent in a few lines, and the user's own flags win."""

from argparse import Namespace
from typing import Any

from fairseq.models import register_model_architecture
from fairseq.models.transformer import base_architecture

from fairseq_vhm.models import ats_transformer as _ats  # noqa: F401  (before its sizes)
from fairseq_vhm.models import hf_mt5 as _mt5  # noqa: F401  (before its sizes)
from fairseq_vhm.models import ms_cls_rec as _baseline  # noqa: F401  (before its sizes)
from fairseq_vhm.models import vhm_transformer as _registered  # noqa: F401  (before its sizes)
from fairseq_vhm.models.config import VHMConfig
from fairseq_vhm.models.hf_mt5 import HFMT5Config


def _set(args: Namespace, **defaults: Any) -> None:
    for name, value in defaults.items():
        setattr(args, name, getattr(args, name, value))


@register_model_architecture("vhm_transformer", "vhm_transformer")
def vhm_transformer(args: Namespace) -> None:
    """Transformer Base of the paper: 6+6 layers, width 512, 2048 in the FFN, 8 heads; pre-norm."""
    VHMConfig.fill(args)
    pre_norm = not args.post_norm
    _set(args, encoder_normalize_before=pre_norm, decoder_normalize_before=pre_norm)
    base_architecture(args)


@register_model_architecture("vhm_transformer", "vhm_transformer_tiny")
def vhm_transformer_tiny(args: Namespace) -> None:
    """For trying on a CPU: 2+2 layers, width 64."""
    _set(
        args,
        encoder_embed_dim=64,
        encoder_ffn_embed_dim=128,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        latent_dim=32,
    )
    vhm_transformer(args)


@register_model_architecture("vhm_transformer", "vhm_transformer_big")
def vhm_transformer_big(args: Namespace) -> None:
    """Transformer Big: width 1024, 4096 in the FFN, 16 heads, dropout 0.3."""
    _set(
        args,
        encoder_embed_dim=1024,
        encoder_ffn_embed_dim=4096,
        encoder_attention_heads=16,
        decoder_attention_heads=16,
        dropout=0.3,
    )
    vhm_transformer(args)


@register_model_architecture("vhm_transformer", "vhm_mbart_large")
def vhm_mbart_large(args: Namespace) -> None:
    """mBART-25 (Liu et al., 2020) with VHM's latents: 12+12 layers, width 1024, one table of embeddings.

    As fairseq's ``mbart_large``, with the norms that ``mbart.cc25`` was trained with.
    """
    _set(
        args,
        encoder_embed_dim=1024,
        encoder_ffn_embed_dim=4096,
        encoder_layers=12,
        decoder_layers=12,
        encoder_attention_heads=16,
        decoder_attention_heads=16,
        encoder_learned_pos=True,
        decoder_learned_pos=True,
        layernorm_embedding=True,
        activation_fn="gelu",
        share_all_embeddings=True,
        biases="fairseq",
        latent_projection_init="identity",
    )
    vhm_transformer(args)


@register_model_architecture("ms_cls_rec_transformer", "ms_cls_rec_transformer")
def ms_cls_rec_transformer(args: Namespace) -> None:
    """MS-CLS-Rec (Cao et al., 2020) in the size of ``vhm_transformer``: a decoder a task, no latents."""
    _set(args, latents="none", decoders="task")
    vhm_transformer(args)


@register_model_architecture("ms_cls_rec_transformer", "ms_cls_rec_transformer_tiny")
def ms_cls_rec_transformer_tiny(args: Namespace) -> None:
    """The same in the size of ``vhm_transformer_tiny``."""
    _set(args, latents="none", decoders="task")
    vhm_transformer_tiny(args)


@register_model_architecture("ats_transformer", "ats_transformer")
def ats_transformer(args: Namespace) -> None:
    """ATS (Zhu et al., 2020) in the size of ``vhm_transformer``, without latents."""
    _set(args, latents="none")
    vhm_transformer(args)


@register_model_architecture("ats_transformer", "ats_transformer_tiny")
def ats_transformer_tiny(args: Namespace) -> None:
    """The same in the size of ``vhm_transformer_tiny``."""
    _set(args, latents="none")
    vhm_transformer_tiny(args)


@register_model_architecture("hf_mt5", "hf_mt5")
def hf_mt5(args: Namespace) -> None:
    """HuggingFace's mT5 (Xue et al., 2021), in the size that its ``config.json`` says."""
    HFMT5Config.fill(args)
