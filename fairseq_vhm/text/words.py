"""Word segmentation: sacremoses for languages written with blanks, jieba or characters for Chinese.

Rules.  Chinese: jieba's words, or (``char``) every character outside ASCII alone while runs of
ASCII letters and digits stay whole, the tokens that the published En2ZhSum scores count.  Any other
language: the Moses tokenizer with the rules of that language (English ones where it has none).
Languages without blanks that neither covers are refused.
"""

import logging
import re
import warnings
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.symbols import escape, language_of, quote_special, unescape

CHINESE_WORDS = ("jieba", "char")

_WITHOUT_BLANKS = frozenset({"ja", "km", "lo", "my", "th", "yue"})
_CHARACTERS = re.compile(r"[A-Za-z0-9]+|\S")
_BETWEEN_LATIN = re.compile(r"(?<![A-Za-z0-9]) | (?![A-Za-z0-9])")


class WordSegmenter:
    """Words as symbols; ``decode`` detokenizes by rule and so restores the usual text only."""

    kind = "word"

    def __init__(self, chinese_words: str = "jieba", lowercase: bool = False) -> None:
        if chinese_words not in CHINESE_WORDS:
            choices = ", ".join(CHINESE_WORDS)
            raise UserError(f"--chinese-words {chinese_words}: choose one of {choices}")
        self.chinese_words = chinese_words
        self.lowercase = lowercase

    def encode(self, text: str, lang: str) -> str:
        """Words of ``text`` in the language of suffix ``lang``, one blank between two."""
        if self.lowercase:
            text = text.lower()
        words = self._words(text, language_of(lang)) or text.split()
        return " ".join(quote_special(escape(word)) for word in words)

    def decode(self, symbols: str, lang: str) -> str:
        """Detokenized text of ``symbols``."""
        words = [unescape(symbol) for symbol in symbols.split(" ")]
        language = language_of(lang)
        if language == "zh":
            return _BETWEEN_LATIN.sub("", " ".join(words))
        return _moses_detokenizer(language).detokenize(words)

    @staticmethod
    def check_language(lang: str) -> None:
        """Refuse a language that has no rule.

        Raises:
            UserError: it is written without blanks, and is not Chinese.
        """
        if language_of(lang) in _WITHOUT_BLANKS:
            raise UserError(f"--segmentation word has no rule for '{lang}': use subword")

    def _words(self, text: str, language: str) -> list[str]:
        if language == "zh":
            return self._chinese(text)
        self.check_language(language)
        return _moses_tokenizer(language).tokenize(text, escape=False)

    @cached_property
    def _chinese(self) -> Callable[[str], list[str]]:
        if self.chinese_words == "char":
            return _CHARACTERS.findall
        cut = _jieba().lcut
        return lambda text: [word for word in cut(text) if not word.isspace()]

    def __getstate__(self) -> dict:
        return {"chinese_words": self.chinese_words, "lowercase": self.lowercase}

    def settings(self) -> dict:
        """What ``Segmenter.load`` needs to build it again."""
        return {
            "kind": self.kind,
            "chinese_words": self.chinese_words,
            "lowercase": self.lowercase,
        }


@lru_cache
def _moses_tokenizer(language: str) -> Any:
    import sacremoses

    return sacremoses.MosesTokenizer(lang=language)


@lru_cache
def _moses_detokenizer(language: str) -> Any:
    import sacremoses

    return sacremoses.MosesDetokenizer(lang=language)


@lru_cache
def _jieba() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba 0.42.1 imports the deprecated pkg_resources
        import jieba
    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    tokenizer.initialize()
    return tokenizer
