"""What decides the result of ``vhm prepare trio``: the one home of the flags' defaults."""

from dataclasses import dataclass, field
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.segment import SubwordSegmenter, WordSegmenter
from fairseq_vhm.text.words import CHINESE_WORDS
from preprocess.collect import DEDUP
from preprocess.corpus import Corpus, open_corpus
from preprocess.readers import TASKS, ReaderOptions, Request
from preprocess.records import ON_ERROR

SEGMENTATIONS = (SubwordSegmenter.kind, WordSegmenter.kind)
SMALLEST_VOCABULARY = 16


@dataclass(frozen=True)
class TrioSettings:
    """Everything that the result depends on besides the contents of the input files.

    ``specs[task][split]`` is a ``FORMAT:PATH`` or None; ``train`` names a whole corpus, ``valid``
    and ``test`` one split by itself.  Lengths are in symbols, 0 for no limit; 1022 leaves room in
    fairseq's 1024 positions for the end mark and a task tag.  ``character_coverage`` is counted
    over both languages: at SentencePiece's usual 0.9995 an English majority leaves 1 % of Chinese
    summaries unknown.
    """

    source_lang: str
    target_lang: str
    specs: dict[str, dict[str, str | None]]
    segmentation: str = "subword"
    vocab_size: int = 32000
    character_coverage: float = 0.9999
    spm_sample_mib: int = 32
    spm_model: str | None = None
    dictionary: str | None = None
    chinese_words: str = "jieba"
    lowercase: bool = False
    max_source_length: int = 1022
    max_target_length: int = 1022
    hold_out: int = 0
    on_error: str = "stop"
    dedup: str = "report"
    seed: int = 1
    reader_options: ReaderOptions = field(default_factory=ReaderOptions)

    def __post_init__(self) -> None:
        refuse_unknown("--segmentation", self.segmentation, SEGMENTATIONS)
        refuse_unknown("--chinese-words", self.chinese_words, CHINESE_WORDS)
        refuse_unknown("--on-error", self.on_error, ON_ERROR)
        refuse_unknown("--dedup", self.dedup, DEDUP)
        refuse_below("--vocab-size", self.vocab_size, SMALLEST_VOCABULARY)
        refuse_below("--spm-sample-mib", self.spm_sample_mib, 1)
        for flag in ("max_source_length", "max_target_length", "hold_out"):
            refuse_below("--" + flag.replace("_", "-"), getattr(self, flag), 0)
        refuse_coverage(self.character_coverage)
        if self.spm_model and self.segmentation != SubwordSegmenter.kind:
            raise UserError("--spm goes with --segmentation subword only")
        if self.dictionary and not self.spm_model and self.segmentation == SubwordSegmenter.kind:
            raise UserError("--dict needs --spm beside it: a new model has other pieces")
        self._check_languages()
        self._check_specs()

    def _check_specs(self) -> None:
        for task, (main, *single) in ((t, self.specs[t].values()) for t in TASKS):
            if any(single) and not main:
                raise UserError(f"--{task}-valid and --{task}-test go with --{task}")

    def _check_languages(self) -> None:
        if self.source_lang == self.target_lang:
            raise UserError("--source-lang and --target-lang are the same; they name two languages")
        for flag, lang in (("source", self.source_lang), ("target", self.target_lang)):
            if self.segmentation == WordSegmenter.kind:
                WordSegmenter.check_language(lang)
            if not lang.isalnum():
                raise UserError(f"--{flag}-lang '{lang}': give a language code, as in zh")

    def open_corpora(self) -> list[Corpus]:
        """The corpora of the tasks that are asked for."""
        return [
            open_corpus(
                Request(task, self.source_lang, self.target_lang, self.reader_options),
                self.specs[task],
                self.hold_out,
                self.seed,
            )
            for task in TASKS
            if self.specs[task]["train"]
        ]

    def reused_files(self) -> list[Path]:
        """Models and dictionaries that are taken over.

        Raises:
            UserError: one is missing.
        """
        files = [Path(name) for name in (self.spm_model, self.dictionary) if name]
        for path in files:
            if not path.is_file():
                raise UserError(f"{path}: missing file")
        return files


def refuse_unknown(flag: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of ``choices``."""
    if value not in choices:
        raise UserError(f"{flag} {value}: choose one of {', '.join(choices)}")


def refuse_coverage(share: float) -> None:
    """Refuse a ``--character-coverage`` that SentencePiece cannot train with."""
    if not 0.0 < share <= 1.0:
        raise UserError(f"--character-coverage {share}: give a share above 0 and up to 1")


def refuse_below(flag: str, value: int, least: int) -> None:
    """Refuse a number below ``least``."""
    if value < least:
        raise UserError(f"{flag} {value}: give at least {least}")
