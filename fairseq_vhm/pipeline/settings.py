"""Settings of a pipeline, the only home of their defaults; importing them loads neither torch nor fairseq."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.segmentation import OWN

BEAM = 4  # Liang et al. (2022), section 4.3
LENGTH_PENALTY = 0.6
MAX_TOKENS = 4096
CHUNK = 200
SENTENCES = 1
SUMMARIES = "summaries.txt"
TRANSLATE, SUMMARISE = "translate", "summarise"


@dataclass(frozen=True)
class ModelSettings:
    """What the user says of one checkpoint; ``flag`` (``mt``, ``ms``) is the prefix of its flags.

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
                raise UserError(f"--{self.flag} {file}: missing; give a checkpoint of fairseq-train")
        if not self.data.is_dir():
            raise UserError(f"--{self.flag}-data {self.data}: missing; give the folder of its training")


def parse_generation(flag: str, text: str | None, **common) -> dict:
    """Generation settings by fairseq's names: ``common`` ones, and those of a JSON object, which win.

    Raises:
        UserError: not a JSON object, or a name that fairseq does not know.
    """
    try:
        given = json.loads(text) if text else {}
    except ValueError as error:
        raise UserError(f"{flag} {text}: not JSON ({error})") from error
    if not isinstance(given, dict):
        raise UserError(f"{flag} {text}: give a JSON object such as '{{\"max_len_b\": 100}}'")
    from fairseq.dataclass.configs import GenerationConfig

    known = set(GenerationConfig.__dataclass_fields__)
    if unknown := sorted(set(given) - known):
        raise UserError(f"{flag}: '{unknown[0]}' is no generation setting of fairseq; write max_len_b, say")
    return {**common, **given}


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
    translator: ModelSettings
    summarizer: ModelSettings | None
    sentences: int = SENTENCES
    chunk: int = CHUNK

    @property
    def stages(self) -> list[tuple[str, str, ModelSettings | None]]:
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
