"""How much of an output stands in its source word for word.

* Copied n-grams, and novel ones, their complement: the share of an output's n-grams that the source
  holds, by occurrence (See et al., ACL 2017, figure 6; Narayan et al., EMNLP 2018).
  Of single tokens that is the coverage of Grusky et al. (NAACL 2018).
* Density (Grusky et al., the same): the mean over an output's tokens of the length of the fragment
  shared with the source that each is in; fragments are taken greedily from the left.
* The longest span copied, and whole copies: outputs that one span of the source all but fills.

References are measured in the same way: what a summary of these sources copies anyway.  Where
source and output are in different languages, copied text is text left untranslated (beside names,
numbers and quotations, which references show too).  So one rule reads both sides whatever their
language: tokens by script, lower case, no stems, no punctuation (:data:`~.tokens.BY_SCRIPT`).
"""

from collections.abc import Sequence

import numpy as np

from fairseq_vhm.metrics.averages import signature
from fairseq_vhm.metrics.base import Score
from fairseq_vhm.metrics.tokens import BY_SCRIPT

ORDERS = (1, 2, 3, 4)
HEADLINE = 2
WHOLE_SHARE = 0.9
WHOLE_TOKENS = 4
SIGNATURE = signature(
    "copy", f"ngrams:{ORDERS[0]}-{ORDERS[-1]}", f"value:{HEADLINE}-grams", f"tok:{BY_SCRIPT.name}"
)


def score_copy(
    hypotheses: Sequence[str], sources: Sequence[str], references: Sequence[Sequence[str]]
) -> Score:
    """Overlap of outputs with their sources.

    Args:
        hypotheses: N outputs.
        sources: N sources.
        references: N lists of references, measured as a yardstick.

    Returns:
        ``value`` and ``per_segment`` are the share of bigrams that are copied, in points; an output
        of less than two tokens has 0 and is left out of ``value``.  Parts, of outputs, and of
        references under the same names with ``ref_`` before them:

        * ``copied1`` ... ``copied4``, ``novel1`` ... ``novel4``: shares of n-grams in points, means
          over the texts that are long enough; both are 0 where there is none;
        * ``density`` and ``longest`` (length of the longest span copied), in tokens, means over the
          texts that are not empty;
        * ``whole``: share, in points, of texts of four tokens or more of which one copied span is
          90 % or more.
    """
    pairs = list(zip(hypotheses, sources, strict=True))
    runs = [copied_runs(text, source) for text, source in pairs]
    of_references = [
        copied_runs(text, source)
        for several, source in zip(references, sources, strict=True)
        for text in several
    ]
    parts = _parts(runs)
    yardstick = {f"ref_{name}": figure for name, figure in _parts(of_references).items()}
    value = parts[f"copied{HEADLINE}"]
    per_segment = [_copied_share(run, HEADLINE) for run in runs]
    return Score("copy", value, per_segment, SIGNATURE, {"value": value, **parts, **yardstick}, "neither")


def copied_runs(text: str, source: str) -> np.ndarray:
    """For each token of ``text``, the length of the longest run from it on that ``source`` holds."""
    numbers: dict[str, int] = {}
    of_text, of_source = (
        np.array([numbers.setdefault(token, len(numbers)) for token in tokens], dtype=np.int64)
        for tokens in (BY_SCRIPT.tokens(text), BY_SCRIPT.tokens(source))
    )
    runs = np.zeros(len(of_text), dtype=np.int64)
    from_here = np.zeros(len(of_source) + 1, dtype=np.int64)  # run from this token of the source on
    for place in reversed(range(len(of_text))):
        from_here[:-1] = (from_here[1:] + 1) * (of_source == of_text[place])
        runs[place] = from_here.max()
    return runs


def fragments(runs: np.ndarray) -> list[int]:
    """Lengths of the fragments shared with the source, greedily from the left (Grusky et al.)."""
    lengths = []
    place = 0
    while place < len(runs):
        lengths.append(int(runs[place]))
        place += max(1, lengths[-1])
    return [length for length in lengths if length]


def _copied_share(runs: np.ndarray, order: int) -> float:
    """Points of n-grams copied: one is where a run of its length begins; 0 without n-grams."""
    count = len(runs) - order + 1
    return 100 * int((runs >= order).sum()) / count if count > 0 else 0.0


def _parts(texts: Sequence[np.ndarray]) -> dict[str, float]:
    copied, novel = {}, {}
    for order in ORDERS:
        shares = [_copied_share(runs, order) for runs in texts if len(runs) >= order]
        copied[f"copied{order}"] = _mean(shares)
        novel[f"novel{order}"] = _mean([100 - share for share in shares])
    filled = [runs for runs in texts if len(runs)]
    long_enough = [runs for runs in filled if len(runs) >= WHOLE_TOKENS]
    return {
        **copied,
        **novel,
        "density": _mean([sum(n * n for n in fragments(runs)) / len(runs) for runs in filled]),
        "longest": _mean([runs.max() for runs in filled]),
        "whole": _mean([100 * (runs.max() >= WHOLE_SHARE * len(runs)) for runs in long_enough]),
    }


def _mean(figures: Sequence[float]) -> float:
    return float(np.mean(figures)) if figures else 0.0
