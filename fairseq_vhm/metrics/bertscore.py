"""BERTScore (Zhang et al., ICLR 2020): tokens matched greedily by the ``bert-score`` library.

Without IDF weights and without rescaling.  The encoder is ours, so that texts are encoded once for
all metrics and cut by one rule; the library itself (0.3.13) fails on an empty text and on tokenizers
without a stated limit under transformers 5, and looks for ``t5`` and ``scibert`` in the path.  An
empty side scores 0.
"""

import math
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np

from fairseq_vhm.metrics.averages import (
    flat_pairs,
    mean_score,
    over_references,
    references_field,
    signature,
)
from fairseq_vhm.metrics.base import MultiReference, Score, Track
from fairseq_vhm.text.encoders import TokenEncoder, Tokens
from fairseq_vhm.text.pretrained import loading

NAME = "bertscore"
USUAL_DEPTH = 0.75
"""Share of the layers up to the one that is taken of a model the library has no layer for."""

F1, PRECISION, RECALL = range(3)


def score_bertscore(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    encoder: TokenEncoder,
    multi_ref: MultiReference = "best",
    track: Track = iter,
) -> Score:
    """BERTScore of outputs against one or more references each, in points.

    Args:
        hypotheses: N outputs.
        references: N lists of at least one reference.
        encoder: its ``layer`` where that is set, else :func:`usual_layer`.
        multi_ref: with several references, the one of highest F or the mean of P, R and F.
        track: wraps groups of pairs, to show progress.

    Returns:
        A :class:`Score` with the parts ``f, p, r, low, high`` and ``cut``, the number of texts longer
        than the encoder reads.
    """
    layer = usual_layer(encoder) if encoder.layer is None else encoder.layer
    pairs = flat_pairs(hypotheses, references)
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    tokens = dict(zip(texts, encoder.tokenize(texts), strict=True))
    match = _matcher(encoder)
    scores = np.zeros((len(pairs), 3))
    for row, *vectors in encoder.embed_pairs(pairs, layer, track):
        sides = ((states, tokens[text]) for states, text in zip(vectors, pairs[row], strict=True))
        scores[row] = match(*sides)
    outputs = over_references(scores, references, multi_ref, by=F1)
    label = signature(
        NAME,
        f"model:{encoder.identity}|layer:{layer}|max:{encoder.max_length}|idf:no|rescaled:no|empty:0",
        references_field(references, multi_ref),
        f"scorer:bert-score-{version('bert-score')}|transformers:{version('transformers')}",
    )
    return _score(outputs, label, cut=sum(text.cut for text in tokens.values()))


def usual_layer(encoder: TokenEncoder) -> int:
    """The layer that the library's authors found best for a model of the folder's name, else that at
    three quarters of the depth (9 of 12, 18 of 24, 5 of 6), where theirs mostly lie."""
    with loading(encoder.path, "bert_score"):
        from bert_score.utils import model2layers

    by_name = {name.rpartition("/")[2]: layer for name, layer in model2layers.items()}
    tuned = by_name.get(encoder.path.resolve().name, encoder.layers + 1)
    return tuned if tuned <= encoder.layers else math.ceil(USUAL_DEPTH * encoder.layers)


def _matcher(encoder: TokenEncoder) -> Callable[..., tuple]:
    """The library's matching of two texts, each its vectors (T x D) and tokens; F1, precision, recall."""
    with loading(encoder.path, "bert_score"):
        import torch
        from bert_score.utils import greedy_cos_idf

    def side(vectors: np.ndarray, tokens: Tokens) -> tuple:
        weights = torch.from_numpy(~tokens.special).float()
        return torch.from_numpy(vectors.copy())[None], torch.ones(1, len(vectors)), weights[None]

    def match(hypothesis: tuple[np.ndarray, Tokens], reference: tuple[np.ndarray, Tokens]) -> tuple:
        if any(tokens.special.all() for _, tokens in (hypothesis, reference)):
            return 0.0, 0.0, 0.0
        precision, recall, f1 = greedy_cos_idf(*side(*reference), *side(*hypothesis))
        return float(f1), float(precision), float(recall)

    return match


def _score(outputs: np.ndarray, label: str, cut: int) -> Score:
    mean = mean_score(NAME, outputs[:, F1], label)
    precision, recall = 100 * outputs[:, [PRECISION, RECALL]].mean(axis=0)
    parts = {"f": mean.value, "p": float(precision), "r": float(recall)}
    parts |= {bound: mean.parts[bound] for bound in ("low", "high")}
    return Score(NAME, mean.value, mean.per_segment, label, {**parts, "cut": float(cut)})
