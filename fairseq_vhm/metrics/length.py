"""How long outputs are against their references, and how many are empty."""

from collections.abc import Sequence
from statistics import fmean

from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.tokens import rule_for


def score_length(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], lang: str
) -> Score:
    """Mean lengths in the tokens that ROUGE counts.

    ``value`` is the outputs' length in percent of the references' (of the mean of several),
    ``per_segment`` the length of each output.  Parts: ``value``, ``hyp``, ``ref`` (mean lengths)
    and ``empty`` (number of outputs without any token).
    """
    rule = rule_for(lang)
    lengths = [len(rule.tokens(text)) for text in hypotheses]
    expected = fmean(fmean(len(rule.tokens(text)) for text in several) for several in references)
    mean = fmean(lengths)
    value = 100 * mean / expected if expected else 0.0
    parts = {"value": value, "hyp": mean, "ref": expected, "empty": lengths.count(0)}
    return Score("length", value, lengths, f"length|tok:{rule.name}", parts)
