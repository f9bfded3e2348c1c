"""Outputs whose symbols are pieces of words: how they are known, and joined to words."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.tokens import language_of
from fairseq_vhm.text.symbols import BLANK, join_bytes, unescape

PostProcess = Literal["none", "sentencepiece", "subword_nmt", "ncls"]

PIECE_MARKS = {"sentencepiece": BLANK, "subword_nmt": "@@ "}
MARKED_SHARE = 0.1
NCLS_MARK = re.compile(r"</?t>")


def join_pieces(text: str, post_process: PostProcess, lang: str) -> str:
    """Text of an output whose symbols are pieces of words.

    ``sentencepiece`` and ``subword_nmt`` do as fairseq's ``--post-process`` of that name; ``ncls``
    treats the published outputs of NCLS systems as they were treated for scoring: SentencePiece
    pieces are joined, ``<t>`` and ``</t>`` dropped, and in Chinese all blanks removed.  Stand-ins
    that ``vhm prepare`` writes for odd characters (:mod:`fairseq_vhm.text.symbols`) are undone.
    """
    match post_process:
        case "sentencepiece":
            text = _join_sentencepiece(text)
        case "subword_nmt":
            text = f"{text} ".replace("@@ ", "").rstrip()
        case "ncls":
            text = NCLS_MARK.sub("", text)
            text = _join_sentencepiece(text) if BLANK in text else text
            text = "".join(text.split()) if language_of(lang) == "zh" else text
    return unescape(text)


def _join_sentencepiece(text: str) -> str:
    return join_bytes(text.replace(" ", "")).replace(BLANK, " ").strip()


def kind_of_pieces(texts: Sequence[str]) -> str | None:
    """The kind of pieces that the texts are made of, if they are."""
    for name, mark in PIECE_MARKS.items():
        if sum(mark in f"{text} " for text in texts) > MARKED_SHARE * len(texts):
            return name
    return None


def check_outputs(path: Path, texts: Sequence[str], post_process: PostProcess) -> None:
    """Refuse pieces that would be scored as words, and blanks that would be removed as pieces'."""
    name = kind_of_pieces(texts)
    if post_process == "none" and name:
        raise UserError(
            f"{path}: holds {name} pieces ('{PIECE_MARKS[name].strip()}'), not words;"
            f" join them with --post-process {name}"
        )
    if post_process == "sentencepiece" and not any(BLANK in text for text in texts):
        raise UserError(
            f"{path}: has no '{BLANK}', so --post-process sentencepiece would remove every blank;"
            " leave it out"
        )
