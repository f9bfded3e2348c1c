"""What decides the result of ``vhm prepare crosssum``: the one home of the flags' defaults."""

from dataclasses import dataclass
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.mt5 import CONFIG, MODEL
from preprocess.collect import DEDUP
from preprocess.crosssum.inputs import Languages, parse_languages
from preprocess.records import ON_ERROR
from preprocess.settings import SMALLEST_VOCABULARY, refuse_below, refuse_coverage, refuse_unknown

LEAKS = ("stop", *DEDUP)


@dataclass(frozen=True)
class CrossSumSettings:
    """Everything that the result depends on besides the contents of the input files.

    ``files`` are those of each split; ``lang`` is the language, or two, of files that tell none.  Languages
    share SentencePiece's training text by their sizes in bytes to the power ``spm_alpha``; its 0.3 and the
    ``character_coverage`` are mT5's (Xue et al., NAACL 2021, section 3.2).  Lengths are in symbols.
    """

    files: dict[str, tuple[str, ...]]
    lang: str | None = None
    vocab_size: int = 64000
    character_coverage: float = 0.99999
    spm_alpha: float = 0.3
    spm_sample_mib: int = 64
    spm_model: str | None = None
    mt5: str | None = None
    max_source_length: int = 1022
    on_error: str = "stop"
    dedup: str = "stop"
    seed: int = 1

    def __post_init__(self) -> None:
        refuse_unknown("--on-error", self.on_error, ON_ERROR)
        refuse_unknown("--dedup", self.dedup, LEAKS)
        refuse_below("--vocab-size", self.vocab_size, SMALLEST_VOCABULARY)
        refuse_below("--spm-sample-mib", self.spm_sample_mib, 1)
        refuse_below("--max-source-length", self.max_source_length, 0)
        refuse_coverage(self.character_coverage)
        if not 0.0 <= self.spm_alpha <= 1.0:
            raise UserError(f"--spm-alpha {self.spm_alpha}: give a number from 0 to 1")
        if self.spm_model and self.mt5:
            raise UserError("--spm and --mt5 both give a vocabulary: choose one")
        if not self.files:
            raise UserError("no files: give the folder of the corpus, or --train, --valid and --test")
        if "train" not in self.files and not (self.spm_model or self.mt5):
            raise UserError("--train is missing: without training text give --spm MODEL or --mt5 FOLDER")
        self.languages  # noqa: B018  (refuses what is none)

    @property
    def languages(self) -> Languages | None:
        """Source and target language of files that tell none."""
        try:
            return parse_languages(self.lang) if self.lang else None
        except UserError as error:
            raise UserError(f"--lang: {error}") from error

    @property
    def paths(self) -> dict[str, list[Path]]:
        """The input files of each split."""
        return {split: [Path(name) for name in names] for split, names in self.files.items()}

    def reused_files(self) -> list[Path]:
        """Files of vocabularies that are taken over.

        Raises:
            UserError: one is missing.
        """
        files = [Path(self.spm_model)] if self.spm_model else []
        files += [Path(self.mt5) / name for name in (MODEL, CONFIG)] if self.mt5 else []
        for path in files:
            if not path.is_file():
                raise UserError(f"{path}: missing file")
        return files
