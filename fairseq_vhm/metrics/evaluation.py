"""Which metrics there are by name, how a set of them is computed, and what is odd in the texts."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.bleu import score_bleu, score_chrf
from fairseq_vhm.metrics.length import score_length
from fairseq_vhm.metrics.rouge import MultiReference, Track, score_rouge
from fairseq_vhm.metrics.tokens import RULES, rule_for

METRICS = ("rouge", "bleu", "chrf", "length")
UNSPLIT_ENGLISH = re.compile(r"[a-z]{3}\. +\w")
UNSPLIT_SHARE = 0.1
FOREIGN_SHARE = 0.05


def metric_names(listed: str) -> list[str]:
    """Names in a comma-separated list, each once.

    Raises:
        UserError: for an empty list or a name that is not one of ``METRICS``.
    """
    names = list(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        what = f"unknown metric '{unknown[0]}'" if unknown else "no metric named"
        raise UserError(f"--metrics: {what}; choose from {','.join(METRICS)}")
    return names


def evaluate(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    lang: str,
    metrics: Sequence[str] = METRICS,
    swap_roles: bool = False,
    multi_ref: MultiReference = "best",
    official: bool = False,
    track: Track = iter,
) -> list[Score]:
    """Compute ``metrics`` in their order; arguments as of :func:`~.rouge.score_rouge`.

    ``official`` has ROUGE computed by the Perl script.
    """
    scores: list[Score] = []
    for name in metrics:
        match name:
            case "rouge" if official:
                from fairseq_vhm.metrics.rouge155 import score_rouge155

                scores += score_rouge155(hypotheses, references, lang, swap_roles, multi_ref)
            case "rouge":
                scores += score_rouge(hypotheses, references, lang, swap_roles, multi_ref, track)
            case "bleu":
                scores.append(score_bleu(hypotheses, references, lang))
            case "chrf":
                scores.append(score_chrf(hypotheses, references))
            case "length":
                scores.append(score_length(hypotheses, references, lang))
    return scores


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
    return found


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
