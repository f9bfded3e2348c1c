"""Attend, translate, summarize: a source word that is attended to may be put out in translation.

Zhu et al. (ACL 2020), sections 3.2 and 3.3::

    P(w) = p_trans * sum_i alpha_ti P(w | x_i) + (1 - p_trans) * P_softmax(w)

alpha is the decoder's attention to the source, P(w | x_i) the translation probability of a lexicon's
candidates, p_trans a gate.  Unlike in the released code the result is a distribution in every case: the
attention is renormalised over the positions that have candidates, and where a source has none, p_trans
is 0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_vhm.modules.lexicon import Candidates

STRATEGIES = ("naive", "equivalent", "adaptive")
LEAST_ATTENTION = 1e-9
"""Added to the attention, so that it can be renormalised where half precision has made all of it 0."""


def equivalent(candidates: Candidates) -> Candidates:
    """Every candidate of a word with the same probability."""
    filled = candidates.filled.float()
    return candidates.with_probability(filled / filled.sum(dim=-1, keepdim=True).clamp(min=1.0))


class AdaptiveTranslation(nn.Module):
    """Translation probabilities from the source's context: multi-head attention over the candidates.

    The query is the source position's encoder state, the keys are the candidates' target embeddings; the
    weights are averaged over the heads.

    Args:
        query_width: C of the encoder.
        key_width: width of the target embeddings.
        heads: attention heads, a divisor of ``query_width``.
    """

    def __init__(self, query_width: int, key_width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(query_width, query_width, bias=False)
        self.key = nn.Linear(key_width, query_width, bias=False)
        for projection in (self.query, self.key):
            nn.init.xavier_uniform_(projection.weight)

    def forward(self, states: Tensor, candidates: Candidates, embeddings: Tensor) -> Candidates:
        """Weigh ``candidates`` anew.

        Args:
            states: (S x B x C) encoder states.
            embeddings: (U x key width) of the candidates' words, each projected once.
        """
        query = self._split(self.query(states.transpose(0, 1)))  # B x S x H x C/H
        key = self._split(self.key(embeddings))[candidates.slots]  # B x S x m x H x C/H
        scores = torch.einsum("bshc,bsmhc->bshm", query * query.size(-1) ** -0.5, key).float()
        filled = candidates.filled.unsqueeze(2)
        lowest = torch.finfo(scores.dtype).min  # not -inf: a softmax of nothing but -inf is no number
        weights = scores.masked_fill(~filled, lowest).softmax(dim=-1) * filled
        return candidates.with_probability(weights.mean(dim=2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))


class TranslationGate(nn.Module):
    """``p_trans = sigmoid(W_2 (W_1 h + b_1) + b_2)`` of the decoder state h."""

    def __init__(self, width: int):
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, 1)
        for layer in (self.hidden, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Decoder states (B x T x C) to the logit of p_trans (B x T), float32."""
        return self.output(self.hidden(states)).squeeze(-1).float()


def translated_attention(attention: Tensor, candidates: Candidates) -> Tensor:
    """``sum_i alpha_ti P(w | x_i)`` for the candidates' words alone.

    Args:
        attention: (B x T x S).

    Returns:
        (B x T x U) float32, 1 in sum over U; all 0 where a source has no candidate.
    """
    alpha = (attention.float() + LEAST_ATTENTION) * candidates.translatable.unsqueeze(1)
    total = alpha.sum(dim=-1, keepdim=True)
    alpha = alpha / total.masked_fill(total == 0, 1.0)
    shares = (alpha.unsqueeze(-1) * candidates.probability.unsqueeze(1)).flatten(2)  # B x T x S*m
    slots = candidates.slots.flatten(1).unsqueeze(1).expand_as(shares)
    empty = shares.new_zeros(*alpha.shape[:2], candidates.words.numel())
    return empty.scatter_add(2, slots, shares)


def mixture(logits: Tensor, gate: Tensor, translated: Tensor, words: Tensor) -> Tensor:
    """``log P(w)``: all in logarithms, so that no probability is lost to underflow.

    Args:
        logits: (B x T x V) of the softmax.
        gate: (B x T) logit of p_trans, which counts only where ``translated`` is not all 0.
        translated: (B x T x U) of :func:`translated_attention`.
        words: (U) their places in V.

    Returns:
        (B x T x V) float32.
    """
    closed = (translated.sum(dim=-1) == 0).unsqueeze(-1)
    gate = gate.unsqueeze(-1)
    log_probability = F.log_softmax(logits, dim=-1, dtype=torch.float32)
    log_probability = log_probability + F.logsigmoid(-gate).masked_fill(closed, 0.0)
    of_softmax = log_probability.index_select(2, words)
    known = translated > 0
    of_lexicon = F.logsigmoid(gate) + translated.masked_fill(~known, 1.0).log()
    mixed = torch.where(known, torch.logaddexp(of_lexicon, of_softmax), of_softmax)
    return log_probability.index_copy_(2, words, mixed)
