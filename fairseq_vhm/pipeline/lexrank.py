"""LexRank (Erkan and Radev, JAIR 2004): the sentences that most others resemble; computed by sumy.

Sentences and words are ours, handed over through sumy's interfaces, so that no data of NLTK are needed:
words of :class:`~fairseq_vhm.text.words.WordSegmenter` (jieba for Chinese, sacremoses else) that hold a
letter or digit, with sumy's stop words and stemmer where it has them for the language.
"""

from typing import Any

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.documents import Document
from fairseq_vhm.text.symbols import language_of
from fairseq_vhm.text.words import WordSegmenter


class LexRank:
    """Extracts the ``count`` most central sentences of a document, in the document's order.

    Raises:
        UserError: sumy is not installed, or the language's words cannot be told.
    """

    def __init__(self, lang: str, count: int) -> None:
        try:
            WordSegmenter.check_language(lang)
        except UserError as error:
            raise UserError(
                f"--summarizer lexrank: has no rule for the words of '{lang}'; give a summarizer with --ms"
            ) from error
        self.lang, self.count = lang, count
        self._words = _Words(lang)
        self._summarizer = _summarizer(language_of(lang))

    def __call__(self, document: Document) -> Document:
        """The document's central sentences; the first ones where no sentence resembles another."""
        from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence

        if len(document.sentences) <= self.count:
            return Document.joined(document.sentences, self.lang)
        sentences = [Sentence(text, self._words) for text in document.sentences]
        with np.errstate(invalid="ignore"):  # a matrix of zeros has no central sentence
            chosen = self._summarizer(ObjectDocumentModel([Paragraph(sentences)]), self.count)
        return Document.joined(map(str, chosen), self.lang)


class _Words:
    """Words of a sentence, as sumy asks for them."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.segmenter = WordSegmenter()

    def to_words(self, sentence: str) -> tuple[str, ...]:
        words = self.segmenter.encode(sentence, self.lang).split(" ")
        return tuple(word for word in words if any(map(str.isalnum, word)))


def _summarizer(language: str) -> Any:
    try:
        from sumy.nlp.stemmers import Stemmer, null_stemmer
        from sumy.summarizers.lex_rank import LexRankSummarizer
        from sumy.utils import get_stop_words
    except ImportError as error:
        raise UserError(
            f"--summarizer lexrank needs sumy ({error}): pip install 'fairseq-vhm[pipeline]'"
        ) from error
    try:
        summarizer = LexRankSummarizer(Stemmer(language))
    except LookupError:
        summarizer = LexRankSummarizer(null_stemmer)
    try:
        summarizer.stop_words = get_stop_words(language)
    except LookupError:
        summarizer.stop_words = ()
    return summarizer
