"""Noise of the pre-training tasks: pure functions of a text and a random generator.

A text is an array of token ids without EOS and marks, so that neither is ever touched.  fairseq's own
``DenoisingDataset`` draws from torch's global generator, which differs between workers and after a resume,
and its ``WordShuffle`` never moves the first word; hence these.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

Tokens = np.ndarray

MLM_TARGETS = ("masked", "text")


class Noise(Protocol):
    """From a text to what the encoder reads and what the decoder writes."""

    def __call__(self, text: Tokens, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Source and target of a text."""

    def target_length(self, length: int) -> int:
        """Tokens that the decoder writes for a text of ``length`` tokens."""


@dataclass(frozen=True)
class SpanMasking:
    """Masked language modelling in an encoder-decoder: spans of the text give way to one ``mask`` each.

    Args:
        mask: id of the mask.
        share: of the tokens that is masked, rounded, at least one.
        span: mean number of tokens in a span; 1 masks single tokens.
        target: ``masked``: the decoder writes each span behind a mask (so that source and target together
            hold the text); ``text``: all of the text.
    """

    mask: int
    share: float
    span: float
    target: str

    def __call__(self, text: Tokens, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        masked = self.masked_positions(len(text), rng)
        starts = masked & ~np.append(False, masked[:-1])
        source = np.where(masked, self.mask, text)[~masked | starts]
        if self.target == "text":
            return source, text
        return source, np.insert(text[masked], np.flatnonzero(starts[masked]), self.mask)

    def masked_positions(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Which of ``length`` positions are masked: spans of random length, in random places, apart."""
        masked, spans = self.counts(length)
        inside = _composition(masked, spans, rng)
        between = _composition(length - masked + 2, spans + 1, rng)
        between[[0, -1]] -= 1  # a text may begin and end with a span
        runs = np.empty(2 * spans + 1, np.int64)
        runs[::2], runs[1::2] = between, inside
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs)

    def counts(self, length: int) -> tuple[int, int]:
        """Number of masked tokens and of spans in a text of ``length`` tokens."""
        masked = max(1, round(self.share * length))
        return masked, min(max(1, round(masked / self.span)), length - masked + 1)

    def target_length(self, length: int) -> int:
        """Tokens that the decoder writes for a text of ``length`` tokens."""
        return length if self.target == "text" else sum(self.counts(length))


@dataclass(frozen=True)
class WordNoise:
    """Denoising: words shuffled, dropped and masked (Lample et al., 2018, section 2.3); the text is written.

    Args:
        mask: id of the mask, which stands for a whole word.
        shuffle: most positions that a word moves by.
        drop: probability that a word is left out; one always stays.
        blank: probability that a word is masked.
        words: what parts a text into words.
    """

    mask: int
    shuffle: int
    drop: float
    blank: float
    words: "Words"

    def __call__(self, text: Tokens, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        words = self.words(text)
        places = np.arange(len(words)) + rng.uniform(0, self.shuffle + 1, len(words))
        order = np.argsort(places, kind="stable")
        kept = rng.random(len(words)) >= self.drop
        kept[rng.integers(len(words))] |= not kept.any()
        blank = rng.random(len(words)) < self.blank
        return np.concatenate([[self.mask] if blank[i] else words[i] for i in order if kept[i]]), text

    @staticmethod
    def target_length(length: int) -> int:
        """Tokens that the decoder writes for a text of ``length`` tokens."""
        return length


class Words:
    """Parts a text into words, by the marks that subword units carry (``@@`` behind, or ``▁`` before).

    Args:
        symbols: the dictionary's, by id.
    """

    def __init__(self, symbols: list[str]):
        marked = any(symbol.startswith("▁") for symbol in symbols)
        self.joins_previous = np.array([marked and not symbol.startswith("▁") for symbol in symbols])
        self.joins_next = np.array([symbol.endswith("@@") for symbol in symbols])

    def __call__(self, text: Tokens) -> list[Tokens]:
        inside = self.joins_previous[text[1:]] | self.joins_next[text[:-1]]
        return np.split(text, np.flatnonzero(~inside) + 1)


def _composition(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """``total`` as a sum of ``parts`` positive numbers, each such sum as likely as any other."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))
