"""Attention by torch's ``scaled_dot_product_attention`` where nobody reads the weights.

fairseq takes it in self-attention of whole texts alone: attention to the source (``static_kv``) and decoding
step by step compute the weights in full.  :func:`use_sdpa` puts it there too; parameters keep their names.
Decoding keeps keys and values as :mod:`fairseq_vhm.modules.beams` says.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from fairseq.modules import MultiheadAttention
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fairseq_vhm.modules.beams import Beams, with_room

ATTENTION = ("sdpa", "fairseq")
BEAMS = "beams"
"""Where a decoder that works by :class:`Beams` puts them in the incremental state."""
KEY, VALUE, PADDING = "prev_key", "prev_value", "prev_key_padding_mask"
"""fairseq's names in its cache."""
SHORT, SHORT_IN_MEDIUM = 128, 256
"""Up to so many tokens torch's fused kernel on a CPU, forward and backward, takes longer than plain products:
in 16 bits up to thrice, with float32 products of ``medium`` precision up to eight times as long (torch 2.13;
``benchmarks/parts.py``)."""


class ScaledDotProductAttention(MultiheadAttention):
    """fairseq's attention, with its parameters; whatever needs the weights is left to fairseq."""

    def forward(
        self,
        query: Tensor,
        key: Tensor | None,
        value: Tensor | None,
        key_padding_mask: Tensor | None = None,
        incremental_state: dict | None = None,
        need_weights: bool = True,
        static_kv: bool = False,
        attn_mask: Tensor | None = None,
        before_softmax: bool = False,
        need_head_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As fairseq's; to the source, ``query`` may have several rows for each of ``key``.

        Args:
            query: (T x B' x C).
            key, value: (S x B x C), B' a multiple of B.
            key_padding_mask: (B x S), true where there is padding.
            attn_mask: (T x S), added to the scores.

        Returns:
            (T x B' x C), and the weights or ``None``.
        """
        beams = self._beams(incremental_state)
        if beams and self.encoder_decoder_attention:
            self._follow(beams, incremental_state or {})
        weights = need_weights or need_head_weights or before_softmax
        if not weights and self.encoder_decoder_attention and self._is_plain():
            assert key is not None, "the encoder's states"
            k, v, padding = self._of_source(key, key_padding_mask, incremental_state)
            keep = None if padding is None else ~padding.bool()[:, None, None]
            return self._attend(query, k, v, keep), None
        if not weights and beams:
            k, v = self._of_prefix(query, beams, incremental_state or {})
            return self._attend(query, k, v, beams.mask), None
        return super().forward(
            query,
            key,
            value,
            key_padding_mask=key_padding_mask,
            incremental_state=incremental_state,
            need_weights=need_weights,
            static_kv=static_kv,
            attn_mask=attn_mask,
            before_softmax=before_softmax,
            need_head_weights=need_head_weights,
        )

    def reorder_incremental_state(self, incremental_state: dict, new_order: Tensor) -> dict | None:
        """Keep the rows ``new_order``; with :class:`Beams`, at the next step."""
        if self._beams(incremental_state):
            return incremental_state
        return super().reorder_incremental_state(incremental_state, new_order)

    def _is_plain(self) -> bool:
        special = self.add_zero_attn or self.use_xformers or self.onnx_trace
        return not special and self.bias_k is None

    def _beams(self, incremental_state: dict | None) -> Beams | None:
        known = self.self_attention or self.encoder_decoder_attention
        return incremental_state.get(BEAMS) if incremental_state and known and self._is_plain() else None

    def _follow(self, beams: Beams, incremental_state: dict) -> None:
        """Let the cache hold the sentences that there are."""
        if beams.move is None:
            return
        cache = self._get_input_buffer(incremental_state)
        for name, kept in cache.items():
            cache[name] = None if kept is None else beams.move.of_source(kept)

    def _of_source(
        self, states: Tensor, padding: Tensor | None, incremental_state: dict | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys and values (B x H x S x C/H) of the encoder's states and their padding, or the cached ones."""
        cache = self._get_input_buffer(incremental_state)
        if KEY not in cache:
            k, v = self._heads(self.k_proj(states)), self._heads(self.v_proj(states))
            if incremental_state is not None:  # read at every step
                k, v = k.contiguous(), v.contiguous()
            cache = {KEY: k, VALUE: v, PADDING: padding}
            self._set_input_buffer(incremental_state, cache)
        return cache[KEY], cache[VALUE], cache[PADDING]

    def _of_prefix(self, query: Tensor, beams: Beams, incremental_state: dict) -> tuple[Tensor, Tensor]:
        """Keys and values (B x H x T * beams x C/H) of all positions; ``query`` (1 x B' x C) is the last."""
        cache, end = self._get_input_buffer(incremental_state), beams.length * beams.size
        for name, projection in ((KEY, self.k_proj), (VALUE, self.v_proj)):
            new = projection(query).view(-1, beams.size, self.num_heads, self.head_dim).transpose(1, 2)
            kept = cache.get(name, new)
            if name in cache and beams.move:
                kept = beams.move.of_prefix(kept)
            cache[name] = with_room(kept, end)
            cache[name][:, :, end - beams.size : end] = new
        self._set_input_buffer(incremental_state, cache)
        return cache[KEY][:, :, :end], cache[VALUE][:, :, :end]

    def _attend(self, query: Tensor, k: Tensor, v: Tensor, keep: Tensor | None) -> Tensor:
        """(T x B' x C); the rows of a sentence are so many more queries of it."""
        length, sentences = query.size(0), k.size(0)
        q = self.q_proj(query).view(length, sentences, -1, self.num_heads, self.head_dim)
        q = q.permute(1, 3, 2, 0, 4)  # B x H x B'/B x T x C/H
        dropout = self.dropout_module
        active = dropout.training or dropout.apply_during_inference
        x = F.scaled_dot_product_attention(
            q.flatten(2, 3), k, v, attn_mask=keep, dropout_p=dropout.p if active else 0.0
        )
        x = x.view(*q.shape).permute(3, 0, 2, 1, 4)
        return self.out_proj(x.reshape(query.shape))

    def _heads(self, x: Tensor) -> Tensor:
        """(T x B x C) as (B x H x T x C/H)."""
        return x.view(*x.shape[:2], self.num_heads, self.head_dim).permute(1, 2, 0, 3)


def kernel_for(weight: Tensor, longest: int) -> AbstractContextManager:
    """In it attention takes plain products where torch's choice is slow; its gradients too, later.

    Args:
        weight: of the model, for its kind and place.
        longest: tokens of the longest text.
    """
    if weight.device.type != "cpu" or not torch.is_grad_enabled():
        return nullcontext()
    if weight.dtype in (torch.bfloat16, torch.float16):
        slow = longest <= SHORT
    else:
        slow = torch.get_float32_matmul_precision() == "medium" and longest <= SHORT_IN_MEDIUM
    return sdpa_kernel(SDPBackend.MATH) if slow else nullcontext()


def use_sdpa(transformer: nn.Module) -> None:
    """Put the fast attention in place of fairseq's, and stop its layers from asking for all the weights."""
    for module in transformer.modules():
        if type(module) is MultiheadAttention:
            module.__class__ = ScaledDotProductAttention
        if hasattr(module, "need_attn"):
            module.need_attn = False  # type: ignore[assignment]  # fairseq's layers keep a bool there
