"""SentencePiece's numbers as ids of the corpus's dictionary: fairseq's own kind, or mT5's ids as they are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairseq_vhm.text.segment import SubwordSegmenter
from fairseq_vhm.text.symbols import escape_piece
from preprocess.dictionary import SPECIAL_BY_ID, SPECIALS

_MT5_END, _MT5_UNKNOWN = 1, 2


@dataclass(frozen=True)
class Vocabulary:
    """A SentencePiece model and what its numbers are in the dictionary.

    Args:
        ids: int64, the dictionary's id of each of SentencePiece's numbers.
        symbols: all symbols of the dictionary that its file lists, in order; none for mT5's, whose
            dictionary is made of its checkpoint.
        size: of the dictionary.
        eos, unk: ids.
    """

    segmenter: SubwordSegmenter
    ids: np.ndarray
    symbols: tuple[str, ...]
    size: int
    eos: int
    unk: int

    @classmethod
    def of_sentencepiece(cls, model: Path) -> "Vocabulary":
        """fairseq's special symbols and then the model's pieces in its order, the most probable first."""
        segmenter = SubwordSegmenter(model)
        places = {symbol: place for place, symbol in enumerate(SPECIAL_BY_ID)}
        ids = [places.setdefault(piece, len(places)) for piece in _pieces(segmenter)]
        symbols = tuple(places)[SPECIALS:]
        return cls(segmenter, np.array(ids), symbols, len(places), places["</s>"], places["<unk>"])

    @classmethod
    def of_mt5(cls, model: Path, size: int) -> "Vocabulary":
        """mT5's ids, which are SentencePiece's numbers; ``size`` is that of its embeddings."""
        segmenter = SubwordSegmenter(model)
        ids = np.arange(len(_pieces(segmenter)))
        return cls(segmenter, ids, (), size, _MT5_END, _MT5_UNKNOWN)

    def encode(self, text: str, limit: int) -> tuple[np.ndarray, int]:
        """The ids of a text, at most ``limit`` of them (0: all) and EOS; and how many there were before."""
        ids = self.ids[self.segmenter.piece_ids(text)]
        return np.append(ids[:limit] if limit else ids, self.eos), len(ids)


def _pieces(segmenter: SubwordSegmenter) -> list[str]:
    processor = segmenter.processor
    return [escape_piece(processor.id_to_piece(number)) for number in range(processor.get_piece_size())]
