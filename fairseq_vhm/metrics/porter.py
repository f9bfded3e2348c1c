"""The Porter stemmer in the dialect of ROUGE-1.5.5.

ROUGE-1.5.5 stems as Martin Porter's own implementation does, but for step 4 (changed there in
2004): ``-ement`` is tried first, then ``-ment``, then ``-ent`` or ``-ion``, each on what the one
before has left, where the published algorithm stops at the first suffix that fits.  And a double y
is no double consonant.  NLTK gives all the rest.
"""

from collections.abc import Callable

from nltk.stem.porter import PorterStemmer

STEP_4_ROUNDS = (
    ("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement")
    + ("ou", "ism", "ate", "iti", "ous", "ive", "ize"),
    ("ment",),
    ("ent", "sion", "tion"),
)


class Rouge155Stemmer(PorterStemmer):
    """NLTK's stemmer with Porter's own extensions and ROUGE-1.5.5's step 4."""

    def __init__(self) -> None:
        super().__init__(mode=PorterStemmer.MARTIN_EXTENSIONS)

    def _ends_double_consonant(self, word: str) -> bool:
        return not word.endswith("yy") and super()._ends_double_consonant(word)

    def _step4(self, word: str) -> str:
        for suffixes in STEP_4_ROUNDS:
            rules = [_removal(suffix, self._measure) for suffix in suffixes]
            word = self._apply_rule_list(word, rules)
        return word


def _removal(suffix: str, measure: Callable[[str], int]) -> tuple:
    """NLTK's form of: drop ``suffix`` (of -sion, -tion the -ion) where the stem has m > 1."""
    kept = suffix[0] if suffix.endswith("ion") else ""
    return suffix, kept, lambda stem: measure(stem + kept) > 1
