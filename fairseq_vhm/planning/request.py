"""From the words of ``vhm doctor --plan`` to what is planned."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS
from fairseq_vhm.planning.batches import Material, cut
from fairseq_vhm.planning.devices import DEVICES
from fairseq_vhm.planning.plan import Wanted
from fairseq_vhm.planning.prepared import material_of
from fairseq_vhm.planning.run import Run
from fairseq_vhm.planning.storage import moments
from fairseq_vhm.planning.texts import (
    AMOUNT,
    Texts,
    by_task,
    cut_of,
    dictionary_bytes,
    of_lines,
    of_numbers,
)

OF_TASK = re.compile(rf"({'|'.join(TASKS)})=(.+)")


@dataclass(frozen=True)
class Words:
    """What the words say beside the options.

    Args:
        data: a prepared folder.
        flags: of ``fairseq-train``.
        pairs: task -> number, as ``cls=1.7M``.
        files: task -> source and target, as ``cls=train.en,train.zh``.
    """

    data: Path | None
    flags: list[str]
    pairs: list[str]
    files: dict[str, tuple[Path, Path]]

    @classmethod
    def of(cls, words: Iterable[str], pairs: Iterable[str]) -> "Words":
        """Sort words; DATA is the first, if it is no flag.  Values of ``--pairs`` may be fairseq's.

        Raises:
            UserError: files are not two, or of a task that has some.
        """
        rest, numbers, files = [], [], {}
        for word in words:
            found = OF_TASK.fullmatch(word)
            if not found:
                rest.append(word)
            elif AMOUNT.fullmatch(found[2]):
                numbers.append(word)
            elif found[1] in files:
                raise UserError(f"{word}: the pairs of {found[1]} are given twice")
            else:
                files[found[1]] = _two_files(word, found[2])
        of_fairseq = [value for value in pairs if "=" not in value]
        numbers = [value for value in pairs if "=" in value] + numbers
        data = Path(rest.pop(0)) if rest and not rest[0].startswith("-") else None
        flags = rest + [part for value in of_fairseq for part in ("--pairs", value)]
        return cls(data, flags, numbers, files)


def _two_files(word: str, names: str) -> tuple[Path, Path]:
    source, comma, target = names.partition(",")
    if not comma:
        raise UserError(f"{word}: give a number, such as 1.7M, or two aligned files, SOURCE,TARGET")
    return Path(source), Path(target)


@dataclass(frozen=True)
class Settings:
    """The options of a plan; ``None`` and empty where the user said nothing."""

    pairs: list[str]
    lengths: list[str]
    vocab_size: int | None
    spm: Path | None
    gpu: list[str]
    gpus: list[int]
    utilisation: float
    measured_updates: int

    def check(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            UserError: names the option.
        """
        if not 0 < self.utilisation <= 1:
            raise UserError(f"--utilisation {self.utilisation}: give a share above 0 and up to 1")


def wanted_of(words: Iterable[str], settings: Settings) -> Wanted:
    """Read flags, count texts.

    Raises:
        UserError: names what is missing or wrong.
    """
    settings.check()
    said = Words.of(words, settings.pairs)
    run = Run.of(said.flags, said.data)
    moments(run)  # refuses an optimizer that it does not know
    if said.data is None:
        material, updates = _material(run, said, settings), 0
    else:
        _check_alone(said, settings)
        material, updates = material_of(run, said.data), settings.measured_updates
    devices = [DEVICES[name] for name in settings.gpu]
    return Wanted(run, material, devices, settings.gpus, settings.utilisation, updates)


def _check_alone(said: Words, settings: Settings) -> None:
    """Refuse what prepared data tell themselves."""
    beside = {
        "numbers or files": said.pairs or said.files,
        "--lengths": settings.lengths,
        "--vocab-size": settings.vocab_size,
        "--spm": settings.spm,
    }
    if given := [name for name, value in beside.items() if value]:
        raise UserError(f"{said.data}: a prepared folder says all of its pairs; leave {given[0]} out")


def _material(run: Run, said: Words, settings: Settings) -> Material:
    """What the user's numbers and files come to."""
    if run.pretraining:
        raise UserError(f"--pretraining-tasks {run.pretraining}: planned from DATA alone; give its folder")
    texts, symbols = _texts(said, settings), _symbols(run, settings)
    disk = sum(one.disk(symbols) for one in texts) + dictionary_bytes(symbols, len(texts))
    fraction, seed = run.few_shot
    used = [one.few_shot(fraction, seed) if one.task == "cls" else one for one in texts]
    used = [one for one in used if one.task in run.tasks]
    return Material(used, symbols, disk, *cut(run, used))


def _texts(said: Words, settings: Settings) -> list[Texts]:
    numbers, lengths = by_task(said.pairs, "--pairs"), by_task(settings.lengths, "--lengths")
    if lost := set(lengths) - set(numbers):
        raise UserError(f"--lengths: {lost.pop()} has no --pairs")
    if twice := set(numbers) & set(said.files):
        raise UserError(f"--pairs: the pairs of {twice.pop()} are given as files, too")
    if settings.spm is not None and not said.files:
        raise UserError(f"--spm {settings.spm}: cuts files into pieces; give cls=train.en,train.zh, say")
    pieces = cut_of(settings.spm)
    counted = [of_lines(task, *files, pieces) for task, files in said.files.items()]
    order = list(TASKS).index
    found = sorted(of_numbers(numbers, lengths) + counted, key=lambda one: order(one.task))
    if not found:
        raise UserError(
            "give DATA (prepared), files as in cls=train.en,train.zh, or --pairs cls=1.7M with --lengths"
        )
    return found


def _symbols(run: Run, settings: Settings) -> int:
    if settings.vocab_size is not None:
        return settings.vocab_size
    if run.mt5_config is not None:
        return run.mt5_config["vocab_size"]
    raise UserError("--vocab-size: say how many symbols the dictionary has, tags of the tasks included")
