"""How many outputs are in another language than they should be.

An output is off target where another language is at least :data:`ODDS` times as likely as the target
and its varieties that a line of text hardly tells apart together
(:data:`~fairseq_vhm.text.langid.INDISTINCT`; the signature lists what is on target).  By the most
likely language alone, 2.0 % of the English references of NCLS's Zh2EnSum would be off target, by this
rule 0.3 %, while 99.5 % of the headlines and summaries in 19 other languages still are (py3langid).

Outputs that are empty, or in which the identifier finds nothing to go by (figures, punctuation, a
word or two), have no language: they are counted apart and do not enter the share.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.averages import mean_score, signature
from fairseq_vhm.metrics.base import CorpusScore, Track
from fairseq_vhm.text.invisible import shows_nothing
from fairseq_vhm.text.langid import LanguageIdentifier, language_code, target_languages, varieties

NAME = "offtarget"
ODDS = 4.0
"""How many times as likely as the target another language must be to count."""


def score_offtarget(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    lang: str,
    identifier: LanguageIdentifier,
    track: Track = iter,
) -> CorpusScore:
    """Share of outputs off target, in percent of those whose language can be told.

    ``per_segment`` holds 100 for an output off target and 0 for any other.  Parts: ``value``, ``low``
    and ``high``; ``references``, the same share of the references, which is what the identifier gets
    wrong on such text; ``identified``, ``empty`` and ``unidentified`` (numbers of outputs, together
    all); and ``in_LANGUAGE`` for each language found, the number of outputs in it.

    Raises:
        UserError: ``identifier`` does not know ``lang``, so that every output would count.
    """
    if not target_languages(lang, identifier):
        raise UserError(
            f"--lang {lang}: {identifier.name} does not know this language, so offtarget cannot be told; give"
            " another model with --lid, or leave offtarget out of --metrics"
        )
    target = language_code(lang)
    found = [language_of_output(text, target, identifier) for text in track(hypotheses)]
    expected = [language_of_output(text, target, identifier) for several in references for text in several]
    known = np.array([language is not None for language in found])
    off = np.array([language not in (None, target) for language in found], dtype=float)
    empty = sum(map(shows_nothing, hypotheses))
    on_target = sorted(varieties(target) & (identifier.languages | {target}))
    share = mean_score(
        NAME,
        off,
        signature(NAME, f"lid:{identifier.name}", f"on-target:{'+'.join(on_target)}", f"odds:{ODDS:g}"),
        counted=known,
        references=_share_off(expected, target),
        identified=float(known.sum()),
        empty=float(empty),
        unidentified=float((~known).sum() - empty),
        **{f"in_{language}": float(count) for language, count in _counts(found)},
    )
    share = replace(share, better="lower")
    return CorpusScore(**vars(share), statistics=np.stack([off, known], axis=1), figure=_percent)


def language_of_output(text: str, target: str, identifier: LanguageIdentifier) -> str | None:
    """The language of an output that should be in ``target``: that, unless another one is far likelier.

    ``None`` for a text that holds no letter or tells nothing.
    """
    found = identifier.probabilities(text) if any(char.isalpha() for char in text) else {}
    if not found:
        return None
    on_target = varieties(target)
    best, likelihood = next(iter(found.items()))
    expected = sum(figure for language, figure in found.items() if language in on_target)
    return best if best not in on_target and likelihood >= ODDS * expected else target


def _percent(totals: np.ndarray) -> float:
    """Outputs off target in percent of those whose language can be told; 0 where there is none."""
    off, known = totals.tolist()
    return 100 * off / known if known else 0.0


def _share_off(languages: Sequence[str | None], target: str) -> float:
    told = [language for language in languages if language is not None]
    return 100 * sum(language != target for language in told) / len(told) if told else 0.0


def _counts(languages: Sequence[str | None]) -> list[tuple[str, int]]:
    return Counter(language for language in languages if language is not None).most_common()
