"""How a text becomes sentences of tokens before n-grams are counted, for each language.

* ``en``: as ROUGE-1.5.5 reads it: A-Z lowered, runs of ASCII letters and digits, words of more
  than three letters stemmed; sentences end at ``" ."`` (the split behind the published figures) or
  a new line.
* ``zh``: as the published NCLS figures were made (found by agreement with the scores of every
  sentence in the repository ZNLP/ATSum): each character that is not ASCII is a token, and so is a
  run of Latin letters, a number (with its decimals; with its minus sign from two digits on) and
  any other ASCII character.  Case is kept.  ``。`` ends a sentence and is not counted; other
  punctuation counts.
* every other language, by the script of each character: scripts written without spaces (Han, kana,
  Thai, Lao, Khmer, Burmese, Tibetan) by character with its combining marks, all others by word: a
  run of letters, marks and digits.  NFC, lower case, no stemming, punctuation not counted;
  sentences end at the terminal punctuation of the script.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import regex

from fairseq_vhm.errors import UserError

Sentences = list[list[str]]

STEM_LONGER_THAN = 3
ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
ASCII_WORD = re.compile(r"[a-z0-9]+")
CHINESE_TOKEN = re.compile(r"[A-Za-z]+|-?[0-9]+[.,]?[0-9]+(?:[.,][0-9]+)*|[0-9]|\S")

UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}ーｰ\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
)
IN_WORD = r"\p{L}\p{M}\p{N}\u200c\u200d"
SCRIPT_TOKEN = regex.compile(
    rf"(?V1)[{UNSPACED}&&\p{{L}}\p{{N}}]\p{{M}}*|[[{IN_WORD}]--[{UNSPACED}]]+"
)
SCRIPT_SENTENCE = re.compile(r"\n|[。！？．｡]|[.!?।॥؟۔።։]+(?=\s|$)")


@dataclass(frozen=True)
class TokenRule:
    """A named way to read text; ``name`` tells all of it and goes into signatures."""

    name: str
    sentences: Callable[[str], Sentences]

    def tokens(self, text: str) -> list[str]:
        return [token for sentence in self.sentences(text) for token in sentence]


def rule_for(lang: str) -> TokenRule:
    """Rule of a language code such as ``en``, ``zh``, ``zh_CN``, ``en_XX`` or ``en_sum``.

    Raises:
        UserError: where ``lang`` does not begin with a code of two or three letters.
    """
    return RULES.get(language_of(lang), BY_SCRIPT)


def language_of(lang: str) -> str:
    """The bare language code: ``zh`` for ``zh_CN``, ``en`` for ``en_sum``."""
    code = re.fullmatch(r"([a-z]{2,3})(?:[-_].*)?", lang.lower())
    if code is None:
        raise UserError(f"--lang {lang}: not a language code; give one such as en, zh, de or ja")
    return code[1]


def english_sentences(text: str) -> Sentences:
    units = text.translate(ASCII_LOWER).replace(" .", "\n").split("\n")
    return [[stem(word) for word in ASCII_WORD.findall(unit)] for unit in units]


def chinese_sentences(text: str) -> Sentences:
    return [CHINESE_TOKEN.findall(unit) for unit in re.split(r"[。\n]", text)]


def sentences_by_script(text: str) -> Sentences:
    normal = unicodedata.normalize("NFC", text).lower()
    return [SCRIPT_TOKEN.findall(unit) for unit in SCRIPT_SENTENCE.split(normal)]


@lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    return _stemmer().stem(word) if len(word) > STEM_LONGER_THAN else word


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from fairseq_vhm.metrics.porter import Rouge155Stemmer

    return Rouge155Stemmer()


RULES = {
    "en": TokenRule("en-rouge155|case:lower|stem:porter-rouge155|split:' .'", english_sentences),
    "zh": TokenRule("zh-characters|case:kept|stem:no|split:。", chinese_sentences),
}
BY_SCRIPT = TokenRule(
    "by-script-nfc|case:lower|stem:no|split:terminal-punctuation", sentences_by_script
)
"""The rule of every language that has none of its own."""
