"""Subword segmentation with one joined SentencePiece model (Kudo and Richardson, EMNLP 2018).

A model of ``vhm prepare`` normalises nothing (``identity``, blanks kept), so ``decode(encode(text)) ==
text`` for every text without lower-casing, characters unknown to the model included.  One that normalises,
such as mBART's, is given the text as it is, as in its own training.
"""

import io
import os
import re
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.symbols import (
    BLANK,
    SPECIAL_SYMBOLS,
    byte_piece,
    escape,
    escape_piece,
    join_bytes,
    unescape,
)

MODEL_NAME = "spm.model"

# The result of training depends on the number of threads, so it is not the user's --workers.
_TRAINING_THREADS = 4
_LONGEST_LINE_BYTES = 1 << 24
MOST_STRANGE = 0.05
"""Of all symbols of the texts; see :func:`check_belongs`."""
_CHANGED_BY_NFKC = "\u3000"


class SubwordSegmenter:
    """SentencePiece pieces.  ``lowercase`` is applied before encoding and cannot be undone."""

    kind = "subword"

    def __init__(self, model: Path, lowercase: bool = False) -> None:
        self.model = Path(model)
        self.lowercase = lowercase
        self._processor: Any = None

    @property
    def processor(self) -> Any:
        """The loaded model; read when first needed, so that a segmenter pickles as two settings."""
        if self._processor is None:
            self.check()
        return self._processor

    def check(self) -> None:
        """Load the model now.

        Raises:
            UserError: it is missing or no SentencePiece model.
        """
        self._processor = _load_model(self.model)

    def __getstate__(self) -> dict:
        return {"model": self.model, "lowercase": self.lowercase, "_processor": None}

    def encode(self, text: str, lang: str) -> str:
        """Symbols of ``text``, one blank between two; a joined model needs no ``lang``."""
        pieces = self.processor.encode(self._prepared(text), out_type=str)
        return " ".join(map(escape_piece, pieces) if self._normalises else pieces)

    def piece_ids(self, text: str) -> list[int]:
        """SentencePiece's own numbers of the symbols of ``text``."""
        return self.processor.encode(self._prepared(text))

    def _prepared(self, text: str) -> str:
        """``text`` as the model is given it."""
        text = text.lower() if self.lowercase else text
        return text if self._normalises else escape(text)

    @cached_property
    def _normalises(self) -> bool:
        """Whether the model changes characters itself, those that symbol text cannot carry among them."""
        return _CHANGED_BY_NFKC not in self.processor.normalize(_CHANGED_BY_NFKC)

    @cached_property
    def _spells_bytes(self) -> bool:
        """Whether the model writes a character that it does not know as its bytes, as mT5's does."""
        return self.processor.is_byte(self.processor.piece_to_id(byte_piece(0)))

    def decode(self, symbols: str, lang: str) -> str:
        """The text of ``symbols``: exactly what was encoded."""
        text = "".join(symbols.split(" ")).replace(BLANK, " ")
        text = join_bytes(text) if self._spells_bytes else text
        return unescape(text.removeprefix(" "))

    def vocabulary(self) -> list[str]:
        """All pieces that can stand in symbol text, without SentencePiece's own special ones."""
        processor = self.processor
        pieces = (processor.id_to_piece(number) for number in range(processor.get_piece_size()))
        return [piece for piece in pieces if piece not in SPECIAL_SYMBOLS]

    def settings(self) -> dict:
        """What ``Segmenter.load`` needs to build it again."""
        return {"kind": self.kind, "model": MODEL_NAME, "lowercase": self.lowercase}


def check_belongs(used: Mapping[str, int], dictionary: Path, symbols: Collection[str], model: Path) -> None:
    """Refuse a dictionary that is not of a model's pieces, by the texts that the two are to be used for.

    A dictionary that was made from a corpus lacks what is rare there, and one of a small corpus most pieces
    of a large model; both are right for texts like that corpus.  So it is not kinds of symbols that count but
    how often the texts have them: in a pair that belongs together next to none is in one of the two alone.

    Args:
        used: how often the texts have each symbol, segmented by the model or binarised with the dictionary.
        dictionary, model: where they are.
        symbols: of the dictionary.

    Raises:
        UserError: more than :data:`MOST_STRANGE` of the texts is in one of the two alone.
    """
    pieces, known = set(SubwordSegmenter(model).vocabulary()), set(symbols)
    counts = {symbol: count for symbol, count in used.items() if symbol not in SPECIAL_SYMBOLS}
    strange = {symbol: count for symbol, count in counts.items() if (symbol in pieces) != (symbol in known)}
    if sum(strange.values()) > MOST_STRANGE * sum(counts.values()):
        share = sum(strange.values()) / sum(counts.values())
        raise UserError(
            f"--dict {dictionary} and --spm {model}: {len(strange):,} of the {len(counts):,} symbols of the "
            f"texts, {share:.0%} of all that they hold, are in one of the two alone; give two that belong "
            "together"
        )


def train_model(texts: Iterable[str], vocab_size: int, character_coverage: float) -> bytes:
    """Train one unigram model on ``texts``; equal texts give equal bytes.

    Raises:
        UserError: the texts cannot carry ``vocab_size`` pieces.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(escape(text) for text in texts),
            model_writer=model,
            vocab_size=vocab_size,
            character_coverage=character_coverage,
            model_type="unigram",
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=_LONGEST_LINE_BYTES,
            num_threads=_TRAINING_THREADS,
            minloglevel=2,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(_training_error(str(error), vocab_size)) from error
    return model.getvalue()


def _training_error(message: str, vocab_size: int) -> str:
    most = re.search(r"value <= (\d+)", message)
    if most:
        return f"--vocab-size {vocab_size} is more than this text can fill: use at most {most[1]}"
    return f"--vocab-size {vocab_size}: SentencePiece cannot train: {' '.join(message.split())}"


def _load_model(path: Path) -> Any:
    import sentencepiece

    if not os.path.isfile(path):
        raise UserError(f"{path}: no such SentencePiece model")
    try:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        processor.id_to_piece(list(range(processor.get_piece_size())))  # are they texts?
        return processor
    except (RuntimeError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a SentencePiece model") from error
