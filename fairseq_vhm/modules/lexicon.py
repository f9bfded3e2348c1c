"""A bilingual lexicon as a table, and the translation candidates of a batch's source words."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Candidates:
    """Translations of the words of a batch of B sources with S positions; they travel with the beams.

    Args:
        words: (U) the different symbols among all candidates, which the batch's sentences share.
        slots: (B x S x m) place of each candidate in ``words``.
        probability: (B x S x m) float32, P(candidate | source word); 0 in slots that are empty.  Over
            the candidates of a word it sums to 1.
    """

    words: Tensor
    slots: Tensor
    probability: Tensor

    @property
    def filled(self) -> Tensor:
        """(B x S x m) which slots hold a candidate."""
        return self.probability > 0

    @property
    def translatable(self) -> Tensor:
        """(B x S) which source positions have a candidate."""
        return self.filled.any(dim=-1)

    def with_probability(self, probability: Tensor) -> "Candidates":
        """The same candidates, weighed otherwise."""
        return Candidates(self.words, self.slots, probability)

    def reorder(self, new_order: Tensor) -> "Candidates":
        """The sentences in ``new_order``, as beam search asks for them."""
        chosen = (field.index_select(0, new_order) for field in (self.slots, self.probability))
        return Candidates(self.words, *chosen)


class Lexicon(nn.Module):
    """Up to m translations of each symbol, with their probabilities: buffers that a checkpoint keeps.

    Args:
        symbols: size of the dictionary.
        candidates: m.
        pad: symbol that fills empty places of the table, with probability 0.
    """

    words: Tensor
    probability: Tensor

    def __init__(self, symbols: int, candidates: int, pad: int) -> None:
        super().__init__()
        self.pad = pad
        self.register_buffer("words", torch.full((symbols, candidates), pad, dtype=torch.int32))
        self.register_buffer("probability", torch.zeros(symbols, candidates))

    def fill(self, translations: Mapping[int, Mapping[int, float]]) -> None:
        """Hold source -> target -> probability alone: the m best of each source, to sum to 1."""
        self.words.fill_(self.pad)
        self.probability.zero_()
        rows: list[tuple[int, int, int, float]] = []
        for source, targets in translations.items():
            best = sorted(targets.items(), key=lambda item: (-item[1], item[0]))[: self.words.size(1)]
            total = sum(probability for _, probability in best)
            rows += [(source, place, word, p / total) for place, (word, p) in enumerate(best)]
        sources, places, words, probability = map(torch.tensor, zip(*rows, strict=True))
        self.words[sources, places] = words.to(self.words)
        self.probability[sources, places] = probability.to(self.probability)

    def forward(self, tokens: Tensor) -> Candidates:
        """The candidates of sources (B x S)."""
        probability = self.probability[tokens].float()
        total = probability.sum(dim=-1, keepdim=True)
        words, slots = self.words[tokens].long().unique(return_inverse=True)
        return Candidates(words, slots, probability / total.masked_fill(total == 0, 1.0))
