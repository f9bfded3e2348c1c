"""From ``DATA/{cls,mt,ms}`` as ``fairseq-preprocess`` writes it to checked pairs."""

import itertools
import logging
import os
import struct
from dataclasses import dataclass
from typing import Any

from fairseq.tasks.translation import load_langpair_dataset

from fairseq_vhm.data.checks import AGAIN, check_dictionaries, check_pair
from fairseq_vhm.data.dictionaries import read_dictionary
from fairseq_vhm.data.languages import Languages, MarkedDictionary
from fairseq_vhm.data.pairs import CutDataset, TaskPairs, few_shot_subset
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS, task_tag  # noqa: F401  (TASKS: for those who load)

logger = logging.getLogger(__name__)


@dataclass
class TaskFolder:
    """One task's folder and its language pair."""

    task: str
    path: str
    source: str
    target: str

    @classmethod
    def find(
        cls, root: str, task: str, source: str | None = None, target: str | None = None
    ) -> "TaskFolder":
        """The folder of ``task`` below ``root``; languages that are not given are read off its files.

        Raises:
            UserError: the folder or its files are missing, or of several pairs of languages.
        """
        path = os.path.join(root, task)
        if not os.path.isdir(path):
            raise UserError(
                f"{path}: missing; DATA needs a folder made by fairseq-preprocess for each of --tasks "
                "(see vhm prepare), or leave the task out of --tasks"
            )
        return cls(task, path, *_only_pair(path, source, target))

    @property
    def dictionaries(self) -> list[str]:
        return [os.path.join(self.path, f"dict.{lang}.txt") for lang in (self.source, self.target)]

    def prefix(self, split: str, language: str) -> str:
        """Path of one side of a split, without extension."""
        return os.path.join(self.path, f"{split}.{self.source}-{self.target}.{language}")

    def has(self, split: str) -> bool:
        return os.path.exists(self.prefix(split, self.source) + ".idx")

    def splits(self, split: str, combine: bool, language: str | None = None) -> list[str]:
        """``train`` and, combined, ``train1``, ... as far as they have ``language`` (default: the source)."""
        def exists(part: str) -> bool:
            return os.path.exists(self.prefix(part, language or self.source) + ".idx")

        more = (f"{split}{k}" for k in itertools.count(1)) if combine else ()
        return [split, *itertools.takewhile(exists, more)]


def _only_pair(folder: str, source: str | None, target: str | None) -> tuple[str, str]:
    """The pair of languages of the files in ``folder``, of those of ``source`` and ``target`` where given."""
    pairs = _pairs(folder)
    found = [pair for pair in pairs if source in (None, pair[0]) and target in (None, pair[1])]
    if len(found) == 1:
        return found[0]
    if not pairs and source and target:  # in another of fairseq's formats
        return source, target
    if found:
        names = ", ".join(map("-".join, pairs))
        raise UserError(
            f"{folder}: holds several pairs of languages ({names}); keep one, or, for cls, say which by "
            "--source-lang and --target-lang"
        )
    if pairs:
        flags = (("--source-lang", source), ("--target-lang", target))
        listed = ", ".join(_listed(folder, pair) for pair in pairs)
        given = " ".join(f"{flag} {language}" for flag, language in flags if language)
        raise UserError(f"{folder}: holds {listed}, none of {given}; drop the flag, or give another DATA")
    raise UserError(f"{folder}: holds no SPLIT.SRC-TGT.SRC.idx file; {AGAIN}")


def _pairs(folder: str) -> dict[tuple[str, str], list[str]]:
    """The pairs of languages of the files in ``folder``, and the splits of each."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for parts in (name.split(".") for name in sorted(os.listdir(folder)) if name.endswith(".idx")):
        if len(parts) > 3 and parts[-3].startswith(f"{parts[-2]}-"):
            pair = parts[-2], parts[-3].removeprefix(f"{parts[-2]}-")
            pairs.setdefault(pair, []).append(".".join(parts[:-3]))
    return dict(sorted(pairs.items()))


def _listed(folder: str, pair: tuple[str, str]) -> str:
    """``en-zh (test, train, valid)``."""
    return f"{'-'.join(pair)} ({', '.join(_pairs(folder)[pair])})"


def _check_split(folder: TaskFolder, split: str) -> None:
    pair = folder.source, folder.target
    splits = _pairs(folder.path).get(pair, [])
    sides = [folder.prefix(split, language) for language in pair]
    if splits and not any(os.path.exists(side + ".idx") for side in sides):
        here = f"{folder.path} holds {_listed(folder.path, pair)}"
        raise UserError(f"{sides[0]}.idx: missing; {here}; name one of these, or {AGAIN}")


def load_dictionary(
    folders: list[TaskFolder], languages: Languages | None = None, pretraining: bool = False
) -> MarkedDictionary:
    """The one dictionary of all folders, with a mark for each language and task at its end.

    ``pretraining`` adds the marks of the pre-training tasks.

    Raises:
        UserError: dictionaries are missing or differ.
    """
    check_dictionaries([path for folder in folders for path in folder.dictionaries])
    dictionary = read_dictionary(folders[0].dictionaries[0])
    dictionary.pretraining = pretraining
    dictionary.mark(languages)
    return dictionary


@dataclass
class PairOptions:
    """How pairs are read: limits in tokens (EOS, tag and language included), marks, padding sides."""

    max_source: int
    max_target: int | None
    tag_place: str
    left_pad_source: bool = True
    left_pad_target: bool = False
    dataset_impl: str | None = None
    combine: bool = False
    fraction: float = 1.0
    fraction_seed: int = 1
    languages: Languages | None = None
    text_bos: bool = False

    def language_id(self, dictionary: MarkedDictionary, suffix: str) -> int | None:
        """The id of a file suffix's language; ``None`` without ``--langs``."""
        return dictionary.index(self.languages.symbol_of(suffix)) if self.languages else None


def load_pairs(
    folder: TaskFolder, split: str, dictionary: MarkedDictionary, options: PairOptions, **extra: Any
) -> TaskPairs:
    """One split of one task, checked; texts longer than the limits are cut and counted in the log.

    Raises:
        UserError: names the file and the remedy.
    """
    _check_split(folder, split)
    for part in folder.splits(split, options.combine):
        sides = [folder.prefix(part, language) for language in (folder.source, folder.target)]
        check_pair(sides[0], sides[1], dictionary.text_symbols, folder.dictionaries[0])
    raw = load_raw(folder, split, dictionary, options)
    tag = dictionary.index(task_tag(folder.task))
    source_tag = tag if options.tag_place == "source" else None
    source_language, target_language = (
        options.language_id(dictionary, suffix) for suffix in (folder.source, folder.target)
    )
    bos = dictionary.bos() if options.text_bos else None
    source = CutDataset(raw.src, options.max_source, source_tag, source_language, bos)
    target = CutDataset(raw.tgt, options.max_target, language=target_language)
    _say_cuts(folder, split, source, target)
    subset = few_shot_subset(len(raw), options.fraction, options.fraction_seed)
    if subset is not None:
        logger.info(f"{folder.task} {split}: {len(subset):,} of {len(raw):,} pairs in use (few-shot)")
    return TaskPairs(
        folder.task,
        source,
        source.sizes,
        dictionary,
        target,
        target.sizes,
        dictionary,
        target_tag=tag if options.tag_place == "target" else bos,
        eos=target_language,
        subset=subset,
        left_pad_source=options.left_pad_source,
        left_pad_target=options.left_pad_target,
        shuffle=split.startswith("train"),
        **extra,
    )


def load_raw(folder: TaskFolder, split: str, dictionary: MarkedDictionary, options: PairOptions) -> Any:
    """One split as fairseq reads it, neither tagged nor cut (a ``LanguagePairDataset``).

    Raises:
        UserError: files of another of fairseq's formats than the usual one are damaged.
    """
    try:
        return _load_raw(folder, split, dictionary, options)
    except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError, struct.error) as error:
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"{folder.prefix(split, folder.source)}: cannot be read ({what}); {AGAIN}") from error


def _load_raw(folder: TaskFolder, split: str, dictionary: MarkedDictionary, options: PairOptions) -> Any:
    return load_langpair_dataset(
        folder.path,
        split,
        folder.source,
        dictionary,
        folder.target,
        dictionary,
        combine=options.combine,
        dataset_impl=options.dataset_impl,
        upsample_primary=1,
        left_pad_source=options.left_pad_source,
        left_pad_target=options.left_pad_target,
        max_source_positions=options.max_source,
        max_target_positions=options.max_target,
    )


def _say_cuts(folder: TaskFolder, split: str, source: CutDataset, target: CutDataset) -> None:
    for side, name in ((source, "source"), (target, "target")):
        if side.cut:
            logger.info(
                f"{folder.task} {split}: {side.cut:,} of {len(side):,} {name}s longer than "
                f"{side.kept:,} tokens were cut there (--max-{name}-positions)"
            )
