"""LaSE: meaning, language and length of a summary in any language (Bhattacharjee et al., 2023, 3.2).

    LaSE = MS * LC * LP

MS, meaning: cosine of the LaBSE embeddings of output and reference; it may be negative, and is kept
so.  LC, language: 1 where the most likely language of the output is the target, else the target's
probability; 1 throughout where the identifier does not know the target.  LP, length: 1 up to
``|ref| + 6`` tokens, beyond that ``exp(1 - |gen| / (|ref| + 6))``.

An empty output or reference has no meaning to compare: MS is 0, and so is LC of an empty output.
Tokens are words without punctuation (by jieba for Chinese, as in the released scorer) or, in other
scripts without spaces, characters (:func:`~.tokens.rule_for`).  Words of one language and characters of
another do not compare, so against references in another language both sides are counted in the pieces of
LaBSE's vocabulary (the released scorer reads the reference by the rules of the output's language).
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np

from fairseq_vhm.metrics.averages import (
    Pair,
    flat_pairs,
    mean_score,
    over_references,
    references_field,
    signature,
)
from fairseq_vhm.metrics.base import MultiReference, Score, Track
from fairseq_vhm.metrics.tokens import rule_for
from fairseq_vhm.text.encoders import SentenceEncoder
from fairseq_vhm.text.invisible import shows_nothing
from fairseq_vhm.text.langid import LanguageIdentifier, language_code, target_languages
from fairseq_vhm.text.words import WordSegmenter

ALLOWANCE = 6
"""Tokens by which an output may exceed its reference for free (the paper's alpha)."""

BLANK_IN_CHINESE = re.compile(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])")
"""Every blank but those between Latin words or numbers."""

NAMES = ("lase", "lase_meaning", "lase_language", "lase_length")
PIECES = "pieces-of-the-sentence-encoder"


def score_lase(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    lang: str,
    sentences: SentenceEncoder,
    identifier: LanguageIdentifier,
    multi_ref: MultiReference = "best",
    track: Track = iter,
    reference_lang: str | None = None,
) -> list[Score]:
    """LaSE and its three parts, in points.

    Args:
        hypotheses: N outputs.
        references: N lists of at least one reference.
        lang: the language that the outputs should be in.
        sentences: LaBSE.
        identifier: the classifier; lid.176 in the paper.
        multi_ref: with several references, the one of highest LaSE, or the mean over them.
        track: wraps the batches of texts that are encoded, to show progress.
        reference_lang: the language of the references where it is another than ``lang``.

    Returns:
        One :class:`Score` for each of ``NAMES``; the parts are means of MS, LC and LP.
    """
    pairs = flat_pairs(hypotheses, references)
    targets = target_languages(lang, identifier)
    tokens, count = _pieces(sentences, pairs) if reference_lang else _counter(lang)
    confidence = {text: language_confidence(text, targets, identifier) for text in dict.fromkeys(hypotheses)}
    meaning = _meanings(pairs, sentences, track)
    language = np.array([confidence[hypothesis] for hypothesis, _ in pairs])
    length = np.array([length_penalty(count(hypothesis), count(one)) for hypothesis, one in pairs])
    columns = np.stack([meaning * language * length, meaning, language, length], axis=1)  # as NAMES
    outputs = over_references(columns, references, multi_ref)
    label = signature(
        "lase",
        f"sentences:{sentences.identity}",
        f"max:{sentences.max_length}",
        f"lid:{identifier.name}",
        f"lang:{'+'.join(sorted(targets)) or language_code(lang) + '(unknown, LC=1)'}",
        f"length:{tokens}|alpha:{ALLOWANCE}" + (f"|refs-in:{reference_lang}" if reference_lang else ""),
        references_field(references, multi_ref),
    )
    parts: dict[str, dict[str, float]] = {
        "lase_meaning": {"cut": sentences.cut(list(dict.fromkeys(text for pair in pairs for text in pair)))},
        "lase_language": {"known": float(bool(targets))},
    }
    return [
        mean_score(name, figures, label, None, **parts.get(name, {}))
        for name, figures in zip(NAMES, outputs.T, strict=True)
    ]


def language_confidence(text: str, targets: frozenset[str], identifier: LanguageIdentifier) -> float:
    """LC of an output: 1 for the best language, else the probability of ``targets`` (0 if empty)."""
    if not targets:
        return 1.0
    found = {} if shows_nothing(text) else identifier.probabilities(text)
    if next(iter(found), None) in targets:
        return 1.0
    return min(sum(found.get(language, 0.0) for language in targets), 1.0)


def length_penalty(generated: int, expected: int) -> float:
    """LP from the numbers of tokens of output and reference."""
    allowed = expected + ALLOWANCE
    return 1.0 if generated <= allowed else math.exp(1 - generated / allowed)


def _meanings(pairs: Sequence[Pair], sentences: SentenceEncoder, track: Track) -> np.ndarray:
    """MS of each pair; 0 where a side is empty."""
    full = [row for row, pair in enumerate(pairs) if not any(map(shows_nothing, pair))]
    cosines = np.zeros(len(pairs))
    if full:
        vectors = sentences.encode([text for row in full for text in pairs[row]], track)
        cosines[full] = np.clip((vectors[::2] * vectors[1::2]).sum(axis=1, dtype=np.float64), -1, 1)
    return cosines


def _pieces(sentences: SentenceEncoder, pairs: Sequence[Pair]) -> tuple[str, Callable[[str], int]]:
    """As :func:`_counter`, for texts of two languages."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    return PIECES, dict(zip(texts, sentences.lengths(texts), strict=True)).__getitem__


def _counter(lang: str) -> tuple[str, Callable[[str], int]]:
    """Name of the tokens that lengths are counted in, and their number in a text."""
    if language_code(lang) == "zh":
        return "jieba-words", cache(partial(_chinese_words, WordSegmenter("jieba")))
    rule = rule_for(lang)
    return rule.name.partition("|")[0], cache(lambda text: len(rule.tokens(text)))


def _chinese_words(segmenter: WordSegmenter, text: str) -> int:
    """Words without punctuation; the same number whether or not characters stand apart."""
    words = segmenter.encode(BLANK_IN_CHINESE.sub("", text), "zh").split(" ")
    return sum(any(char.isalnum() for char in word) for word in words)
