"""The metrics that there are, how a set of them is computed, and what is odd in the texts."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.bertscore import score_bertscore
from fairseq_vhm.metrics.bleu import score_bleu, score_chrf
from fairseq_vhm.metrics.copying import score_copy
from fairseq_vhm.metrics.lase import score_lase
from fairseq_vhm.metrics.length import score_length
from fairseq_vhm.metrics.moverscore import score_moverscore
from fairseq_vhm.metrics.oddities import oddities_between
from fairseq_vhm.metrics.offtarget import score_offtarget
from fairseq_vhm.metrics.registry import METRICS, Texts, register_metric
from fairseq_vhm.metrics.registry import metric_names as metric_names
from fairseq_vhm.metrics.resources import Given, Resources, can_tell
from fairseq_vhm.metrics.rouge import MultiReference, score_rouge
from fairseq_vhm.metrics.tokens import RULES, rule_for

Track = Callable[[Iterable, str], Iterable]
UNSPLIT_ENGLISH = re.compile(r"[a-z]{3}\. +\w")
UNSPLIT_SHARE = 0.1
FOREIGN_SHARE = 0.05


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
    track: Track = _untracked,
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


def _named(track: Track, name: str, things: Iterable) -> Iterable:
    return track(things, name)


def findings(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], lang: str
) -> list[str]:
    """What looks wrong with the texts, a line each: they are scored, but never in silence."""
    flat = [(line, text) for line, several in enumerate(references, 1) for text in several]
    sides = {"outputs": list(enumerate(hypotheses, 1)), "references": flat}
    found = [line for side, texts in sides.items() for line in _side_findings(side, texts, lang)]
    written, expected = (_scripts(text for _, text in texts) for texts in sides.values())
    main = max(expected, key=expected.__getitem__, default=None)
    if written and main and written[main] < FOREIGN_SHARE * written.total():
        other = max(written, key=written.__getitem__)
        found.append(
            f"outputs are in {other} script, references in {main}; do they belong together?"
        )
    return [*found, *oddities_between(hypotheses, references, lang)]


def _side_findings(side: str, texts: list[tuple[int, str]], lang: str) -> Iterator[str]:
    rule = rule_for(lang)
    empty = [line for line, text in texts if not text.strip()]
    unread = [line for line, text in texts if text.strip() and not rule.tokens(text)]
    unsplit = [line for line, text in texts if UNSPLIT_ENGLISH.search(text)]
    if empty:
        yield f"{_count(empty, texts)} {side} are empty and score 0"
    if unread:
        yield (
            f"{_count(unread, texts)} {side} hold no token that --lang {lang} reads, and score 0;"
            " is it the right language?"
        )
    if rule is RULES["en"] and len(unsplit) > UNSPLIT_SHARE * len(texts):
        yield (
            f"{_count(unsplit, texts)} {side} have sentences that do not end in ' .' as tokenized"
            " English does; ROUGE-L reads them as one sentence"
        )


def _scripts(texts: Iterable[str]) -> Counter[str]:
    """Letters by script, the first word of their Unicode names: LATIN, CJK, ARABIC, ..."""
    letters = Counter(char for text in texts for char in text if char.isalpha())
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        scripts[unicodedata.name(letter, "UNKNOWN").split()[0]] += count
    return scripts


def _count(lines: list[int], texts: list) -> str:
    return f"{len(lines)} of {len(texts)} (first: line {lines[0]})"
