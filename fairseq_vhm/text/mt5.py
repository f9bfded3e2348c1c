"""mT5's vocabulary (Xue et al., NAACL 2021, section 3.2): the rows of its embeddings by name.

SentencePiece numbers ``<pad>`` 0, ``</s>`` 1 and ``<unk>`` 2, then the 256 bytes ``<0x00>`` to ``<0xFF>``
that spell characters it does not know, the pieces of texts, and last the sentinels ``▁<extra_id_99>`` to
``▁<extra_id_0>`` of pre-training.  The embeddings have some rows more (250,112 for 250,100 pieces), which
no text ever has.
"""

from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json
from fairseq_vhm.text.subword import SubwordSegmenter
from fairseq_vhm.text.symbols import BLANK, escape_piece

MODEL, CONFIG = "spiece.model", "config.json"
SPECIALS = ("<pad>", "</s>", "<unk>")
"""The symbols of ids 0, 1, 2.  No other dictionary of fairseq's lists them: it adds its own by itself."""


def sentinel(number: int) -> str:
    """The piece of a sentinel of pre-training, 0 to 99."""
    return f"{BLANK}<extra_id_{number}>"


def read_config(folder: Path, flag: str) -> dict:
    """``config.json`` of an mT5 in HuggingFace's form.

    Raises:
        UserError: it is missing, or is no mT5's.
    """
    path = Path(folder) / CONFIG
    try:
        config = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{flag} {folder}: no {CONFIG} ({error.strerror}); give the folder of a HuggingFace mT5 such as "
            "google/mt5-base, downloaded from the Hugging Face hub"
        ) from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); download the folder again") from error
    check_config(config, str(path))
    return config


def check_config(config: dict, where: str) -> None:
    """Refuse what is not mT5's: another kind of model, or other ids of padding and end.

    Raises:
        UserError: names ``where``.
    """
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "mt5" or not isinstance(config.get("vocab_size"), int):
        raise UserError(f"{where}: of a model of type {kind}, not mt5; give the folder of an mT5")
    if (config.get("pad_token_id", 0), config.get("eos_token_id", 1)) != (0, 1):
        raise UserError(f"{where}: pad_token_id and eos_token_id are not 0 and 1, as mT5's are")


def read_rows(folder: Path, flag: str = "--mt5") -> list[str]:
    """The symbol of each row of an mT5's embeddings, in the order of its ids, as symbol text has it.

    Raises:
        UserError: a file is missing, or SentencePiece model and ``config.json`` do not fit each other.
    """
    folder = Path(folder)
    rows, processor = read_config(folder, flag)["vocab_size"], SubwordSegmenter(folder / MODEL).processor
    pieces = [escape_piece(processor.id_to_piece(number)) for number in range(processor.get_piece_size())]
    if tuple(pieces[: len(SPECIALS)]) != SPECIALS or sentinel(0) not in pieces:
        raise UserError(
            f"{folder / MODEL}: not mT5's vocabulary, which begins with {', '.join(SPECIALS)} and has the "
            f"sentinel {sentinel(0)}"
        )
    if len(pieces) > rows or len(set(pieces)) < len(pieces):
        raise UserError(
            f"{folder / MODEL}: {len(pieces):,} pieces, {len(set(pieces)):,} different ones, for {rows:,} "
            f"rows of embeddings ({CONFIG}): the files are not of one model"
        )
    return [*pieces, *(f"<row:{number}>" for number in range(len(pieces), rows))]
