"""Made-up pairs of CLS, MT and MS in fairseq's binary format: what the systems are trained on and decode.

Each task's mini-batch of a round holds pairs of one third of the range of lengths, as batches cut by length
do, and the tasks take turns with the thirds; so all rounds are about the same work, with little padding.
Words are drawn at random: the cost of a step does not depend on what they are.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from fairseq.data import Dictionary

from fairseq_vhm.data.corpus_writer import StoreWriter
from fairseq_vhm.data.pairs import Batching
from fairseq_vhm.data.plan import Turn
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS

LANGUAGES = {"cls": ("en", "zh"), "mt": ("en", "zh"), "ms": ("en", "en_sum")}
EOS, FIRST_WORD = 2, 4
THIRDS = 3


@dataclass(frozen=True)
class Shape:
    """The size of the work.

    Args:
        vocabulary: all symbols, fairseq's four and the three tags included.
        sentences: pairs of a mini-batch.
        sources, targets: least and greatest number of words.
        rounds: updates that there are pairs for.
        same_documents: whether the sources of MS are those of CLS.
    """

    vocabulary: int
    sentences: int
    sources: tuple[int, int]
    targets: tuple[int, int]
    rounds: int
    same_documents: bool = False

    def check(self) -> None:
        """Refuse what no work can be made of.

        Raises:
            UserError: names the flag and the remedy.
        """
        if self.vocabulary < FIRST_WORD + len(TASKS) + 2:
            raise UserError(f"--vocab {self.vocabulary}: give at least {FIRST_WORD + len(TASKS) + 2}")
        for flag, value in (("--sentences", self.sentences), ("--rounds", self.rounds)):
            if value < 1:
                raise UserError(f"{flag} {value}: give at least 1")


class Material:
    """The pairs of all rounds, and ``DATA`` with them once :meth:`write` has written it."""

    def __init__(self, shape: Shape, seed: int = 1):
        shape.check()
        self.shape = shape
        rng = np.random.default_rng(seed)
        self.texts = {task: self._sides(rng, task) for task in TASKS}
        if shape.same_documents:
            self.texts["ms"] = self.texts["cls"][0], self.texts["ms"][1]

    def _sides(self, rng, task: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return tuple(
            [text for r in self.rounds for text in self._side(rng, span, self._third(task, r))]
            for span in (self.shape.sources, self.shape.targets)
        )

    def _third(self, task: str, number: int) -> int:
        place = list(TASKS).index("cls" if task == "ms" and self.shape.same_documents else task)
        return (number + place) % THIRDS

    def _side(self, rng, span: tuple[int, int], third: int) -> list[np.ndarray]:
        edges = np.linspace(span[0], span[1] + 1, THIRDS + 1).astype(int)
        low, high = edges[third], max(edges[third + 1], edges[third] + 1)
        lengths = rng.integers(low, high, self.shape.sentences)
        return [rng.integers(FIRST_WORD, self.shape.vocabulary - len(TASKS), n) for n in lengths]

    @cached_property
    def words(self) -> list[int]:
        """Words of source and target in each round, all tasks."""
        sides = [side for both in self.texts.values() for side in both]
        return [sum(map(len, (t for side in sides for t in side[self.rows(r)]))) for r in self.rounds]

    @property
    def rounds(self) -> range:
        """Their numbers."""
        return range(self.shape.rounds)

    def rows(self, number: int) -> slice:
        """Places of a round's pairs among each task's."""
        return slice(number * self.shape.sentences, (number + 1) * self.shape.sentences)

    def write(self, folder: Path) -> Path:
        """``DATA`` in a folder."""
        texts = {task: tuple(map(flat, sides)) for task, sides in self.texts.items()}
        return write_data(folder, texts, self.shape.vocabulary)

    def steps(self, task) -> list[dict]:
        """What a fairseq task of this project's makes of each round: ``{"mini_batches": [...]}``."""
        task.load_dataset(task.cfg.train_subset, combine=False)
        size = self.shape.sentences
        steps = task.datasets[task.cfg.train_subset].steps(Batching(None, size, 1, 1))
        pairs = np.arange(size * self.shape.rounds).reshape(-1, size)
        steps.mini_batches = dict.fromkeys(steps.mini_batches, list(pairs))
        return [steps.collater([steps[Turn(t, r, r)] for t in task.streams]) for r in self.rounds]


Flat = tuple[np.ndarray, np.ndarray]
"""The ids of all texts in a row, each with its EOS, and the number of ids of each."""


def flat(texts: list[np.ndarray]) -> Flat:
    """Words of texts as they are written."""
    ended = [np.append(text, EOS) for text in texts]
    return np.concatenate(ended), np.array([len(text) for text in ended])


def random_texts(rng, count: int, span: tuple[int, int], vocabulary: int) -> Flat:
    """Texts of any number, lengths drawn evenly from a range."""
    lengths = rng.integers(span[0], span[1] + 1, count) + 1
    ids = rng.integers(FIRST_WORD, vocabulary - len(TASKS), lengths.sum(), dtype=np.int32)
    ids[np.cumsum(lengths) - 1] = EOS
    return ids, lengths


def write_data(folder: Path, texts: dict[str, tuple[Flat, Flat]], vocabulary: int) -> Path:
    """``DATA`` with the training pairs of each task: both sides' texts."""
    dictionary = dictionary_of(vocabulary)
    for task, sides in texts.items():
        place = folder / task
        place.mkdir(parents=True)
        pair = "-".join(LANGUAGES[task])
        for language, (ids, lengths) in zip(LANGUAGES[task], sides, strict=True):
            dictionary.save(str(place / f"dict.{language}.txt"))
            with StoreWriter(place / f"train.{pair}.{language}", vocabulary) as writer:
                writer.extend(ids, lengths)
    return folder


def dictionary_of(vocabulary: int) -> Dictionary:
    """The symbols without the tags of the tasks."""
    dictionary = Dictionary()
    for number in range(vocabulary - FIRST_WORD - len(TASKS)):
        dictionary.add_symbol(f"w{number}")
    return dictionary
