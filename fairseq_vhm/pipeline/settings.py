"""Settings of a pipeline, the only home of their defaults; importing them loads neither torch nor fairseq."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq_vhm.data.corpus_layout import CORPUS, DICTIONARY
from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json
from fairseq_vhm.pipeline.folder import hash_file
from fairseq_vhm.pipeline.segmentation import OWN, manifests_of
from fairseq_vhm.text.pretrained import settings_files, weight_files

BEAM = 4  # Liang et al. (2022), section 4.3
LENGTH_PENALTY = 0.6
MAX_TOKENS = 4096
MAX_SOURCE = 512  # Bhattacharjee et al. (2023): input tokens of their models
SEARCH_OF_HUGGINGFACE = {
    "ms": {"max_length": 84, "no_repeat_ngram_size": 2},  # as their summarizers are decoded
    "mt": {"max_length": 200},  # M2M-100's own, and fairseq's
}
"""What the search of a HuggingFace model takes beside beam and length penalty, by its step."""

INSTALL_TRANSFORMERS = "pip install 'fairseq-vhm[mt5]'"
CHUNK = 200
SENTENCES = 1
SUMMARIES = "summaries.txt"
TRANSLATE, SUMMARISE = "translate", "summarise"


@dataclass(frozen=True)
class ModelSettings:
    """What the user says of one checkpoint of fairseq; ``flag`` (``mt``, ``ms``) is the prefix of its flags.

    ``checkpoint`` may name several joined by ``:``, an ensemble.
    """

    flag: str
    checkpoint: str
    data: Path
    eval_task: str
    segmentation: str = OWN
    generation: dict = field(default_factory=dict)
    max_tokens: int = MAX_TOKENS
    cpu: bool = False
    fp16: bool = False

    @property
    def files(self) -> list[Path]:
        return [Path(name) for name in self.checkpoint.split(os.pathsep)]

    def check(self) -> None:
        """Refuse what is not there.

        Raises:
            UserError: names the flag and what is missing.
        """
        for file in self.files:
            if not file.is_file():
                raise UserError(
                    f"--{self.flag} {file}: missing; give a checkpoint of fairseq-train, or the folder of a "
                    "HuggingFace model"
                )
        if not self.data.is_dir():
            raise UserError(f"--{self.flag}-data {self.data}: missing; give the folder of its training")

    def made_of(self) -> dict:
        """All of it that decides about outputs, under the names of the flags; files by their contents."""
        kind, _, file = self.segmentation.partition(":")
        own = {*self.data.glob("**/dict.*.txt"), *manifests_of(self.data)}
        if (self.data / CORPUS).is_file():
            own.add(self.data / DICTIONARY)
        flag = f"--{self.flag}"
        return {
            flag: [hash_file(path) for path in self.files],
            f"{flag}-task": self.eval_task,
            f"{flag}-data": {os.path.relpath(path, self.data): hash_file(path) for path in sorted(own)},
            f"{flag}-segmentation": [kind, hash_file(Path(file)) if Path(file).is_file() else file],
            f"search of {flag}": self.generation,
            "--fp16": self.fp16,
        }


@dataclass(frozen=True)
class HuggingFaceSettings:
    """What the user says of a sequence-to-sequence model in a folder of HuggingFace's form.

    ``generation`` is by the names of transformers; ``max_source`` counts input tokens, special ones included.
    """

    flag: str
    checkpoint: str
    generation: dict = field(default_factory=dict)
    max_source: int = MAX_SOURCE
    max_tokens: int = MAX_TOKENS
    cpu: bool = False
    fp16: bool = False

    @property
    def folder(self) -> Path:
        return Path(self.checkpoint)

    @property
    def where(self) -> str:
        """The model in messages."""
        return f"--{self.flag} {self.checkpoint}"

    def check(self) -> None:
        """Refuse a folder that holds no model.

        Raises:
            UserError: names the flag and what is missing.
        """
        lacking = [] if (self.folder / "config.json").is_file() else ["config.json"]
        lacking += [] if weight_files(self.folder) else ["weights (model.safetensors)"]
        if lacking:
            raise UserError(
                f"--{self.flag} {self.folder}: holds no {' and no '.join(lacking)}; give the folder of a "
                "HuggingFace model, or a checkpoint of fairseq-train"
            )

    def made_of(self) -> dict:
        """As of :class:`ModelSettings`."""
        flag, files = f"--{self.flag}", [*weight_files(self.folder), *settings_files(self.folder)]
        return {
            flag: {path.relative_to(self.folder).as_posix(): hash_file(path) for path in files},
            f"search of {flag}": self.generation,
            f"--max-source of {flag}": self.max_source,
            "--fp16": self.fp16,
        }


AnyModelSettings = ModelSettings | HuggingFaceSettings


@dataclass(frozen=True)
class Search:
    """What holds for both models of a pipeline: how they search and where they run."""

    beam: int = BEAM
    lenpen: float = LENGTH_PENALTY
    max_source: int = MAX_SOURCE
    max_tokens: int = MAX_TOKENS
    cpu: bool = False
    fp16: bool = False

    def settings_of(
        self,
        flag: str,
        checkpoint: str,
        data: Path | None,
        eval_task: str,
        segmentation: str = OWN,
        gen_args: str | None = None,
    ) -> AnyModelSettings:
        """Settings of a model: of HuggingFace's where ``checkpoint`` is a folder, else of fairseq's.

        Raises:
            UserError: a flag is missing, does not apply, or cannot be read.
        """
        where: dict[str, Any] = {"max_tokens": self.max_tokens, "cpu": self.cpu, "fp16": self.fp16}
        if Path(checkpoint).is_dir():
            if data is not None or segmentation != OWN:
                extra = "data" if data is not None else "segmentation"
                raise UserError(
                    f"--{flag} {checkpoint}: is a folder of HuggingFace's, which brings its vocabulary; "
                    f"leave --{flag}-{extra} out"
                )
            search = {"num_beams": self.beam, "length_penalty": self.lenpen, "do_sample": False}
            search |= SEARCH_OF_HUGGINGFACE[flag]
            search |= parse_generation(f"--{flag}-gen-args", gen_args, "transformers")
            return HuggingFaceSettings(flag, checkpoint, search, self.max_source, **where)
        if data is None:
            raise UserError(f"--{flag} {checkpoint}: give --{flag}-data, the folder that it was trained on")
        search = {"beam": self.beam, "lenpen": self.lenpen}
        search |= parse_generation(f"--{flag}-gen-args", gen_args, "fairseq")
        return ModelSettings(flag, checkpoint, data, eval_task, segmentation, search, **where)


def parse_generation(flag: str, text: str | None, library: str) -> dict:
    """Generation settings of a JSON object, by the names of ``fairseq`` or ``transformers``.

    Raises:
        UserError: not a JSON object, or a name that the library does not know.
    """
    try:
        given = parse_json(text) if text else {}
    except ValueError as error:
        raise UserError(f"{flag} {text}: not JSON ({error})") from error
    if not isinstance(given, dict):
        raise UserError(f"{flag} {text}: give a JSON object such as '{{\"max_len_b\": 100}}'")
    known, example = (_of_transformers if library == "transformers" else _of_fairseq)() if given else ((), "")
    if unknown := sorted(set(given) - set(known)):
        raise UserError(
            f"{flag}: '{unknown[0]}' is no generation setting of {library}; write {example}, say"
        )
    return given


def _of_fairseq() -> tuple[set[str], str]:
    from fairseq.dataclass.configs import GenerationConfig

    return set(GenerationConfig.__dataclass_fields__), "max_len_b"


def _of_transformers() -> tuple[set[str], str]:
    from fairseq_vhm.text.pretrained import hide_broken_torchaudio

    hide_broken_torchaudio()
    try:
        from transformers import GenerationConfig
    except ImportError as error:
        why = f"a HuggingFace model needs transformers ({error})"
        raise UserError(f"{why}; {INSTALL_TRANSFORMERS}") from error
    return {name for name in vars(GenerationConfig()) if not name.startswith("_")}, "max_length"


@dataclass(frozen=True)
class PipelineSettings:
    """One command.

    Args:
        translate_first: translate the documents and summarise that, or the other way round.
        summarizer: settings of a summarization model, or ``None`` for LexRank.
        sentences: that LexRank extracts.
        chunk: documents that are finished and kept at a time.
    """

    translate_first: bool
    input: str
    out: Path
    source_lang: str
    target_lang: str
    translator: AnyModelSettings
    summarizer: AnyModelSettings | None
    sentences: int = SENTENCES
    chunk: int = CHUNK

    @property
    def stages(self) -> list[tuple[str, str, AnyModelSettings | None]]:
        """(what it does, the file of its texts, its model) for each step."""
        if self.translate_first:
            return [
                (TRANSLATE, "translated.txt", self.translator),
                (SUMMARISE, SUMMARIES, self.summarizer),
            ]
        return [
            (SUMMARISE, "source_summaries.txt", self.summarizer),
            (TRANSLATE, SUMMARIES, self.translator),
        ]
