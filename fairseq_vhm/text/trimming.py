"""A SentencePiece model with only the pieces that given texts need; their segmentation stays as it was.

Why it stays (Kudo and Richardson, EMNLP 2018, section 3):

* ``unigram`` takes the path of the highest score.  A path that is best among all pieces is best among
  fewer, as long as its own are left; the price of an unknown character, which hangs on the lowest score of
  a piece, stays, since that piece is kept.
* ``bpe`` joins the best pair there is, again and again.  Whatever was joined on the way to a piece lies
  inside that piece, so the parts of kept pieces are kept too.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fairseq_vhm.errors import UserError, unreadable
from fairseq_vhm.text.subword import SubwordSegmenter
from fairseq_vhm.text.symbols import BLANK


def read_lines(path: Path) -> Iterator[str]:
    """The texts of a file, one a line.

    Raises:
        UserError: it is missing or not UTF-8.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield line.removesuffix("\n")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8; convert it, for instance with iconv") from error


def count_symbols(encode: Callable[[str], str], texts: Iterable[str]) -> Counter[str]:
    """How often each symbol stands in ``texts``; ``encode`` gives symbols with a blank between two."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(encode(text).split())
    return counts


def is_character(symbol: str) -> bool:
    """Whether a symbol is one character, alone or with the mark of a word's start or end."""
    return len(symbol.removeprefix(BLANK).removesuffix("@@")) <= 1


def read_model(path: Path) -> Any:
    """A SentencePiece model as its own message type (``ModelProto``).

    Raises:
        UserError: the file or the package ``protobuf`` is missing, or it is no model that can be trimmed.
    """
    SubwordSegmenter(path).check()
    try:
        from sentencepiece.sentencepiece_model_pb2 import (  # type: ignore[attr-defined]  # made at run time
            ModelProto,
            TrainerSpec,
        )
    except ImportError as error:
        raise UserError("vhm trim reads --spm with protobuf: pip install protobuf") from error
    model = ModelProto.FromString(path.read_bytes())
    kind = TrainerSpec.ModelType.Name(model.trainer_spec.model_type)
    unused = any(piece.type == piece.UNUSED for piece in model.pieces)
    if kind not in ("UNIGRAM", "BPE") or (kind == "BPE" and unused):
        raise UserError(f"{path}: vhm trim takes unigram and BPE models; this one is {kind.lower()}")
    return model


def pieces_to_keep(model: Any, used: Iterable[str], keep_characters: bool) -> set[str]:
    """The pieces that texts need whose symbols are ``used``, by the rules at the head of this file.

    Args:
        model: from :func:`read_model`.
        keep_characters: keep every single character, so that other texts meet no unknown ones.
    """
    normal = [p for p in model.pieces if p.type == p.NORMAL]
    known = {p.piece for p in normal}
    kept = {p.piece for p in model.pieces if p.type not in (p.NORMAL, p.UNUSED)}
    kept |= {end(normal, key=lambda p: p.score).piece for end in (min, max)}
    kept |= known.intersection(used)
    if keep_characters:
        kept |= set(filter(is_character, known))
    if model.trainer_spec.model_type == model.trainer_spec.BPE:
        kept |= {part for piece in kept for part in _parts(piece) if part in known}
    return kept


def _parts(piece: str) -> Iterator[str]:
    for start in range(len(piece)):
        for end in range(start + 1, len(piece) + 1):
            yield piece[start:end]


def trim_model(model: Any, kept: set[str]) -> bytes:
    """The model with the ``kept`` pieces alone, in their order.

    Its self-test is left out: samples of the old segmentation, which loading would check.
    """
    trimmed = type(model)(pieces=[piece for piece in model.pieces if piece.piece in kept])
    for part in ("trainer_spec", "normalizer_spec", "denormalizer_spec"):
        if model.HasField(part):
            getattr(trimmed, part).CopyFrom(getattr(model, part))
    trimmed.trainer_spec.vocab_size = len(trimmed.pieces)
    return trimmed.SerializeToString()
