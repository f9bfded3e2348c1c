"""ROUGE-1, -2 and -L (Lin, 2004) that agree with ROUGE-1.5.5 ``-c 95 -r 1000 -n 2 -a -m``.

Overlaps are counted by the ``rouge-score`` library (clipped n-grams, summary-level union LCS).
Around it stands what agreement to the digit takes: the tokens of each language, the script's
stemmer, its rounding of every figure to five decimals, and its bootstrap.
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from fairseq_vhm.metrics import averages as shared
from fairseq_vhm.metrics import bootstrap
from fairseq_vhm.metrics.base import MultiReference, Score, Track
from fairseq_vhm.metrics.tokens import Sentences, TokenRule, rule_for

NAMES = ("rouge1", "rouge2", "rougeL")
LIBRARY_NAMES = ("rouge1", "rouge2", "rougeLsum")
SCRIPT_OPTIONS = f"-c {bootstrap.CONFIDENCE} -r {bootstrap.RESAMPLES} -n 2 -m"
RECALL, PRECISION, F1 = range(3)


def score_rouge(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    lang: str,
    swap_roles: bool = False,
    multi_ref: MultiReference = "best",
    track: Track = iter,
) -> list[Score]:
    """ROUGE-1, -2 and -L of outputs against one or more references each.

    Args:
        hypotheses: N outputs.
        references: N lists of at least one reference.
        lang: language of both, which chooses the tokens (:func:`~.tokens.rule_for`).
        swap_roles: hand the output to ROUGE as the reference and the reference as the output, as
            the published NCLS tables were made; exchanges P and R, and moves the F of ROUGE-L.
        multi_ref: with several references, take for each output and metric the one of highest F
            (``best``) or the mean of P, R and F over them (``mean``).
        track: wraps the iteration over pairs, to show progress.

    Returns:
        One :class:`Score` for each of ``NAMES``, in points.
    """
    rule = rule_for(lang)
    segments = np.empty((len(hypotheses), len(NAMES), 3))
    outputs = list(zip(hypotheses, references, strict=True))
    for row, (hypothesis, several) in enumerate(track(outputs)):
        pairs = [pair_scores(hypothesis, one, rule, swap_roles) for one in several]
        segments[row] = combine(np.array(pairs), multi_ref)
    return summarise(segments, signature(rule, references, swap_roles, multi_ref))


def sentence_rouge(hypothesis: str, reference: str, lang: str) -> dict[str, float]:
    """F of ROUGE-1, -2 and -L of one pair in points, for validation in training: no bootstrap."""
    f1 = 100 * pair_scores(hypothesis, reference, rule_for(lang))[:, F1]
    return dict(zip(NAMES, f1.tolist(), strict=True))


def pair_scores(
    hypothesis: str, reference: str, rule: TokenRule, swap_roles: bool = False
) -> np.ndarray:
    """Recall, precision and F (columns) of ROUGE-1, -2, -L (rows) in 0-1; 0 for an empty side."""
    model, peer = (hypothesis, reference) if swap_roles else (reference, hypothesis)
    counted = _library().score(_spaced(rule.sentences(model)), _spaced(rule.sentences(peer)))
    return np.array([_rounded(counted[name]) for name in LIBRARY_NAMES])


def combine(pairs: np.ndarray, multi_ref: MultiReference) -> np.ndarray:
    """Scores against several references (R x 3 x 3) to those of the output (3 x 3)."""
    if multi_ref == "mean":
        return pairs.mean(axis=0)
    best = pairs[:, :, F1].argmax(axis=0)
    return pairs[best, np.arange(len(NAMES))]


def summarise(
    segments: np.ndarray, signature: str, averages: np.ndarray | None = None
) -> list[Score]:
    """Scores from those of the outputs (N x 3 x 3).

    ``averages`` (3 x 3 x 3: metric; recall, precision, F; mean, low, high) are those of another
    scorer; by default :func:`~.bootstrap.average` makes them.
    """
    if averages is None:
        flat = bootstrap.average(segments.reshape(len(segments), -1))
        averages = np.stack(flat, axis=-1).reshape(len(NAMES), 3, 3)
    points = (100 * averages).round(bootstrap.DECIMALS - 2)
    return [
        _score(name, points[row], 100 * segments[:, row, F1], signature)
        for row, name in enumerate(NAMES)
    ]


def signature(
    rule: TokenRule,
    references: Sequence[Sequence[str]],
    swap_roles: bool,
    multi_ref: MultiReference,
    scorer: str | None = None,
) -> str:
    """All that the figures depend on, as ``key:value`` pairs in sacreBLEU's manner."""
    return shared.signature(
        f"ROUGE-1.5.5 {SCRIPT_OPTIONS}",
        f"scorer:{scorer or 'rouge-score-' + version('rouge-score')}",
        shared.references_field(references, multi_ref),
        f"roles:{'swapped' if swap_roles else 'normal'}",
        f"tok:{rule.name}",
        "order:pyrouge",
    )


def _score(name: str, averages: np.ndarray, per_segment: np.ndarray, signature: str) -> Score:
    (recall, _, _), (precision, _, _), (f1, low, high) = averages.tolist()
    parts = {"f": f1, "p": precision, "r": recall, "low": low, "high": high}
    return Score(name, f1, per_segment.tolist(), signature, parts)


def _rounded(counted: Any) -> tuple[float, float, float]:
    """Recall, precision and F as the script rounds them: F is made from the rounded two."""
    recall, precision = _five_decimals(counted.recall), _five_decimals(counted.precision)
    if recall + precision == 0:
        return 0.0, 0.0, 0.0
    return recall, precision, _five_decimals(precision * recall / (0.5 * precision + 0.5 * recall))


def _five_decimals(value: float) -> float:
    return float(f"{value:.{bootstrap.DECIMALS}f}")


def _spaced(sentences: Sentences) -> str:
    """One sentence a line, tokens between spaces: the form in which the library takes them."""
    return "\n".join(" ".join(tokens) for tokens in sentences)


class _Spaces:
    """The library's tokenizer interface for text that is tokenized already."""

    @staticmethod
    def tokenize(text: str) -> list[str]:
        return text.split()


@lru_cache(maxsize=1)
def _library() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(LIBRARY_NAMES), tokenizer=_Spaces())
