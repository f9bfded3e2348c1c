"""MoverScore: word mover's distance over contextual embeddings (Zhao et al., EMNLP 2019).

As the authors' second version computes it, which is the one in use for summaries: vectors of the
encoder's last layer, scaled to unit length; Euclidean costs; each word weighted by its inverse
document frequency, ``log((N + 1) / (n + 1))``, outputs counted among outputs and references among
references; punctuation (ASCII) and the second and later pieces of a word (WordPiece ``##``) left out,
stop words kept.  The score is 1 minus the distance: 1 for equal texts with equal weights, at least -1.
``ngram=2`` moves mean vectors of two neighbours, weighted by frequency, as in their first version.

Rules of our own, where that version gives 1 by accident (weights that are all 0 move nothing): a text
of which nothing is left scores 0, and one whose words are all in every text (the same line again and
again) has equal weights.
"""

import math
import string
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.averages import (
    flat_pairs,
    mean_score,
    over_references,
    references_field,
    signature,
)
from fairseq_vhm.metrics.base import MultiReference, Score, Track
from fairseq_vhm.text.encoders import TokenEncoder, Tokens
from fairseq_vhm.text.pretrained import INSTALL

NAME = "moverscore"
PUNCTUATION = frozenset(string.punctuation)
CONTINUATION = "##"
WORD_STARTS = "▁Ġ"
Frequencies = dict[int, float]
Solver = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def score_moverscore(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    encoder: TokenEncoder,
    multi_ref: MultiReference = "best",
    ngram: int = 1,
    track: Track = iter,
) -> Score:
    """MoverScore of outputs against one or more references each, in points.

    Args:
        hypotheses: N outputs.
        references: N lists of at least one reference.
        encoder: its ``layer`` where that is set, else its last one.
        multi_ref: with several references, the highest score or their mean.
        ngram: words that are moved together.
        track: wraps groups of pairs, to show progress.

    Returns:
        A :class:`Score` whose part ``cut`` counts texts longer than the encoder reads.
    """
    layer = encoder.layers if encoder.layer is None else encoder.layer
    sides = [_Side(hypotheses, encoder), _Side([one for several in references for one in several], encoder)]
    pairs = flat_pairs(hypotheses, references)
    solve = _solver()
    scores = np.empty((len(pairs), 1))
    for row, *vectors in encoder.embed_pairs(pairs, layer, track):
        output, reference = (
            side.moved(text, states, ngram)
            for side, text, states in zip(sides, pairs[row], vectors, strict=True)
        )
        scores[row] = mover_score(*output, *reference, solve)
    label = signature(
        NAME,
        f"model:{encoder.identity}|layer:{layer}|max:{encoder.max_length}",
        f"ngram:{ngram}|idf:own-sets|pieces:first-of-word|punctuation:left-out|empty:0",
        references_field(references, multi_ref),
        f"solver:POT-{version('POT')}|transformers:{version('transformers')}",
    )
    cut = len({text for side in sides for text, tokens in side.tokens.items() if tokens.cut})
    return mean_score(NAME, over_references(scores, references, multi_ref)[:, 0], label, cut=float(cut))


def mover_score(
    weights: np.ndarray, vectors: np.ndarray, other_weights: np.ndarray, others: np.ndarray, solve: Solver
) -> float:
    """1 minus the cost of moving one text's words onto the other's.

    Args:
        weights, vectors: of T words (T and T x D, unit length).
        other_weights, others: of U words.
        solve: least cost of moving one distribution (T) onto another (U) at given costs (T x U).

    Returns:
        A figure in [-1, 1]; 0 where a side has no word.
    """
    if not len(weights) or not len(other_weights):
        return 0.0
    from scipy.spatial.distance import cdist

    costs = cdist(vectors, others)
    return 1.0 - solve(weights / weights.sum(), other_weights / other_weights.sum(), costs)


def inverse_frequencies(texts: Sequence[Tokens]) -> Frequencies:
    """``log((N + 1) / (n + 1))`` of each token that is in n of N texts."""
    found = Counter(number for text in texts for number in set(text.ids))
    return {number: math.log((len(texts) + 1) / (count + 1)) for number, count in found.items()}


class _Side:
    """The outputs, or the references: their tokens and how rare each is among them."""

    def __init__(self, texts: Sequence[str], encoder: TokenEncoder) -> None:
        every = encoder.tokenize(texts)
        self.tokens = dict(zip(texts, every, strict=True))
        self._rarity = inverse_frequencies(every)

    def moved(self, text: str, vectors: np.ndarray, ngram: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights (T) and unit vectors (T x D) of the words, or of ``ngram`` neighbours each."""
        tokens = self.tokens[text]
        kept = np.flatnonzero(words(tokens))
        weights = np.array([self._rarity[tokens.ids[place]] for place in kept])
        if not weights.sum() > 0:
            weights = np.ones(len(kept))
        return grams(weights, _unit(vectors[kept].astype(np.float64)), ngram)


def words(tokens: Tokens) -> np.ndarray:
    """Which tokens are moved: no special ones, no punctuation, no later pieces of words."""
    texts = [piece.lstrip(WORD_STARTS) for piece in tokens.pieces]
    left_out = [not text or text in PUNCTUATION or text.startswith(CONTINUATION) for text in texts]
    return ~(tokens.special | np.array(left_out, dtype=bool))


def grams(weights: np.ndarray, vectors: np.ndarray, ngram: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours moved together (fewer where the text is shorter): sums of weights, and of weighted vectors
    at unit length."""
    if ngram == 1 or len(weights) < 2:
        return weights, vectors
    width = min(ngram, len(weights))
    spans = [slice(start, start + width) for start in range(len(weights) - width + 1)]
    sums = np.array([weights[span].sum() for span in spans])
    return sums, _unit(np.array([weights[span] @ vectors[span] for span in spans]))


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def _solver() -> Solver:
    try:
        from ot import emd2
    except ImportError as error:
        raise UserError(f"moverscore needs the package POT; {INSTALL}") from error
    return lambda weights, others, costs: float(emd2(weights, others, costs))
