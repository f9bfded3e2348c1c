"""Segmentation of a checkpoint's texts: that of its prepared folder, or one named on the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.segment import MANIFEST_NAME, Segmenter
from fairseq_vhm.text.symbols import language_of

OWN = "data"
KINDS = f"{OWN}, none, sentencepiece:MODEL, subword_nmt:CODES or moses+subword_nmt:CODES"


@dataclass(frozen=True)
class FairseqEncoders:
    """fairseq's own tokenizer and subword encoder (each may be absent), as a segmenter."""

    tokenizer: Any = None
    bpe: Any = None

    def encode(self, text: str, lang: str) -> str:
        """Symbols of a line of text."""
        for step in filter(None, (self.tokenizer, self.bpe)):
            text = step.encode(text)
        return text

    def decode(self, symbols: str, lang: str) -> str:
        """Text of a line of symbols."""
        for step in filter(None, (self.bpe, self.tokenizer)):
            symbols = step.decode(symbols)
        return symbols


def segmenter_of(flag: str, spec: str, data: Path, source: str, target: str) -> "Segmenter | FairseqEncoders":
    """The segmenter that ``spec`` (one of :data:`KINDS`) names.

    Args:
        flag: prefix of the model's flags (``mt`` or ``ms``), for messages.
        data: the model's prepared folder; ``vhm prepare`` left its segmentation there or one above.
        source, target: languages or suffixes of the model's sides.

    Raises:
        UserError: an unknown kind, a missing file or package, or no segmentation in ``data``.
    """
    kind, _, file = spec.partition(":")
    if kind == OWN and not file:
        return _own(flag, data)
    if kind == "none" and not file:
        return FairseqEncoders()
    if kind not in ("sentencepiece", "subword_nmt", "moses+subword_nmt") or not file:
        raise UserError(f"--{flag}-segmentation {spec}: give {KINDS}")
    if not Path(file).is_file():
        raise UserError(f"--{flag}-segmentation {spec}: {file} is missing")
    try:
        return _named(kind, file, source, target)
    except ImportError as error:
        raise UserError(f"--{flag}-segmentation {spec}: {' '.join(str(error).split())}") from error
    except (OSError, RuntimeError, ValueError, SystemExit) as error:
        raise UserError(f"--{flag}-segmentation {spec}: {file} is not a model of that kind") from error


def manifests_of(data: Path) -> list[Path]:
    """The manifest of `vhm prepare` in ``data`` or, where that is one task's folder, one above."""
    found = (folder / MANIFEST_NAME for folder in (data, data.absolute().parent))
    return [path for path in found if path.is_file()][:1]


def _own(flag: str, data: Path) -> Segmenter:
    for manifest in manifests_of(data):
        return Segmenter.load(manifest.parent)
    raise UserError(
        f"--{flag}-data {data}: `vhm prepare` left no segmentation there; name it with "
        f"--{flag}-segmentation: {KINDS}"
    )


def _named(kind: str, file: str, source: str, target: str) -> FairseqEncoders:
    from fairseq.data.encoders.moses_tokenizer import MosesTokenizer, MosesTokenizerConfig
    from fairseq.data.encoders.sentencepiece_bpe import SentencepieceBPE, SentencepieceConfig
    from fairseq.data.encoders.subword_nmt_bpe import SubwordNMTBPE, SubwordNMTBPEConfig

    if kind == "sentencepiece":
        return FairseqEncoders(bpe=SentencepieceBPE(SentencepieceConfig(sentencepiece_model=file)))
    bpe = SubwordNMTBPE(SubwordNMTBPEConfig(bpe_codes=file))
    if kind == "subword_nmt":
        return FairseqEncoders(bpe=bpe)
    config = MosesTokenizerConfig(source_lang=language_of(source), target_lang=language_of(target))
    return FairseqEncoders(MosesTokenizer(config), bpe)
