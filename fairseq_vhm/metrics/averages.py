"""What scores by pairs share: several references to one figure, a mean with its interval, notes."""

from collections.abc import Iterator, Sequence

import numpy as np

import fairseq_vhm
from fairseq_vhm.metrics import bootstrap
from fairseq_vhm.metrics.base import MultiReference, Score

Pair = tuple[str, str]


def flat_pairs(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[Pair]:
    """Every output with each of its references, in order."""
    return [
        (hypothesis, one)
        for hypothesis, several in zip(hypotheses, references, strict=True)
        for one in several
    ]


def over_references(
    scores: np.ndarray, references: Sequence[Sequence[str]], multi_ref: MultiReference, by: int = 0
) -> np.ndarray:
    """Scores of all pairs (P x K) to those of the outputs (N x K).

    ``best`` takes for each output the row with the highest figure in column ``by``, ``mean`` the mean
    of its rows.
    """
    ends = np.cumsum([len(several) for several in references])[:-1]
    groups = np.split(scores, ends)
    if multi_ref == "mean":
        return np.array([group.mean(axis=0) for group in groups])
    return np.array([group[group[:, by].argmax()] for group in groups])


def mean_score(
    name: str, segments: np.ndarray, signature: str, counted: np.ndarray | None = None, **parts: float
) -> Score:
    """Mean of figures (N, in 0-1) in points, with the bounds of its 95% bootstrap interval.

    Args:
        counted: N truth values; the mean is over these alone (0 where there are none).
        parts: further figures, as they are to be shown.
    """
    taken = segments if counted is None else segments[counted]
    value, low, high = _mean_and_interval(taken) if len(taken) else (0.0, 0.0, 0.0)
    figures = {"value": value, "low": low, "high": high, **parts}
    return Score(name, value, (100 * segments).tolist(), signature, figures)


def references_field(references: Sequence[Sequence[str]], multi_ref: MultiReference) -> str:
    """The number of references and how several are combined, as signatures say it."""
    counts = sorted({len(several) for several in references})
    several = f"{counts[0]}-{counts[-1]}" if len(counts) > 1 else str(counts[0])
    return f"refs:{several}" + (f"|multi:{multi_ref}" if counts[-1] > 1 else "")


def signature(*fields: str) -> str:
    """Fields of a signature with this project's version at their end."""
    return "|".join([*fields, f"version:{fairseq_vhm.__version__}"])


def notes(scores: Sequence[Score]) -> Iterator[str]:
    """What a reader of these figures must know besides them, a line each."""
    for score in scores:
        if score.parts.get("cut"):
            yield (
                f"{score.name}: {score.parts['cut']:.0f} texts are longer than the encoder reads and were"
                " cut (max in the signature)"
            )
        if score.parts.get("known") == 0:
            yield (
                f"{score.name}: the language model (lid in the signature) does not know the language, so its"
                " confidence counts as 1"
            )


def _mean_and_interval(segments: np.ndarray) -> tuple[float, float, float]:
    """In points; the bounds are rounded, so equal figures would lie outside of them by a hair."""
    mean = 100 * float(segments.mean())
    _, low, high = bootstrap.average(segments[:, None])
    return mean, min(mean, 100 * float(low[0])), max(mean, 100 * float(high[0]))
