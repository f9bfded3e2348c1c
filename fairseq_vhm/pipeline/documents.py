"""Documents as sentences: splitting by the library sentencex, and joining again.

sentencex (Wikimedia; rules for some 300 languages) loses no character, knows abbreviations, and keeps a
closing quotation mark or bracket with its sentence, in Chinese too.  Of pysbd, sentence-splitter, blingfire
and syntok none does the latter for Chinese; pysbd's time grows with the square of a document's length.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.symbols import language_of

_NO_BLANK_BETWEEN_SENTENCES = frozenset({"ja", "yue", "zh"})
_MISSED = re.compile(r"(?<=\s[?!])\s+(?=\w)|(?<=[。！？])(?=[a-z])")
"""Ends that sentencex takes for the middle of a sentence, since no capital follows: a mark that stands alone,
as in tokenized text (``did it ? no .``), and a Chinese one before a Latin letter (``太高。brown先生``)."""


@dataclass(frozen=True)
class Document:
    """A text of one line and its sentences."""

    text: str
    sentences: tuple[str, ...]

    @classmethod
    def of(cls, text: str, lang: str) -> "Document":
        """A text, split by the rules of ``lang``, which is a language or a file suffix (``en_sum``)."""
        text = one_line(text)
        return cls(text, split(text, lang))

    @classmethod
    def joined(cls, sentences: Iterable[str], lang: str) -> "Document":
        """Sentences that are known as such; empty ones are left out."""
        kept = tuple(filter(None, map(one_line, sentences)))
        return cls(join(kept, lang), kept)

    @property
    def is_empty(self) -> bool:
        return not self.text


def one_line(text: str) -> str:
    """The text with each run of blanks, line breaks of any kind included, as one blank."""
    return " ".join(text.split())


def split(text: str, lang: str) -> tuple[str, ...]:
    """Sentences of a text, without the blanks around them.

    Raises:
        UserError: sentencex is not installed.
    """
    try:
        import sentencex
    except ImportError as error:
        raise UserError(
            f"splitting sentences needs sentencex ({error}): pip install 'fairseq-vhm[pipeline]'"
        ) from error
    found = sentencex.segment(language_of(lang), text)
    parts = (part for sentence in found for part in _MISSED.split(sentence))
    return tuple(filter(None, map(str.strip, parts)))


def join(sentences: Iterable[str], lang: str) -> str:
    """Sentences in a row, with a blank between two where the language writes one."""
    blank = "" if language_of(lang) in _NO_BLANK_BETWEEN_SENTENCES else " "
    return blank.join(sentences)
