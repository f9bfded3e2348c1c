"""A sequence-to-sequence model of HuggingFace's form, from texts to texts: mT5, mBART, M2M-100, NLLB, Marian.

The model is a local folder (``config.json``, weights, vocabulary) that transformers reads without a network
and without running code or unpickling objects from it.  Outputs are those of the library's ``generate``;
:mod:`~fairseq_vhm.pipeline.directions` says how each family is told its languages.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.directions import direct
from fairseq_vhm.pipeline.settings import INSTALL_TRANSFORMERS, HuggingFaceSettings
from fairseq_vhm.text.pretrained import loading

_PROBE = "a"


class HuggingFaceModel:
    """One model that turns texts in ``source`` into texts in ``target``.

    Args:
        settings: where it is and how it is to search.
        source, target: languages, by which a model of many is told its direction.

    Raises:
        UserError: transformers is absent, the folder is broken or no such model, or lacks a language.
    """

    def __init__(self, settings: HuggingFaceSettings, source: str, target: str) -> None:
        settings.check()
        self.settings, self.source, self.target = settings, source, target
        self.device = torch.device("cuda" if torch.cuda.is_available() and not settings.cpu else "cpu")
        with loading(settings.folder, "transformers", INSTALL_TRANSFORMERS):
            self.tokenizer, self.model = _load(settings)
            self.direction = direct(settings.where, self.tokenizer, self.model.config, source, target)
            before, self._after = _surroundings(self.tokenizer)
        _silence()
        self.model.to(self.device)
        self._before = [*self.direction.prefix, *before]
        self.search = self._search()
        self.room = self._most() - len(self._before) - len(self._after) + 1

    def check_direction(self, source: str, target: str | None = None) -> None:
        """Nothing to refuse: it was told its direction, or refused it, when it was made."""

    def encode(self, text: str) -> Tensor:
        """Token ids of a text (1-D), EOS at their end; as many as there are."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return torch.tensor([*ids, self.tokenizer.eos_token_id])

    def generate(self, texts: list[Tensor]) -> list[str]:
        """The best output for each encoded text, in their order; batches go by length.

        A batch holds up to ``max_tokens`` ids, padding included, or one text if that is longer.
        """
        outputs = [""] * len(texts)
        inputs = [[*self._before, *text[:-1].tolist(), *self._after] for text in texts]
        with torch.inference_mode():
            for places in self._batches(inputs):
                found = self.model.generate(
                    **self._padded([inputs[place] for place in places]), generation_config=self.search
                )
                for place, tokens in zip(places, found, strict=True):
                    outputs[place] = self._decode(tokens)
        return outputs

    def _batches(self, inputs: list[list[int]]) -> Iterator[list[int]]:
        """Places of texts of like length, the longest first."""
        batch: list[int] = []
        for place in sorted(range(len(inputs)), key=lambda place: -len(inputs[place])):
            if batch and (len(batch) + 1) * len(inputs[batch[0]]) > self.settings.max_tokens:
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def _padded(self, inputs: list[list[int]]) -> dict[str, Tensor]:
        width = max(map(len, inputs))
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids in inputs])
        lengths = torch.tensor([len(ids) for ids in inputs])
        mask = torch.arange(width) < lengths[:, None]
        return {"input_ids": ids.to(self.device), "attention_mask": mask.long().to(self.device)}

    def _decode(self, tokens: Tensor) -> str:
        """Text of an output, without the tokens that began it: some of them are no special ones to the
        library, and would stand in the text."""
        ids = tokens.tolist()[1:]
        if ids[:1] == [self.search.forced_bos_token_id]:
            ids = ids[1:]
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return " ".join(text.split())

    def _search(self) -> Any:
        """The folder's own generation settings, over them those of the command and of the direction.

        Raises:
            UserError: they contradict each other, or ask for more than a text.
        """
        search = deepcopy(self.model.generation_config)
        chosen = self.settings.generation | self.direction.generation
        if "max_length" in chosen and "max_new_tokens" not in chosen:
            chosen |= {"max_new_tokens": None}
        try:
            search.update(**chosen)
            search.validate(strict=True)
        except (ValueError, TypeError) as error:
            why = " ".join(str(error).split())[:200]
            raise UserError(f"--{self.settings.flag}-gen-args: transformers refuses them ({why})") from error
        if (search.num_return_sequences or 1) > 1 or search.return_dict_in_generate:
            raise UserError(
                f"{self.settings.where}: the best text alone is kept; take num_return_sequences and "
                f"return_dict_in_generate out of --{self.settings.flag}-gen-args or generation_config.json"
            )
        return search

    def _most(self) -> int:
        """Input tokens, special ones included: as many as are wanted and the model has positions for."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        return min(self.settings.max_source, positions or self.settings.max_source)


def _load(settings: HuggingFaceSettings) -> tuple:
    """Tokenizer and model.

    Raises:
        UserError: no sequence-to-sequence model, or weights that do not fill it.
    """
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    folder = str(settings.folder.resolve())
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if not config.is_encoder_decoder:
        raise UserError(
            f"{settings.where}: is a {config.model_type} model, which writes no text from another; give one "
            "with encoder and decoder, such as mT5, mBART, M2M-100 or Marian"
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model, report = AutoModelForSeq2SeqLM.from_pretrained(
        folder,
        local_files_only=True,
        dtype=torch.float16 if settings.fp16 else torch.float32,
        output_loading_info=True,
    )
    if missing := sorted(report["missing_keys"]):
        raise UserError(
            f"{settings.where}: its weights lack {missing[0]} and {len(missing) - 1} more; download it again"
        )
    return tokenizer, model.eval()


def _silence() -> None:
    """Keep the library from telling of every long text and unused setting while it works."""
    from transformers.utils import logging

    logging.set_verbosity_error()


def _surroundings(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before and after a text, in the language that it is set to."""
    bare = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    whole = tokenizer(_PROBE)["input_ids"]
    start = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]
