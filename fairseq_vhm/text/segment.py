"""Segmentation by choice, saved in a prepared folder's manifest and loaded back from it.

``Segmenter.load(DATA)`` gives the segmentation that DATA was prepared with, for inference:

    segmenter = Segmenter.load("DATA")
    symbols = segmenter.encode("a document", "en")
    text = segmenter.decode(symbols, "en")
"""

from pathlib import Path
from typing import Protocol

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json
from fairseq_vhm.text.subword import MODEL_NAME, SubwordSegmenter
from fairseq_vhm.text.symbols import language_of
from fairseq_vhm.text.words import WordSegmenter

__all__ = ["MANIFEST_NAME", "Segmenter", "SubwordSegmenter", "WordSegmenter", "language_of"]

MANIFEST_NAME = "manifest.json"
_KEYS = {
    SubwordSegmenter.kind: ("kind", "model", "lowercase"),
    WordSegmenter.kind: ("kind", "chinese_words", "lowercase"),
}


class Segmenter(Protocol):
    """Text to symbols and back; ``lang`` is a language or a file suffix (``en_sum``)."""

    kind: str
    lowercase: bool

    def encode(self, text: str, lang: str) -> str:
        """Symbols of one line of text, one blank between two."""

    def decode(self, symbols: str, lang: str) -> str:
        """Text of one line of symbols."""

    def settings(self) -> dict:
        """What the manifest keeps."""

    @staticmethod
    def load(data: str | Path) -> "Segmenter":
        """The segmentation of the prepared folder ``data``.

        Raises:
            UserError: ``data`` holds no manifest of ``vhm prepare``, or its model is gone.
        """
        data = Path(data)
        settings = _read_settings(data / MANIFEST_NAME)
        if settings["kind"] == SubwordSegmenter.kind:
            segmenter = SubwordSegmenter(data / settings["model"], bool(settings["lowercase"]))
            segmenter.check()
            return segmenter  # type: ignore[return-value]  # load is the protocol's alone
        return WordSegmenter(  # type: ignore[return-value]  # likewise
            settings["chinese_words"], bool(settings["lowercase"])
        )


def _read_settings(manifest: Path) -> dict:
    try:
        settings = parse_json(manifest.read_text(encoding="utf-8"))["segmentation"]
        known = {key: settings[key] for key in _KEYS[settings["kind"]]}
    except FileNotFoundError as error:
        raise UserError(f"{manifest}: missing; prepare the folder with `vhm prepare`") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{manifest}: not a manifest of `vhm prepare`; prepare it again") from error
    named = known.get("model", MODEL_NAME)
    if not isinstance(named, str) or not named or Path(named).name != named:
        raise UserError(f"{manifest}: its model lies in another folder; prepare it again")
    return known
