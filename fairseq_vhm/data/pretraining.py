"""Texts as pairs of their noisy form and what is to be restored: MLPT's pre-training tasks.

Xu et al. (2020), "Mixed-Lingual Pre-training for Cross-lingual Summarization" (AACL 2020): masked (``mlm``)
and denoising (``dae``) language modelling in both languages, and masked language modelling of a translation
pair in one text (``cmlm``), beside MT, MS and CLS.
"""

import logging
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fairseq.data import BaseWrapperDataset, ConcatDataset, FairseqDataset, data_utils
from torch import Tensor

from fairseq_vhm.data.checks import check_text
from fairseq_vhm.data.languages import MarkedDictionary
from fairseq_vhm.data.loading import PairOptions, TaskFolder
from fairseq_vhm.data.noise import Noise, SpanMasking, WordNoise, Words
from fairseq_vhm.data.pairs import CutDataset, TaskPairs
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import MASK, TASKS, task_tag
from fairseq_vhm.names import PRETRAINING_TASKS as PRETRAINING_TASKS

logger = logging.getLogger(__name__)

MONO = "mono"
TEXTS = (*TASKS, MONO)
"""The folders below DATA that may give texts; the sides of ``mono`` need not be aligned."""


@dataclass(frozen=True)
class NoiseSettings:
    """The flags of the noise, by their names in the task's settings."""

    mlm_share: float
    mlm_span: float
    mlm_target: str
    dae_shuffle: int
    dae_drop: float
    dae_mask: float

    def noise(self, stream: str, dictionary: MarkedDictionary) -> Noise:
        """The noise of ``mlm``, ``cmlm`` or ``dae``."""
        mask = dictionary.index(MASK)
        if stream == "dae":
            words = Words(dictionary.symbols)
            return WordNoise(mask, self.dae_shuffle, self.dae_drop, self.dae_mask, words)
        return SpanMasking(mask, self.mlm_share, self.mlm_span, self.mlm_target)


class PretrainingPairs(TaskPairs):
    """Each text, made noisy anew whenever it is met, and what the decoder writes for it.

    The noise depends on the seed, the text, and the place of its mini-batch in the stream: on nothing
    that was computed before, nor on where.

    Args:
        stream: ``mlm``, ``dae`` or ``cmlm``.
        texts: each with what stands behind it (EOS and, with ``--langs``, its language).
        behind: how many marks that are.
        seed: of the noise.
        tag_place: one of :data:`~fairseq_vhm.data.pairs.TAG_PLACES`.
    """

    def __init__(
        self,
        stream: str,
        texts: FairseqDataset,
        dictionary: MarkedDictionary,
        noise: Noise,
        *,
        behind: int,
        seed: int,
        tag_place: str,
        **settings: Any,
    ) -> None:
        lengths = np.asarray(texts.sizes) - behind
        written = np.array([noise.target_length(int(n)) if n > 0 else 0 for n in np.unique(lengths)])
        target_sizes = written[np.searchsorted(np.unique(lengths), lengths)] + behind
        self.tag = torch.LongTensor([dictionary.index(task_tag(stream))])
        self.tag_place, self.noise, self.behind, self.seed = tag_place, noise, behind, seed
        source_sizes = np.asarray(texts.sizes) + (tag_place == "source")
        subset = np.flatnonzero(lengths > 0)
        super().__init__(
            stream,
            texts,
            source_sizes,
            dictionary,
            texts,
            target_sizes,
            dictionary,
            subset=subset,
            **settings,
        )

    def at(self, index: int, position: int) -> dict:
        """The pair of text ``index`` in the mini-batch at ``position`` of the stream."""
        text = self.src[index]
        place = f"{self.seed} {self.task} {position} {index}"
        rng = np.random.default_rng(zlib.crc32(place.encode()))
        source, target = map(torch.from_numpy, self.noise(text[: -self.behind].numpy(), rng))
        marks = text[-self.behind :]
        before = self.tag if self.tag_place == "source" else self.tag[:0]
        start = self.tag if self.tag_place == "target" else marks[-1:]
        target = torch.cat([target, marks])
        return {
            "id": index,
            "source": torch.cat([before, source, marks]),
            "target": target,
            "prev_output_tokens": torch.cat([start, target[:-1]]),
        }

    def __getitem__(self, index: int) -> dict:
        """The pair as validation meets it: always with the same noise."""
        return self.at(index, 0)


class _Joined(BaseWrapperDataset):
    """The two sides of each pair as one text, without EOS between them."""

    def __init__(self, sources: FairseqDataset, targets: FairseqDataset):
        super().__init__(sources)
        self.targets = targets
        self._sizes = np.asarray(sources.sizes) + np.asarray(targets.sizes) - 1

    def __getitem__(self, index: int) -> Tensor:
        return torch.cat([self.dataset[index][:-1], self.targets[index]])

    @property
    def sizes(self) -> np.ndarray:
        return self._sizes


def load_pretraining_pairs(
    stream: str,
    folders: list[TaskFolder],
    split: str,
    dictionary: MarkedDictionary,
    options: PairOptions,
    settings: NoiseSettings,
    seed: int,
) -> PretrainingPairs:
    """The texts of both sides of ``folders`` (``cmlm``: the pairs of the only one), cut to the limits.

    Raises:
        UserError: names the file and the remedy.
    """
    limit = options.max_source - (options.tag_place == "source")
    limit = min(limit, options.max_target or limit)
    parts = [
        CutDataset(texts, limit, language=options.language_id(dictionary, suffix))
        for texts, suffix in _texts(stream, folders, split, dictionary, options)
    ]
    if not parts:
        names = " and ".join(folder.path for folder in folders)
        raise UserError(f"{names}: no texts of {split} for --pretraining-tasks {stream}")
    texts, cut = ConcatDataset(parts), sum(part.cut for part in parts)
    logger.info(f"{stream} {split}: {len(texts):,} texts, {cut:,} of them cut at {limit:,} tokens")
    return PretrainingPairs(
        stream,
        texts,
        dictionary,
        settings.noise(stream, dictionary),
        behind=1 + bool(options.languages),
        seed=seed,
        tag_place=options.tag_place,
        left_pad_source=options.left_pad_source,
        left_pad_target=options.left_pad_target,
        shuffle=split.startswith("train"),
    )


def _texts(
    stream: str,
    folders: Sequence[TaskFolder],
    split: str,
    dictionary: MarkedDictionary,
    options: PairOptions,
) -> list:
    """The texts that a stream reads, each set with the suffix of its language."""
    if stream == "cmlm":
        (folder,) = folders
        sides = [_side(folder, split, side, dictionary, options) for side in (folder.source, folder.target)]
        return [(_Joined(*sides), folder.target)]
    return [
        (_side(folder, split, language, dictionary, options), language)
        for folder in folders
        for language in (folder.source, folder.target)
        if _is_there(folder, split, language)
    ]


def _is_there(folder: TaskFolder, split: str, language: str) -> bool:
    """Whether to read a side; monolingual texts may lack those for validation."""
    needed = folder.task != MONO or split.startswith("train")
    return needed or os.path.exists(folder.prefix(split, language) + ".idx")


def _side(
    folder: TaskFolder, split: str, language: str, dictionary: MarkedDictionary, options: PairOptions
) -> Any:
    """One side of a folder's split, checked; its parts one after the other, as the tasks have them."""
    parts = []
    for part in folder.splits(split, options.combine, language):
        prefix = folder.prefix(part, language)
        check_text(prefix, dictionary.text_symbols, folder.dictionaries[0])
        parts.append(data_utils.load_indexed_dataset(prefix, dictionary, options.dataset_impl))
    return parts[0] if len(parts) == 1 else ConcatDataset(parts)
