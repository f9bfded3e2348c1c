"""The pairs of the tasks as fairseq datasets."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fairseq.data import BaseWrapperDataset, FairseqDataset, LanguagePairDataset, data_utils
from torch import Tensor

from fairseq_vhm.data.plan import RoundRobinPlan, Turn

TAG_PLACES = ("source", "target", "none")
"""Where the model is told the task."""


def cut(text: Tensor, length: int | None) -> Tensor:
    """A text of at most ``length`` tokens (``None``: as it is), the last of which stays EOS."""
    return text if length is None or len(text) <= length else torch.cat([text[: length - 1], text[-1:]])


class CutDataset(BaseWrapperDataset):
    """Texts cut at ``length`` tokens (``None``: never), the last of which stays EOS.

    A ``tag`` and a ``bos`` may be added before and a ``language`` behind.  ``length`` counts them; ``cut``
    says how many texts were longer.
    """

    def __init__(
        self,
        dataset: Any,
        length: int | None,
        tag: int | None = None,
        language: int | None = None,
        bos: int | None = None,
    ) -> None:
        super().__init__(dataset)
        self.before, self.behind = (
            torch.LongTensor([mark for mark in marks if mark is not None])
            for marks in ((tag, bos), (language,))
        )
        marks = len(self.before) + len(self.behind)
        sizes = np.asarray(dataset.sizes)
        self.kept = int(sizes.max()) if length is None else length - marks
        self.cut = int((sizes > self.kept).sum())
        self._sizes = np.minimum(sizes, self.kept) + marks

    def __getitem__(self, index: int) -> Tensor:
        return torch.cat([self.before, cut(self.dataset[index], self.kept), self.behind])

    @property
    def sizes(self) -> np.ndarray:
        return self._sizes

    def num_tokens(self, index: int) -> int:
        return self._sizes[index]

    def size(self, index: int) -> int:
        return self._sizes[index]


class TaskPairs(LanguagePairDataset):
    """The (source, target) pairs of one task; a batch names its task in ``net_input``.

    Args:
        task: ``cls``, ``mt`` or ``ms``.
        target_tag: id that the decoder starts with in place of EOS (``--task-tag target``, ``--text-bos``).
        subset: positions of the pairs that are used, for few-shot training; all if absent.
        summaries: for CLS, position -> source-language summary, ``None`` for a pair without one.  A batch
            has those there are, R x T, and their R rows, as ``summary`` and ``summary_rows``.
    """

    def __init__(
        self,
        task: str,
        *args: Any,
        target_tag: int | None = None,
        subset: np.ndarray | None = None,
        summaries: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.task = task
        self.target_tag = None if target_tag is None else torch.LongTensor([target_tag])
        self.subset = subset
        self.summaries = summaries

    def __getitem__(self, index: int) -> dict:
        example = super().__getitem__(index)
        if self.target_tag is not None and example["target"] is not None:
            shifted = example["target"][:-1]
            example["prev_output_tokens"] = torch.cat([self.target_tag, shifted])
        if self.summaries is not None:
            example["summary"] = self.summaries(index)
        return example

    def at(self, index: int, position: int) -> dict:
        """The pair in the mini-batch at ``position`` of its task's stream: here the same in all of them."""
        return self[index]

    def collater(self, samples: list[dict], pad_to_length: dict | None = None) -> dict:
        batch = super().collater(samples, pad_to_length)
        if batch:
            batch["net_input"]["task"] = self.task
        if batch and self.summaries is not None:
            batch["net_input"] |= self._summaries_of(batch["id"].tolist(), samples)
        return batch

    def _summaries_of(self, ids: list[int], samples: list[dict]) -> dict[str, Tensor]:
        """The summaries of a batch's rows; nothing where no row has one."""
        by_id = {s["id"]: s["summary"] for s in samples}
        rows = [row for row, i in enumerate(ids) if by_id[i] is not None]
        if not rows:
            return {}
        texts = [by_id[ids[row]] for row in rows]
        tokens = data_utils.collate_tokens(texts, self.src_dict.pad(), self.src_dict.eos())
        return {"summary": tokens, "summary_rows": torch.LongTensor(rows)}

    def ordered_indices(self) -> np.ndarray:
        """Positions of the pairs in use, by length, in random order among equals."""
        indices = super().ordered_indices()
        return indices if self.subset is None else indices[np.isin(indices, self.subset)]


def few_shot_subset(size: int, fraction: float, seed: int) -> np.ndarray | None:
    """A random part of ``size`` pairs, the same for a seed; a smaller fraction's part is inside it."""
    if fraction >= 1:
        return None
    order = np.random.default_rng(seed).permutation(size)
    return np.sort(order[: max(1, round(size * fraction))])


@dataclass(frozen=True)
class Batching:
    """How pairs are cut into mini-batches: fairseq's own limits."""

    max_tokens: int | None
    max_sentences: int | None
    multiple: int
    seed: int

    def cut(self, pairs: TaskPairs) -> list[np.ndarray]:
        """The mini-batches of one task's pairs, each an array of positions."""
        with data_utils.numpy_seed(self.seed):
            indices = pairs.ordered_indices()
        return pairs.batch_by_size(
            indices,
            max_tokens=self.max_tokens,
            max_sentences=self.max_sentences,
            required_batch_size_multiple=self.multiple,
        )


class MultiTaskPairs(FairseqDataset):
    """The pairs of several tasks, each with a position among all; a batch is of one task."""

    def __init__(self, parts: dict[str, TaskPairs]):
        self.parts = parts
        ends = np.cumsum([len(p) for p in parts.values()])
        self.offsets = dict(zip(parts, [0, *ends[:-1].tolist()], strict=True))
        self._ends = ends

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> dict:
        part = int(np.searchsorted(self._ends, index, side="right"))
        task = list(self.parts)[part]
        return {**self.parts[task][index - self.offsets[task]], "task": task}

    def collater(self, samples: list[dict]) -> dict:
        return self.parts[samples[0]["task"]].collater(samples) if samples else {}

    def batches(self, batching: Batching) -> list[np.ndarray]:
        """All mini-batches, task after task."""
        return [
            batch + self.offsets[task]
            for task, pairs in self.parts.items()
            for batch in map(np.asarray, batching.cut(pairs))
        ]


class TrainingSteps(FairseqDataset):
    """What a rank computes at once: the mini-batches of a :class:`RoundRobinPlan`'s step.

    An item is addressed by a :class:`~.plan.Turn` and is that mini-batch, collated; the collater keeps those
    of a step apart: ``{"mini_batches": [...]}``.  With ``ms_of_cls`` (the MS pair of each CLS pair's
    document) the mini-batches of MS are those of CLS, document for document; ``in_one`` puts each of
    them into that of CLS as its ``partner``.
    """

    def __init__(
        self,
        parts: dict[str, TaskPairs],
        batching: Batching,
        ms_of_cls: np.ndarray | None = None,
        in_one: bool = False,
    ):
        self.parts = parts
        self.in_one = in_one
        self.follows = {} if ms_of_cls is None else {"ms": "cls"}
        self.mini_batches = {
            task: batching.cut(pairs) for task, pairs in parts.items() if task not in self.follows
        }
        if ms_of_cls is not None:
            self.mini_batches["ms"] = [ms_of_cls[batch] for batch in self.mini_batches["cls"]]

    def __len__(self) -> int:
        return sum(len(batches) for batches in self.mini_batches.values())

    def examples_of(self, turn: Turn) -> np.ndarray:
        """The positions of a mini-batch's pairs among those of their task."""
        return self.mini_batches[turn.task][turn.number]

    def __getitem__(self, turn: Turn) -> dict:
        pairs = self.parts[turn.task]
        batch = pairs.collater([pairs.at(int(i), turn.position) for i in self.examples_of(turn)])
        return {**batch, "stream": turn.task, "position": turn.position}

    def collater(self, mini_batches: list[dict]) -> dict:
        if self.in_one:
            partners = iter([batch for batch in mini_batches if batch["stream"] == "ms"])
            mini_batches = [
                {**batch, "partner": next(partners)} if batch["stream"] == "cls" else batch
                for batch in mini_batches
                if batch["stream"] != "ms"
            ]
        return {"mini_batches": mini_batches} if mini_batches else {}

    def plan(self, schedule: str, ratio: dict[str, int], **settings: Any) -> RoundRobinPlan:
        """The plan over these mini-batches."""
        sizes = {task: len(self.mini_batches[task]) for task in self.parts}
        return RoundRobinPlan(sizes, schedule, ratio, follows=self.follows, **settings)


class TrainingPairs(FairseqDataset):
    """The training pairs of all tasks; cut into mini-batches once for a setting, not once an epoch."""

    def __init__(
        self, parts: dict[str, TaskPairs], ms_of_cls: np.ndarray | None = None, in_one: bool = False
    ):
        self.parts = parts
        self.ms_of_cls = ms_of_cls
        self.in_one = in_one
        self._steps: dict[Batching, TrainingSteps] = {}

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def steps(self, batching: Batching) -> TrainingSteps:
        """What a rank computes at once, under these limits."""
        if batching not in self._steps:
            self._steps = {batching: TrainingSteps(self.parts, batching, self.ms_of_cls, self.in_one)}
        return self._steps[batching]
