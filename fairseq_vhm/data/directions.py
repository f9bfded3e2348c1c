"""Examples of many language directions as fairseq datasets: texts from a :class:`~.corpus.Corpus`, looked up
when they are needed, with the marks that the model reads.

A decoder starts with the token of its example's target language, so a batch may hold many directions.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from fairseq.data import Dictionary, FairseqDataset, data_utils
from fairseq.data.language_pair_dataset import collate
from torch import Tensor

from fairseq_vhm.data.corpus import Corpus, PairTable, TextStore
from fairseq_vhm.data.packing import pack, padded_size
from fairseq_vhm.data.pairs import Batching, cut
from fairseq_vhm.data.sampling import Direction, DirectionSampler, SampledPlan, Sampling, Streams, Turn
from fairseq_vhm.names import TASKS


@dataclass(frozen=True)
class Marks:
    """What is put around texts, as ids of the dictionary.

    Args:
        starts: target language -> the token with which its decoder starts.
        tags: task -> first token of its sources; empty: none.
        max_source, max_target: tokens kept, marks and EOS included; no ``max_target``: all of a target.
        pad, eos: of the dictionary.
    """

    starts: Mapping[str, int]
    pad: int
    eos: int
    max_source: int
    max_target: int | None
    tags: Mapping[str, int] = field(default_factory=dict)
    left_pad_source: bool = True

    @classmethod
    def of(cls, dictionary: Dictionary, **settings: Any) -> "Marks":
        return cls(pad=dictionary.pad(), eos=dictionary.eos(), **settings)

    def source(self, text: Tensor, task: str) -> Tensor:
        """A source behind its tag, cut."""
        tag = torch.tensor([self.tags[task]] if self.tags else [], dtype=torch.long)
        return torch.cat([tag, cut(text, self.max_source - len(tag))])

    def collate(self, samples: list[dict]) -> dict:
        """A batch of one task as fairseq's pairs make it, its ``task`` in ``net_input``.

        ``starts`` (B) are the tokens with which the decoders of its rows start, where samples name them.

        Raises:
            ValueError: the samples are of several tasks, and would all be computed as the first one's.
        """
        if len(tasks := {sample["task"] for sample in samples}) > 1:
            raise ValueError(f"a mini-batch of {sorted(tasks)}: the model reads one task at a time")
        batch = collate(samples, self.pad, self.eos, self.left_pad_source)
        if batch:
            batch["net_input"]["task"] = samples[0]["task"]
        if batch and "start" in samples[0]:
            starts = {sample["id"]: sample["start"] for sample in samples}
            batch["starts"] = torch.tensor([starts[number] for number in batch["id"].tolist()])
        return batch


class OneTaskABatch(FairseqDataset, ABC):
    """Examples of several tasks, of which fairseq's batches by length hold one each."""

    @abstractmethod
    def tasks_of(self, indices: np.ndarray) -> np.ndarray:
        """The task of each of these examples."""

    def batch_by_size(self, indices: np.ndarray, **limits: Any) -> list[np.ndarray]:
        """fairseq's mini-batches of each task's examples, one task after the other."""
        tasks, batches_of = self.tasks_of(indices), super().batch_by_size
        parts = [indices[tasks == task] for task in TASKS]
        return [batch for part in parts if len(part) for batch in batches_of(part, **limits)]


class LineExamples(OneTaskABatch):
    """Encoded lines of text, each behind the start token of the language that its summary is to be in.

    fairseq's interactive hands nothing but source tokens to the decoding; :func:`take_starts` takes the start
    tokens off again.  ``cut`` says how many lines were too long.

    Args:
        lines: token ids, EOS included.
        lengths: of the lines.
        languages: target languages.
        tasks: what is to be done with each.
        marks: see :class:`Marks`.
    """

    def __init__(
        self,
        lines: list[Tensor],
        lengths: list[int],
        languages: list[str],
        tasks: list[str],
        marks: Marks,
    ):
        self.lines, self.languages, self.tasks, self.marks = lines, languages, tasks, marks
        tagged = np.asarray(lengths) + bool(marks.tags)
        self.cut = int((tagged > marks.max_source).sum())
        self.sizes = np.minimum(tagged, marks.max_source) + 1

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> dict:
        task, start = self.tasks[index], torch.tensor([self.marks.starts[self.languages[index]]])
        source = self.marks.source(self.lines[index].long(), task)
        return {"id": index, "task": task, "source": torch.cat([start, source]), "target": None}

    def tasks_of(self, indices: np.ndarray) -> np.ndarray:
        return np.array(self.tasks)[indices]

    def num_tokens(self, index: int) -> int:
        return int(self.sizes[index])

    def size(self, index: int) -> int:
        return int(self.sizes[index])

    def filter_indices_by_size(self, indices: np.ndarray, max_sizes: object) -> tuple[np.ndarray, list]:
        """All are kept: what is too long has been cut."""
        return indices, []

    def collater(self, samples: list[dict]) -> dict:
        return self.marks.collate(samples)


def take_starts(tokens: Tensor, pad: int) -> tuple[Tensor, Tensor]:
    """The tokens of :class:`LineExamples` (B x T, padded on either side) without start tokens, and these (B).

    A start token on the left of a text becomes padding; padding on the left changes no output.
    """
    first = tokens.ne(pad).long().argmax(dim=1, keepdim=True)
    starts = tokens.gather(1, first)
    if not bool((first == 0).all()):
        return tokens.scatter(1, first, pad), starts.squeeze(1)
    return tokens[:, 1:], starts.squeeze(1)


class DirectionPairs(OneTaskABatch):
    """The examples of one task in many directions; an example's number in its table is its id.

    Args:
        task: ``cls``, ``mt`` or ``ms``.
        corpus: where the texts are.
        table: the examples by direction.
        marks: see :class:`Marks`.
        subset: numbers of the examples in use; all if absent.
    """

    def __init__(
        self, task: str, corpus: Corpus, table: PairTable, marks: Marks, subset: np.ndarray | None = None
    ):
        self.task, self.corpus, self.table, self.marks = task, corpus, table, marks
        self.subset = np.arange(len(table)) if subset is None else subset
        self.source_sizes, self.target_sizes = self._sizes()

    def _sources(self, language: str) -> TextStore:
        return self.corpus.texts(self.table.sources, language)

    def _sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of each source and target as the model gets them."""
        sizes = np.zeros((2, len(self.table)), dtype=np.int32)
        for (source, target), start in zip(self.table.directions, self.table.offsets, strict=False):
            texts = self.table.of((source, target))
            rows = slice(start, start + len(texts))
            sizes[0, rows] = self._sources(source).sizes[texts[:, 0]]
            sizes[1, rows] = self.corpus.summaries(target).sizes[texts[:, 1]]
        sizes[0] += bool(self.marks.tags)
        self.cut = int((sizes[0, self.subset] > self.marks.max_source).sum())
        targets = sizes[1] if self.marks.max_target is None else np.minimum(sizes[1], self.marks.max_target)
        return np.minimum(sizes[0], self.marks.max_source), targets

    def direction_of(self, number: int) -> Direction:
        """The languages of an example."""
        return self.table.directions[int(self.table.group_of(number))]

    def __len__(self) -> int:
        return len(self.table)

    def task_of(self, direction: Direction) -> str:
        """The task of a direction's examples: what is sampled holds in-language summarization too."""
        return task_between(*direction) if self.task == "cls" else self.task

    def tasks_of(self, indices: np.ndarray) -> np.ndarray:
        tasks = np.array([self.task_of(direction) for direction in self.table.directions])
        return tasks[self.table.group_of(indices)]

    def __getitem__(self, number: int) -> dict:
        direction = self.direction_of(number)
        article, summary = map(int, self.table.texts[number])
        task, start = self.task_of(direction), self.marks.starts[direction[1]]
        target = cut(self.corpus.summaries(direction[1])[summary], self.marks.max_target)
        return {
            "id": int(number),
            "task": task,
            "start": start,
            "source": self.marks.source(self._sources(direction[0])[article], task),
            "target": target,
            "prev_output_tokens": torch.cat([torch.tensor([start]), target[:-1]]),
        }

    def collater(self, samples: list[dict]) -> dict:
        """See :meth:`Marks.collate`; all samples are of one task."""
        return self.marks.collate(samples)

    @property
    def sizes(self) -> np.ndarray:
        return np.stack([self.source_sizes, self.target_sizes], axis=1)

    def num_tokens(self, index: int) -> int:
        return max(int(self.source_sizes[index]), int(self.target_sizes[index]))

    def num_tokens_vec(self, indices: np.ndarray) -> np.ndarray:
        longer = np.maximum(self.source_sizes[indices], self.target_sizes[indices])
        return longer.astype(np.int64)

    def size(self, index: int) -> tuple[int, int]:
        return int(self.source_sizes[index]), int(self.target_sizes[index])

    def filter_indices_by_size(self, indices: np.ndarray, max_sizes: object) -> tuple[np.ndarray, list]:
        """All are kept: what is too long has been cut."""
        return indices, []

    def ordered_indices(self) -> np.ndarray:
        """Numbers of the examples in use, by length."""
        return self.by_length(self.subset)

    def by_length(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers by length of source, then target, in random order among equals."""
        shuffled = np.random.permutation(numbers)
        return shuffled[np.lexsort((self.target_sizes[shuffled], self.source_sizes[shuffled]))]

    def cut_into_batches(self, numbers: np.ndarray, batching: Batching) -> list[np.ndarray]:
        """Mini-batches of some examples, each an array of numbers; which ones meet is random among equals."""
        shuffled = np.random.permutation(numbers)
        sizes = np.stack([self.source_sizes[shuffled], self.target_sizes[shuffled]], axis=1)
        return [shuffled[rows] for rows in pack(sizes, batching)]


class Drawn(NamedTuple):
    """The examples of a :class:`~.sampling.Turn`, not collated yet; all have one ``label`` for a task."""

    turn: Turn
    examples: list[dict]

    @property
    def label(self) -> str:
        return self.examples[0]["task"]


class SampledSteps(FairseqDataset):
    """What a rank computes at once: the examples of a :class:`~.sampling.SampledPlan`'s step.

    An item is addressed by a :class:`~.sampling.Turn`; the collater makes the mini-batches of a step:
    of one direction each, as they were drawn, or of examples ``by_length``, whatever their directions.
    Their loss is the same, since it is summed over the step.

    Args:
        parts: task -> its examples; those of ``cls`` are what is sampled, those of the others go with them.
        counts: examples of each direction that is sampled.
        batching: limits of a mini-batch.
        by_length: see above.
    """

    def __init__(
        self,
        parts: Mapping[str, DirectionPairs],
        counts: Mapping[Direction, int],
        batching: Batching,
        by_length: bool = False,
    ):
        self.parts, self.counts, self.batching, self.by_length = parts, counts, batching, by_length
        with data_utils.numpy_seed(batching.seed):
            batches = {task: self._cut(task) for task in parts}
        self.mini_batches = {task: list(found.values()) for task, found in batches.items()}
        self.streams = tuple(
            Streams(task, self._streams_of(task, list(found)), tuple(map(len, found.values())))
            for task, found in batches.items()
        )

    def _cut(self, task: str) -> dict[Direction, list[np.ndarray]]:
        """The mini-batches of each direction that some sampled direction takes from."""
        pairs = self.parts[task]
        wanted = {goes_with(task, direction) for direction in self.counts}
        starts = zip(pairs.table.directions, pairs.table.offsets, pairs.table.counts, strict=False)
        return {
            direction: pairs.cut_into_batches(np.arange(start, start + count), self.batching)
            for direction, start, count in starts
            if direction in wanted
        }

    def _streams_of(self, task: str, directions: list[Direction]) -> tuple[int, ...]:
        places = {direction: number for number, direction in enumerate(directions)}
        paired = (goes_with(task, direction) for direction in self.counts)
        return tuple(-1 if direction is None else places.get(direction, -1) for direction in paired)

    def __len__(self) -> int:
        return sum(len(batches) for streams in self.mini_batches.values() for batches in streams)

    def examples_of(self, turn: Turn) -> np.ndarray:
        """The numbers of the examples of a mini-batch."""
        return self.mini_batches[turn.task][turn.stream][turn.number]

    def __getitem__(self, turn: Turn) -> Drawn:
        pairs = self.parts[turn.task]
        return Drawn(turn, [pairs[int(number)] for number in self.examples_of(turn)])

    def collater(self, drawn: list[Drawn]) -> dict:
        """``{"mini_batches": [...]}``; each names a ``stream`` and a ``position``, which no other one has."""
        groups = self._groups(drawn) if self.by_length else [[one] for one in drawn]
        mini_batches = [batch for group in groups for batch in self._collated(group)]
        return {"mini_batches": mini_batches} if mini_batches else {}

    @staticmethod
    def _groups(drawn: list[Drawn]) -> list[list[Drawn]]:
        """What may be in one mini-batch, in the order in which it was drawn."""
        groups: dict[tuple[str, str], list[Drawn]] = {}
        for one in drawn:
            groups.setdefault((one.turn.task, one.label), []).append(one)
        return list(groups.values())

    def _collated(self, group: list[Drawn]) -> Iterator[dict]:
        first = group[0].turn
        pairs, examples = self.parts[first.task], [example for one in group for example in one.examples]
        languages = "-".join(pairs.direction_of(examples[0]["id"]))
        for number, chosen in enumerate(self._rows(group, examples)):
            batch = pairs.collater([examples[row] for row in chosen])
            stream = f"{first.task} {languages}" + (f" {number}" if number else "")
            yield {**batch, "stream": stream, "position": first.position}

    def _rows(self, group: list[Drawn], examples: list[dict]) -> list[np.ndarray]:
        """The mini-batches of a group's examples: as drawn, or by length where that is less padding."""
        ends = np.cumsum([len(one.examples) for one in group])
        as_drawn = np.split(np.arange(len(examples)), ends[:-1])
        if len(group) == 1:
            return as_drawn
        sizes = np.array([[len(example["source"]), len(example["target"])] for example in examples])
        ways = as_drawn, pack(sizes, self.batching)
        return min(ways, key=lambda batches: padded_size(sizes, batches))

    def plan(self, sampling: Sampling, **settings: Any) -> SampledPlan:
        """The plan over these mini-batches."""
        return SampledPlan(self.streams, DirectionSampler(self.counts, sampling), **settings)


class TrainingExamples(FairseqDataset):
    """The training examples of all tasks; cut into mini-batches once for a setting, not once an epoch."""

    def __init__(
        self, parts: Mapping[str, DirectionPairs], counts: Mapping[Direction, int], by_length: bool = False
    ):
        self.parts, self.counts, self.by_length = parts, counts, by_length
        self._steps: dict[Batching, SampledSteps] = {}

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def steps(self, batching: Batching) -> SampledSteps:
        """What a rank computes at once, under these limits."""
        if batching not in self._steps:
            self._steps = {batching: SampledSteps(self.parts, self.counts, batching, self.by_length)}
        return self._steps[batching]


def task_between(source: str | None, target: str) -> str:
    """What summarizing from one language into another is: within one it is MS."""
    return "ms" if source == target else "cls"


def goes_with(task: str, direction: Direction) -> Direction | None:
    """The direction whose examples of a task go with those of a sampled one; ``None``: none do.

    With CLS from i to j go MT from i to j and MS in i; with in-language summarization goes nothing.
    """
    source, target = direction
    if task == "cls":
        return direction
    if source == target:
        return None
    return (source, source) if task == "ms" else direction
