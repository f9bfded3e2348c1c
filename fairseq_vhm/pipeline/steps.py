"""The steps of a pipeline, each from a list of documents to as many.

Rules.  An empty document stays empty.  Translation goes sentence by sentence; a sentence longer than the
model is translated in pieces of the model's length, so that nothing is lost.  A summarization model reads
the first symbols of a longer document, as the task itself cuts.  Both are counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fairseq_vhm.pipeline.documents import Document, join
from fairseq_vhm.pipeline.huggingface import HuggingFaceModel
from fairseq_vhm.pipeline.lexrank import LexRank
from fairseq_vhm.pipeline.models import TextModel

Model = TextModel | HuggingFaceModel
Step = Callable[[list[Document], Counter], list[Document]]
"""Documents to documents; what is counted goes into the second argument."""


class Translate:
    """Every sentence of every document through a translation model that writes ``lang``."""

    def __init__(self, model: Model, lang: str) -> None:
        self.model, self.lang = model, lang

    def __call__(self, documents: list[Document], counts: Counter) -> list[Document]:
        pieces = [[self._pieces(s, counts) for s in document.sentences] for document in documents]
        flat = [piece for of_document in pieces for of_sentence in of_document for piece in of_sentence]
        outputs = iter(self.model.generate(flat))
        counts["sentences translated"] += sum(map(len, pieces))
        return [
            Document.joined([self._join(outputs, len(s)) for s in of_document], self.lang)
            for of_document in pieces
        ]

    def _pieces(self, sentence: str, counts: Counter) -> list[Tensor]:
        symbols = self.model.encode(sentence)
        room = self.model.room - 1
        if len(symbols) - 1 <= room:
            return [symbols]
        counts["sentences translated in pieces"] += 1
        return [torch.cat([piece, symbols[-1:]]) for piece in symbols[:-1].split(room)]

    def _join(self, outputs: Iterator[str], count: int) -> str:
        return join([next(outputs) for _ in range(count)], self.lang)


class Summarize:
    """Every document through a summarization model that writes ``lang``."""

    def __init__(self, model: Model, lang: str) -> None:
        self.model, self.lang = model, lang

    def __call__(self, documents: list[Document], counts: Counter) -> list[Document]:
        full = [place for place, document in enumerate(documents) if not document.is_empty]
        texts = [self._cut(self.model.encode(documents[place].text), counts) for place in full]
        outputs = dict(zip(full, self.model.generate(texts), strict=True))
        counts["documents summarised"] += len(full)
        return [Document.of(outputs.get(place, ""), self.lang) for place in range(len(documents))]

    def _cut(self, symbols: Tensor, counts: Counter) -> Tensor:
        if len(symbols) <= self.model.room:
            return symbols
        counts["documents cut to the model's length"] += 1
        return torch.cat([symbols[: self.model.room - 1], symbols[-1:]])


class Extract:
    """The central sentences of every document."""

    def __init__(self, lexrank: LexRank) -> None:
        self.lexrank = lexrank

    def __call__(self, documents: list[Document], counts: Counter) -> list[Document]:
        counts["documents summarised"] += sum(not document.is_empty for document in documents)
        return [self.lexrank(document) for document in documents]
