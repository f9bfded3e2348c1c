"""``VHMTransformerModel.from_pretrained(...)``: trained models in Python, with ``.summarize``."""

import os
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fairseq.hub_utils import GeneratorHubInterface, from_pretrained
from omegaconf import DictConfig
from torch import Tensor

from fairseq_vhm.errors import UserError

if TYPE_CHECKING:
    from fairseq_vhm.text.segment import Segmenter

BEAM = 4  # Liang et al. (2022), section 4.3
LENGTH_PENALTY = 0.6


def load(model_class: Any, folder: str, checkpoint_file: str, **settings: Any) -> "SummarizationHub":
    """Load checkpoints (several, joined by ``:``, are an ensemble) with their text processing.

    Args:
        folder: where the checkpoints are.
        settings: as fairseq's ``from_pretrained``; ``data_name_or_path`` is the prepared DATA folder,
            whose own segmentation is used unless ``bpe`` or ``tokenizer`` is given.

    Raises:
        UserError: a checkpoint is missing.
    """
    for name in checkpoint_file.split(os.pathsep):
        if not os.path.isfile(os.path.join(folder, name)):
            raise UserError(f"{os.path.join(folder, name)}: missing; name the file with checkpoint_file=")
    data = settings.pop("data_name_or_path", None)
    if data is not None:
        settings["data_name_or_path"] = os.path.abspath(data)
    loaded = from_pretrained(folder, checkpoint_file, archive_map=model_class.hub_models(), **settings)
    segmenter = None
    if data and not {"bpe", "tokenizer"} & set(settings):
        segmenter = _segmenter_of(data)
    return SummarizationHub(loaded["args"], loaded["task"], loaded["models"], segmenter)


def _segmenter_of(data: str) -> "Segmenter | None":
    """The segmentation that ``vhm prepare`` noted in DATA, where it made it."""
    from fairseq_vhm.text.segment import MANIFEST_NAME, Segmenter

    return Segmenter.load(data) if os.path.exists(os.path.join(data, MANIFEST_NAME)) else None


class SummarizationHub(GeneratorHubInterface):
    """fairseq's interface for Python users, with cross-lingual summarization in its own words."""

    def __init__(
        self, cfg: Namespace | DictConfig, task: Any, models: list, segmenter: "Segmenter | None" = None
    ) -> None:
        super().__init__(cfg, task, models)
        self.segmenter = segmenter
        self.languages = task.eval_languages

    def summarize(
        self,
        texts: Sequence[str],
        beam: int = BEAM,
        lenpen: float = LENGTH_PENALTY,
        target_language: str | None = None,
        **settings: Any,
    ) -> list[str]:
        """Summaries of documents, in the order given.

        Args:
            texts: raw documents in the source language.
            target_language: that of the summaries, for a model of many.
            settings: further generation settings by fairseq's names (``max_len_b``, ``nbest``, ...).

        Raises:
            UserError: a document is empty, or a target language is missing, unknown or not to choose.
        """
        if isinstance(texts, str):
            raise UserError("summarize() takes a list of documents; put the one in brackets")
        for number, text in enumerate(texts, start=1):
            if not text.strip():
                raise UserError(f"document {number} is empty")
        self._ask_for(target_language, len(texts))
        return self.sample(list(texts), beam=beam, lenpen=lenpen, **settings) if texts else []

    def _ask_for(self, language: str | None, count: int) -> None:
        if hasattr(self.task, "ask_for"):
            self.task.ask_for([language] * count)
        elif language not in (None, self.languages[1]):
            raise UserError(f"target_language '{language}': the model writes {self.languages[1]} alone")

    def encode(self, sentence: str) -> Tensor:
        if self.segmenter is None:
            return super().encode(sentence)
        return self.binarize(self.segmenter.encode(sentence, self.languages[0]))

    def string(self, tokens: Tensor) -> str:
        return self.tgt_dict.string(tokens, extra_symbols_to_ignore=self.task.hidden_symbols)

    def decode(self, tokens: Tensor) -> str:
        if self.segmenter is None:
            return super().decode(tokens)
        return self.segmenter.decode(self.string(tokens), self.languages[1])
