"""From encoder states to one vector a sentence (Liang et al. 2022, below Eq. 2: mean over positions)."""

import torch
from torch import Tensor

POOLING = ("non-pad", "words", "all")
"""``non-pad``: every position but padding, EOS and tag included (default); ``words``: without EOS and
tag; ``all``: padding counted too, as in the released code, so that h depends on the batch."""


def pooling_mask(tokens: Tensor, kind: str, pad: int, special: Tensor) -> Tensor:
    """Which positions (B x T, bool) are averaged; ``special`` holds the ids of EOS and of the tags."""
    if kind == "all":
        return torch.ones_like(tokens, dtype=torch.bool)
    mask = tokens.ne(pad)
    if kind == "words":
        words = mask & ~torch.isin(tokens, special)
        mask = torch.where(words.any(dim=1, keepdim=True), words, mask)
    return mask


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``states`` (T x B x C) where ``mask`` (B x T) holds, in float32: (B x C)."""
    weights = mask.t().unsqueeze(-1).float()
    return (states.float() * weights).sum(dim=0) / weights.sum(dim=0)
