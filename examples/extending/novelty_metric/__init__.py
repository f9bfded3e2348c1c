"""A new metric: the share of an output's words that its references do not have.

    vhm --user-dir examples/extending/novelty_metric score --hyp OUTPUT --ref REFERENCE --lang en \
        --metrics rouge,novelty
    fairseq-train DATA --user-dir examples/extending/novelty_metric --eval-metrics novelty ...

A metric that needs more than texts says so: ``@register_metric("novelty", needs=("src",))`` makes --src
obligatory, and ``texts.resources.sources`` has them.
"""

from collections.abc import Sequence

import numpy as np

from fairseq_vhm.metrics.averages import mean_score, signature
from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.evaluation import Texts, register_metric
from fairseq_vhm.metrics.tokens import rule_for


def novelty(output: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """The share (0-1) of the output's words that stand in no reference; 0 for an empty output."""
    known = set().union(*references)
    return sum(word not in known for word in output) / max(len(output), 1)


@register_metric("novelty")
def score_novelty(texts: Texts) -> list[Score]:
    """Mean novelty in points with its 95 % bootstrap interval, by the words that ROUGE reads."""
    rule = rule_for(texts.lang)
    pairs = texts.follow(list(zip(texts.hypotheses, texts.references, strict=True)))
    shares = [novelty(rule.tokens(output), [*map(rule.tokens, several)]) for output, several in pairs]
    return [mean_score("novelty", np.array(shares), signature("novelty", f"tok:{rule.name}"))]
