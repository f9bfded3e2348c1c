"""BLEU and chrF by sacreBLEU (Post, 2018), each with sacreBLEU's own signature."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fairseq_vhm.metrics.base import CorpusScore
from fairseq_vhm.metrics.tokens import language_of

TOKENIZERS = {"zh": "zh", **dict.fromkeys(("ja", "th", "lo", "km", "my", "bo"), "char")}
"""13a for every other language; ``char`` where words are not separated by spaces."""


def score_bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], lang: str
) -> CorpusScore:
    """Corpus BLEU; ``per_segment`` holds sentence BLEU with effective order."""
    from sacrebleu.metrics import BLEU

    tokenizer = TOKENIZERS.get(language_of(lang), "13a")
    # force: sacreBLEU otherwise warns of text that is tokenized; ours often is, on both sides.
    corpus = BLEU(tokenize=tokenizer, force=True)
    sentence = BLEU(tokenize=tokenizer, force=True, effective_order=True)
    return _score("bleu", corpus, sentence, hypotheses, references)


def score_chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScore:
    """Corpus chrF (character 6-grams, beta 2); the same for every language."""
    from sacrebleu.metrics import CHRF

    return _score("chrf", CHRF(), CHRF(), hypotheses, references)


def _score(
    name: str, corpus: Any, sentence: Any, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> CorpusScore:
    """Read the texts once, as sacreBLEU's own significance tests do, and score the counts."""
    counts = corpus._extract_corpus_statistics(list(hypotheses), _streams(references))
    statistics = np.array(counts)
    return CorpusScore(
        name=name,
        value=_figure(corpus, statistics.sum(axis=0)),
        per_segment=[_figure(sentence, row) for row in statistics],
        signature=str(corpus.get_signature()),
        statistics=statistics,
        figure=partial(_figure, corpus),
    )


def _figure(metric: Any, counts: np.ndarray) -> float:
    return metric._compute_score_from_stats(counts.tolist()).score


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Reference lists of each output as sacreBLEU takes them: first references, second ones, ...

    Outputs with fewer references than others have ``None`` there, which sacreBLEU leaves out.
    """
    most = max(len(several) for several in references)
    padded = [[*several, *[None] * (most - len(several))] for several in references]
    return [list(stream) for stream in zip(*padded, strict=True)]
