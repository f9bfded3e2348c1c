"""Neural encoders from local folders: one vector a sentence, or one vector a token.

Texts are encoded once each, in batches of like length, on a GPU where there is one; a vector does
not depend on the batch that it was computed in, but for rounding.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.embedding_cache import EmbeddingFolder, RecentArrays
from fairseq_vhm.text.pretrained import (
    check_sentence_encoder,
    check_token_encoder,
    choose_device,
    depth,
    digest,
    identity,
    loading,
    settings_files,
)

BATCH_SIZE = 32
PAIRS_HELD = 256
UNSTATED_LENGTH = 512
"""Tokens that a text may have where neither tokenizer nor model states a limit (T5)."""
NO_LIMIT = 10**6
"""transformers states 10^30 for a tokenizer without a limit."""

Track = Callable[[Iterable], Iterable]


class _Encoder:
    """What both encoders share: a folder, a device, batches."""

    def __init__(self, path: Path, device: str, batch_size: int) -> None:
        if batch_size < 1:
            raise UserError(f"--batch-size {batch_size}: give a number from 1 on")
        if device == "cuda":
            choose_device(device)
        self.path = Path(path)
        self.batch_size = batch_size
        self._wanted_device = device

    @cached_property
    def identity(self) -> str:
        """Folder's name and hash of the weights, for signatures."""
        return identity(self.path)

    @cached_property
    def device(self) -> str:
        return choose_device(self._wanted_device)

    def _batches(self, texts: Iterable[str]) -> list[list[str]]:
        """Texts of like length together, the longest first, so that too large a batch fails at once."""
        ordered = sorted(texts, key=lambda text: (-len(text), text))
        return [ordered[start : start + self.batch_size] for start in range(0, len(ordered), self.batch_size)]

    def _on_device(self, compute: Callable, batch: list[str]) -> Any:
        import torch

        try:
            with torch.inference_mode():
                return compute(batch)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"--batch-size {self.batch_size}: {len(batch)} texts do not fit into the GPU's memory;"
                " give a smaller number, or --device cpu"
            ) from error


class SentenceEncoder(_Encoder):
    """Sentence embeddings of unit length by a model such as LaBSE (Feng et al., 2022)."""

    def __init__(
        self,
        path: Path,
        device: str = "auto",
        batch_size: int = BATCH_SIZE,
        cache: Path | None = None,
        flag: str = "--labse",
    ) -> None:
        """Check the folder; the model is loaded when it is first needed.

        Args:
            path: folder of the model.
            device: one of ``auto``, ``cpu``, ``cuda``.
            batch_size: texts at a time.
            cache: folder that keeps embeddings between runs, made where it is not there yet.
            flag: the flag that gave ``path``, for error messages.

        Raises:
            UserError: no such model, device, or place for the cache.
        """
        super().__init__(path, device, batch_size)
        check_sentence_encoder(self.path, flag)
        if cache is not None:
            EmbeddingFolder.check(Path(cache), "--cache")
        self._cache = cache
        self._memory: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str], track: Track = iter) -> np.ndarray:
        """Embeddings of ``texts`` (N x D, float32, unit length); ``track`` wraps the batches."""
        for text in dict.fromkeys(texts):
            if text not in self._memory and (kept := self._kept(text)) is not None:
                self._memory[text] = kept
        missing = [text for text in dict.fromkeys(texts) if text not in self._memory]
        for batch in track(self._batches(missing)) if missing else ():
            for text, vector in zip(batch, self._vectors(batch), strict=True):
                self._memory[text] = vector
                if self._folder is not None:
                    self._folder.put(text, vector)
        return np.stack([self._memory[text] for text in texts])

    def encode_once(self, texts: Sequence[str]) -> np.ndarray:
        """As :meth:`encode`, with nothing kept: for more texts than memory holds."""
        found: dict[str, np.ndarray] = {}
        for batch in self._batches(dict.fromkeys(texts)):
            found.update(zip(batch, self._vectors(batch), strict=True))
        return np.stack([found[text] for text in texts])

    @cached_property
    def key(self) -> str:
        """All that a vector depends on besides the text, weights and settings: names a cache."""
        return f"{self.identity}-{digest(settings_files(self.path))[:16]}"

    @property
    def max_length(self) -> int:
        """Tokens of a text that the model reads; what follows is cut."""
        return self._model.max_seq_length or UNSTATED_LENGTH

    def cut(self, texts: Sequence[str]) -> int:
        """How many of ``texts`` are longer than ``max_length``."""
        return sum(length > self.max_length for length in self._lengths(texts))

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Pieces of each text in the model's own vocabulary, one for all languages."""
        return self._lengths(texts, add_special_tokens=False)

    def _lengths(self, texts: Sequence[str], **settings: Any) -> list[int]:
        with loading(self.path, "sentence_transformers"):
            tokens = self._model.tokenizer(list(texts), truncation=False, **settings)
        return [len(ids) for ids in tokens["input_ids"]]

    def _vectors(self, batch: list[str]) -> np.ndarray:
        return self._on_device(self._forward, batch)

    def _forward(self, batch: list[str]) -> np.ndarray:
        return self._model.encode(
            batch, batch_size=len(batch), show_progress_bar=False, normalize_embeddings=True
        )

    @cached_property
    def _folder(self) -> EmbeddingFolder | None:
        if self._cache is None:
            return None
        return EmbeddingFolder(Path(self._cache), self.key)

    def _kept(self, text: str) -> np.ndarray | None:
        return None if self._folder is None else self._folder.get(text)

    @cached_property
    def _model(self) -> Any:
        with loading(self.path, "sentence_transformers"):
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(str(self.path.resolve()), device=self.device, local_files_only=True)
            return model.eval()


@dataclass(frozen=True)
class Tokens:
    """A text as an encoder reads it, T tokens: their numbers, their pieces of text, which are special
    (``[CLS]``, ``</s>``, ...), and whether the text was longer than the encoder reads."""

    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    special: np.ndarray
    cut: bool


class TokenEncoder(_Encoder):
    """Contextual embeddings of tokens by a transformers encoder such as BERT (Devlin et al., 2019)."""

    def __init__(
        self,
        path: Path,
        device: str = "auto",
        batch_size: int = BATCH_SIZE,
        layer: int | None = None,
        flag: str = "--encoder",
    ) -> None:
        """Check the folder; arguments as of :class:`SentenceEncoder`.

        Args:
            layer: the layer that every metric takes, 0 being the embeddings below the first; by
                default each metric takes its own.

        Raises:
            UserError: no such model, device or layer.
        """
        super().__init__(path, device, batch_size)
        check_token_encoder(self.path, flag)
        self.layers = depth(self.path, flag)
        if layer is not None and not 0 <= layer <= self.layers:
            raise UserError(f"--encoder-layer {layer}: {self.path} has layers 0 to {self.layers}")
        self.layer = layer
        self._memory = RecentArrays()

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of each text, cut to ``max_length``; an empty text has special tokens only."""
        tokenizer, most = self._tokenizer, self.max_length
        with loading(self.path, "transformers"):
            whole = tokenizer(_stripped(texts), truncation=False)["input_ids"] if texts else []
            kept = tokenizer(_stripped(texts), truncation=True, max_length=most)["input_ids"] if texts else []
        pairs = zip(whole, kept, strict=True)
        return [self._tokens(ids, cut=len(every) > len(ids)) for every, ids in pairs]

    def embed(self, texts: Sequence[str], layer: int, track: Track = iter) -> list[np.ndarray]:
        """Vectors of each text's tokens at ``layer`` (T x D, float32); ``track`` wraps the batches."""
        found = {text: self._memory.get((layer, text)) for text in texts}
        missing = [text for text, vectors in found.items() if vectors is None]
        for batch in track(self._batches(missing)) if missing else ():
            states = self._on_device(lambda some: self._forward(some, layer), batch)
            for text, vectors in zip(batch, states, strict=True):
                found[text] = vectors
                self._memory.put((layer, text), vectors)
        return [vectors for text in texts if (vectors := found[text]) is not None]

    def embed_pairs(
        self, pairs: Sequence[tuple[str, str]], layer: int, track: Track = iter
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Each pair's place and the vectors of its two texts, ``PAIRS_HELD`` pairs in memory at a time.

        Pairs come by length, the longest first; ``track`` wraps the groups of them.
        """
        order = sorted(range(len(pairs)), key=lambda place: -sum(map(len, pairs[place])))
        for start in track(range(0, len(order), PAIRS_HELD)):
            places = order[start : start + PAIRS_HELD]
            vectors = iter(self.embed([text for place in places for text in pairs[place]], layer))
            for place in places:
                yield place, next(vectors), next(vectors)

    @cached_property
    def max_length(self) -> int:
        """Tokens of a text that the model reads, special ones counted; what follows is cut."""
        limits = [self._tokenizer.model_max_length, _positions(self._model)]
        return min((limit for limit in limits if limit and limit < NO_LIMIT), default=UNSTATED_LENGTH)

    def _tokens(self, ids: list[int], cut: bool) -> Tokens:
        special = np.array([number in self._special for number in ids], dtype=bool)
        return Tokens(tuple(ids), tuple(self._tokenizer.convert_ids_to_tokens(ids)), special, cut)

    def _forward(self, batch: list[str], layer: int) -> list[np.ndarray]:
        """Vectors of each text of the batch, without those of the padding."""
        inputs = self._tokenizer(
            _stripped(batch), truncation=True, max_length=self.max_length, padding=True, return_tensors="pt"
        ).to(self.device)
        states = self._model(**inputs, output_hidden_states=True).hidden_states[layer].float().cpu().numpy()
        kept = inputs["attention_mask"].bool().cpu().numpy()
        return [vectors[mask].copy() for vectors, mask in zip(states, kept, strict=True)]

    @cached_property
    def _special(self) -> frozenset[int]:
        names = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
        numbers = (getattr(self._tokenizer, name, None) for name in names)
        return frozenset(number for number in numbers if number is not None)

    @cached_property
    def _tokenizer(self) -> Any:
        with loading(self.path, "transformers"):
            from transformers import AutoTokenizer, GPT2Tokenizer, RobertaTokenizer

            load = partial(AutoTokenizer.from_pretrained, str(self.path.resolve()), local_files_only=True)
            tokenizer = load()
            if isinstance(tokenizer, (GPT2Tokenizer, RobertaTokenizer)):
                return load(add_prefix_space=True)  # the first word read as any other: bert-score's way
            return tokenizer

    @cached_property
    def _model(self) -> Any:
        with loading(self.path, "transformers"):
            from transformers import AutoModel

            model, report = AutoModel.from_pretrained(
                str(self.path.resolve()), local_files_only=True, output_loading_info=True
            )
            _check_weights(self.path, report["missing_keys"])
            model = model.get_encoder() if model.config.is_encoder_decoder else model
            return model.to(self.device).eval()


def _stripped(texts: Sequence[str]) -> list[str]:
    return [text.strip() for text in texts]


def _positions(model: Any) -> int | None:
    """Tokens for which the model has positions; RoBERTa's begin after the padding's number."""
    most = getattr(model.config, "max_position_embeddings", None)
    first = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return most - first - 1 if most and first is not None else most


def _check_weights(path: Path, missing: Iterable[str]) -> None:
    """Refuse weights that do not fill the model: transformers would draw the rest at random."""
    needed = sorted(name for name in missing if "pooler" not in name)
    if needed:
        raise UserError(f"{path}: its weights lack {needed[0]} and {len(needed) - 1} more; download it again")
