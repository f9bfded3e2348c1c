"""The metrics that there are, and how a set of them is computed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from fairseq_vhm.metrics.base import MultiReference, Score
from fairseq_vhm.metrics.bertscore import score_bertscore
from fairseq_vhm.metrics.bleu import score_bleu, score_chrf
from fairseq_vhm.metrics.copying import score_copy
from fairseq_vhm.metrics.lase import score_lase
from fairseq_vhm.metrics.length import score_length
from fairseq_vhm.metrics.moverscore import score_moverscore
from fairseq_vhm.metrics.offtarget import score_offtarget
from fairseq_vhm.metrics.registry import METRICS, Texts, register_metric
from fairseq_vhm.metrics.registry import metric_names as metric_names
from fairseq_vhm.metrics.resources import Given, Resources, can_tell
from fairseq_vhm.metrics.rouge import score_rouge

NamedTrack = Callable[[Iterable, str], Iterable]


@register_metric("rouge")
def _rouge(texts: Texts) -> list[Score]:
    pairs = texts.hypotheses, texts.references, texts.lang, texts.swap_roles, texts.multi_ref
    if not texts.official:
        return score_rouge(*pairs, texts.follow)
    from fairseq_vhm.metrics.rouge155 import score_rouge155

    return score_rouge155(*pairs)


@register_metric("bleu")
def _bleu(texts: Texts) -> list[Score]:
    return [score_bleu(texts.hypotheses, texts.references, texts.lang)]


@register_metric("chrf")
def _chrf(texts: Texts) -> list[Score]:
    return [score_chrf(texts.hypotheses, texts.references)]


@register_metric("bertscore", needs=("encoder",))
def _bertscore(texts: Texts) -> list[Score]:
    pairs, encoder = (texts.hypotheses, texts.references), texts.resources.encoder
    return [score_bertscore(*pairs, encoder, texts.multi_ref, texts.follow)]


@register_metric("moverscore", needs=("encoder",))
def _moverscore(texts: Texts) -> list[Score]:
    pairs, encoder = (texts.hypotheses, texts.references), texts.resources.encoder
    return [score_moverscore(*pairs, encoder, texts.multi_ref, track=texts.follow)]


@register_metric("lase", needs=("labse", "lid"))
def _lase(texts: Texts) -> list[Score]:
    models = texts.resources.labse, texts.resources.lid
    pairs = texts.hypotheses, texts.references, texts.lang
    return score_lase(*pairs, *models, texts.multi_ref, texts.follow)


@register_metric("offtarget")
def _offtarget(texts: Texts) -> list[Score]:
    pairs = texts.hypotheses, texts.references, texts.lang
    return [score_offtarget(*pairs, texts.resources.identifier, texts.follow)]


@register_metric("copy", needs=("src",))
def _copy(texts: Texts) -> list[Score]:
    return [score_copy(texts.hypotheses, texts.resources.sources or (), texts.references)]


@register_metric("length")
def _length(texts: Texts) -> list[Score]:
    return [score_length(texts.hypotheses, texts.references, texts.lang)]


def possible_metrics(lang: str, given: Given) -> list[str]:
    """All metrics for which everything is there; offtarget where its identifier knows ``lang``."""
    possible = [name for name in METRICS if not given.lacking(name)]
    return [name for name in possible if name != "offtarget" or can_tell(lang, given)]


def _untracked(things: Iterable, _: str) -> Iterable:
    return things


def evaluate(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    lang: str,
    metrics: Sequence[str],
    swap_roles: bool = False,
    multi_ref: MultiReference = "best",
    official: bool = False,
    track: NamedTrack = _untracked,
    resources: Resources | None = None,
) -> list[Score]:
    """Compute ``metrics`` in their order; arguments as of :func:`~.rouge.score_rouge`.

    Args:
        official: ROUGE by the Perl script.
        track: wraps what a metric iterates over, with the metric's name, to show progress.
        resources: models and sources; without them only metrics that need none.

    Raises:
        UserError: a metric lacks what it needs.
    """
    resources = resources or Resources(metrics)
    texts = Texts(hypotheses, references, lang, swap_roles, multi_ref, official, resources)
    scores: list[Score] = []
    for name in metrics:
        follow = partial(_named, track, name)
        scores += METRICS[name](replace(texts, follow=follow))
    return scores


def _named(track: NamedTrack, name: str, things: Iterable) -> Iterable:
    return track(things, name)
