"""How long outputs are against their references, and how many are empty."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from fairseq_vhm.metrics.averages import signature
from fairseq_vhm.metrics.base import CorpusScore
from fairseq_vhm.metrics.tokens import rule_for


def score_length(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], lang: str
) -> CorpusScore:
    """Mean lengths in the tokens that ROUGE counts.

    ``value`` is the outputs' length in percent of the references' (of the mean of several),
    ``per_segment`` the length of each output.  Parts: ``value``, ``hyp``, ``ref`` (mean lengths)
    and ``empty`` (number of outputs without any token).
    """
    rule = rule_for(lang)
    lengths = [len(rule.tokens(text)) for text in hypotheses]
    expected = [fmean(len(rule.tokens(text)) for text in several) for several in references]
    statistics = np.array([lengths, expected], dtype=float).T
    value = _percent(statistics.sum(axis=0))
    parts = {"value": value, "hyp": fmean(lengths), "ref": fmean(expected), "empty": lengths.count(0)}
    return CorpusScore(
        name="length",
        value=value,
        per_segment=list(map(float, lengths)),
        signature=signature("length", f"tok:{rule.name}"),
        parts=parts,
        better="neither",
        statistics=statistics,
        figure=_percent,
    )


def _percent(totals: np.ndarray) -> float:
    """Total length of outputs in percent of the references'; 0 where those are empty."""
    outputs, references = totals.tolist()
    return 100 * outputs / references if references else 0.0
