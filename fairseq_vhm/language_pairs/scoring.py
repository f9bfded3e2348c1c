"""Every pair by every metric, with each model loaded once.

LaSE is had twice: against the references in the target language, and (``lase_source``) against the articles'
own summaries in the source language, which is what it is for where a pair has no references
(Bhattacharjee et al., 2023, sections 3.2 and 5: LaSE-in-lang, LaSE-out-lang).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from fairseq_vhm.language_pairs.examples import PairExamples
from fairseq_vhm.language_pairs.results import PairScores
from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.evaluation import evaluate
from fairseq_vhm.metrics.lase import score_lase
from fairseq_vhm.metrics.resources import Given, Resources
from fairseq_vhm.text.invisible import shows_nothing
from fairseq_vhm.text.langid import target_languages

USUAL = ("rouge", "lase", "offtarget", "length")
IMPOSSIBLE = "src"
"""What no metric can have: a corpus holds its articles as pieces."""

Track = Callable[[Iterable, str], Iterable]


def usual_metrics(given: Given) -> list[str]:
    """The usual metrics for which everything is there."""
    return [metric for metric in USUAL if not given.lacking(metric)]


def score_pairs(
    pairs: Sequence[PairExamples], metrics: Sequence[str], resources: Resources, track: Track
) -> list[PairScores]:
    """Scores of each pair in their order.

    Args:
        metrics: without those that need :data:`IMPOSSIBLE`; ``offtarget`` is left out where the
            identifier does not know the target.
        track: wraps what is iterated over, with a word on it, to show progress.
    """
    if "lase" in metrics:
        resources.labse.encode(_texts(pairs), lambda batches: track(batches, "embeddings"))
    return [_score(pair, metrics, resources) for pair in track(pairs, "pairs")]


def source_name(name: str) -> str:
    """``lase_source`` of ``lase``, ``lase_source_meaning`` of ``lase_meaning``."""
    return name.replace("lase", "lase_source", 1)


def _score(pair: PairExamples, metrics: Sequence[str], resources: Resources) -> PairScores:
    tells = "offtarget" in metrics and target_languages(pair.target, resources.identifier)
    names = [metric for metric in metrics if metric != "offtarget" or tells]
    references = [[reference] for reference in pair.references]
    scores = evaluate(pair.hypotheses, references, pair.target, names, resources=resources)
    if "lase" in metrics and pair.source != pair.target:
        scores += _by_own_summaries(pair, resources)
    return PairScores.of(pair.source, pair.target, scores, len(pair.hypotheses))


def _by_own_summaries(pair: PairExamples, resources: Resources) -> list[Score]:
    """LaSE against the articles' own summaries, with the number ``n`` of outputs whose article has one."""
    outputs_and_own = zip(pair.hypotheses, pair.own, strict=True)
    joined = [(output, own) for output, own in outputs_and_own if own is not None]
    if not joined:
        return []
    scores = score_lase(
        [output for output, _ in joined],
        [[own] for _, own in joined],
        pair.target,
        resources.labse,
        resources.lid,
        reference_lang=pair.source,
    )
    n = {"n": float(len(joined))}
    return [replace(one, name=source_name(one.name), parts={**one.parts, **n}) for one in scores]


def _texts(pairs: Sequence[PairExamples]) -> list[str]:
    """All that is embedded; empty texts score 0 and are not."""
    sides = (side for pair in pairs for side in (pair.hypotheses, pair.references, pair.own))
    texts = dict.fromkeys(text for side in sides for text in side)
    return [text for text in texts if text and not shows_nothing(text)]
