"""Which folders are runs, and what each holds; what it lacks is said, not fatal.

A run is a folder with a checkpoint or a training log; files of scores and outputs may lie there or
below it.  A folder with neither is a run of outputs alone.  Logs are known by what they say, not by
their names; outputs are a log of ``fairseq-generate`` or a file ``NAME.hyp`` of plain lines.  Scores are
``scores.json`` (and ``scores.NAME.json``) of ``vhm score --json``; ``scores.SRC-TGT.json`` are those of
one pair of languages, for CrossSum's figures, and ``scores.pairs.json`` says what ``vhm score --corpus``
found over all of them.
"""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fairseq_vhm.errors import UserError, unreadable
from fairseq_vhm.files import parse_json
from fairseq_vhm.language_pairs.files import PAIR_FILE, SUMMARY, read_summary
from fairseq_vhm.language_pairs.offtarget import LIMIT
from fairseq_vhm.language_pairs.results import PairScores
from fairseq_vhm.metrics.generate_log import is_log
from fairseq_vhm.report.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from fairseq_vhm.report.logs import TrainingLog, is_training_log, read_logs
from fairseq_vhm.report.overrides import Override, Overrides

LOG_SUFFIXES = (".log", ".txt", ".out")
PREFERRED_OUTPUTS = ("test.log", "generate-test.txt", "test.hyp")
OTHER_SUBSET = re.compile(r"(^|[-._])(valid|train)")
SCORES = re.compile(r"scores(?:\.([^.-]+))?\.json")
NOT_SCORES = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What comes of reading any other file as one of scores."""
HEAD = 1 << 18  # bytes in which a log shows what it is
NAMED_FILES = re.compile(r"checkpoint.*\.pt|scores(\..+)?\.json|.*\.hyp")
"""What a run's files are called; any other name may be a folder's."""


@dataclass(frozen=True)
class Scores:
    """What ``vhm score --json`` wrote: figures of each metric, and their signatures."""

    path: Path
    metric: Mapping[str, Mapping[str, float]]
    signature: Mapping[str, str]
    count: int = 0
    languages: tuple[str, str] | None = None

    def headlines(self) -> dict[str, float]:
        """The figure of each metric that a table shows: F where there is one, else its value."""
        found = {name: parts.get("f", parts.get("value")) for name, parts in self.metric.items()}
        return {name: float(figure) for name, figure in found.items() if figure is not None}


@dataclass
class Run:
    """One run; ``missing`` says in a line each what it lacks or what is odd about it.

    ``pairs`` are the scores of pairs of languages, ``summary`` what ``scores.pairs.json`` says of them.
    """

    name: str
    override: Override = field(default_factory=Override)
    checkpoint: Checkpoint | None = None
    log: TrainingLog | None = None
    outputs: Path | None = None
    scores: list[Scores] = field(default_factory=list)
    pairs: dict[tuple[str, str], Scores] = field(default_factory=dict)
    summary: Mapping = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def least(self) -> int:
        """Examples that a pair needs to count in means."""
        return int(self.summary.get("min_pair_size", 1))

    @property
    def limit(self) -> float:
        """Points of outputs in wrong languages that are warned of."""
        return float(self.summary.get("off_target", {}).get("limit", LIMIT))

    @property
    def pair_scores(self) -> list[PairScores]:
        """The pairs of languages as they are put into tables."""
        return [
            PairScores(*pair, scores.count, scores.metric, scores.signature)
            for pair, scores in self.pairs.items()
        ]

    @property
    def settings(self) -> Mapping[str, object]:
        return self.checkpoint.settings if self.checkpoint else {}


@dataclass
class _Files:
    """Files of a run by what they are; ``unread`` says in a line each what cannot be read."""

    logs: list[Path] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    scores: list[Path] = field(default_factory=list)
    pairs: list[Path] = field(default_factory=list)
    summary: Path | None = None
    unread: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.logs or self.outputs or self.scores or self.pairs or self.unread)

    def take_results(self, other: "_Files") -> None:
        self.outputs += other.outputs
        self.scores += other.scores
        self.pairs += other.pairs
        self.summary = self.summary or other.summary
        self.unread += other.unread


def find_runs(folder: Path, overrides: Overrides) -> list[Run]:
    """All runs below ``folder`` in the order of their names.

    Raises:
        UserError: no folder, no run in it, or a table of ``overrides`` that is for no run.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the one that holds the runs")
    runs = [_read_run(one, _name(folder, one), files, overrides) for one, files in _walk(folder)]
    known = {run.name for run in runs} | {"."}
    for name in overrides.outputs():
        if name not in known:
            runs.append(Run(name, overrides.of(name), outputs=overrides.of(name).outputs))
    if not runs:
        raise UserError(f"{folder}: holds no checkpoint, log, outputs or scores; give the folder of the runs")
    _check_names(overrides, [run.name for run in runs])
    _check_outputs(overrides, runs)
    return sorted(runs, key=lambda run: _natural(run.name))


def _walk(root: Path) -> list[tuple[Path, _Files]]:
    """Folders and files of the runs in ``root``; results below a training run are its own.

    Links are followed, after all else and but for those that lead back up; a folder to which several names
    lead is one run, by the first.
    """
    found: list[tuple[Path, _Files]] = []
    seen: set[Path] = set()
    waiting: list[tuple[Path, _Files | None]] = [(root, None)]
    links: list[tuple[Path, _Files | None]] = []
    while waiting or links:
        folder, owner = waiting.pop() if waiting else links.pop(0)
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        files = _sort(folder)
        trained = bool(files.logs) or find_checkpoint(folder) is not None
        if trained or (files and owner is None):
            found.append((folder, files))
        elif owner is not None:
            owner.take_results(files)
        for child in _children(folder):
            (links if child.is_symlink() else waiting).append((child, files if trained else owner))
    return found


def _children(folder: Path) -> list[Path]:
    """Folders in ``folder`` but for hidden ones and links to what it lies in; the last by name first."""
    folders = sorted(filter(os.path.isdir, _entries(folder, [])), reverse=True)
    shown = [path for path in folders if not path.name.startswith(".")]
    return [path for path in shown if not folder.resolve().is_relative_to(path.resolve())]


def _name(root: Path, folder: Path) -> str:
    return folder.resolve().name if folder == root else folder.relative_to(root).as_posix()


def _entries(folder: Path, unread: list[str]) -> list[Path]:
    """What is in a folder; nothing where it cannot be read, which ``unread`` is told."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        unread.append(str(unreadable(folder, error)))
        return []


def _sort(folder: Path) -> _Files:
    """The files in a folder; pipes and devices, which might never end, are none."""
    files = _Files()
    for path in _entries(folder, files.unread):
        if not os.path.isfile(path):
            if NAMED_FILES.fullmatch(path.name):
                files.unread.append(f"{path.name} is no file, nor a link to one, and left out")
        elif path.name == SUMMARY:
            files.summary = path
        elif PAIR_FILE.fullmatch(path.name):
            files.pairs.append(path)
        elif SCORES.fullmatch(path.name):
            files.scores.append(path)
        elif path.suffix == ".hyp":
            files.outputs.append(path)
        elif path.suffix in LOG_SUFFIXES:
            _sort_log(path, files)
    return files


def _sort_log(path: Path, files: _Files) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD).decode("utf-8", errors="replace")
    except OSError as error:
        files.unread.append(str(unreadable(path, error)))
        return
    if is_log(head.splitlines()):
        files.outputs.append(path)
    elif is_training_log(head):
        files.logs.append(path)


def _read_run(folder: Path, name: str, files: _Files, overrides: Overrides) -> Run:
    run = Run(name, overrides.of(name), missing=files.unread)
    run.checkpoint = _read_checkpoint(folder, run.missing)
    run.log = read_logs(files.logs) if files.logs else None
    run.outputs = run.override.outputs or _choose_outputs(files.outputs, folder, run.missing)
    run.scores = [scores for path in files.scores if (scores := _read_scores(path, run.missing))]
    run.scores = [scores for scores in run.scores if not _is_stale(scores, run)]
    read = [scores for path in files.pairs if (scores := _read_scores(path, run.missing))]
    run.pairs = {pair: scores for scores in read if (pair := _languages(scores, run.missing))}
    run.summary = read_summary(files.summary) if files.summary else {}
    _complain(run)
    return run


def _read_checkpoint(folder: Path, missing: list[str]) -> Checkpoint | None:
    path = find_checkpoint(folder)
    try:
        return read_checkpoint(path).checked() if path else None
    except UserError as error:
        missing.append(str(error))
        return None


def _choose_outputs(paths: list[Path], folder: Path, missing: list[str]) -> Path | None:
    """The outputs of the test set in a run's folder; of several one with a usual name, else the newest."""
    usable = [path for path in paths if not OTHER_SUBSET.search(path.name)]
    usual = [path for name in PREFERRED_OUTPUTS for path in usable if path.name == name]
    newest = sorted(usable, key=os.path.getmtime, reverse=True)
    chosen = next(iter(usual + newest), None)
    if chosen and len(usable) > 1:
        named = {path: path.relative_to(folder).as_posix() for path in usable}
        others = ", ".join(name for path, name in named.items() if path != chosen)
        missing.append(f"outputs are taken from {named[chosen]}, not from {others}")
    return chosen


def read_scores(path: Path) -> Scores:
    """What ``vhm score --json`` wrote.

    Raises:
        UserError: it is another file, or damaged.
    """
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        figures = {name: _figures(parts) for name, parts in document["metric"].items()}
        languages = (str(document["source"]), str(document["target"])) if "source" in document else None
        count = int(document.get("n", 0))
        scores = Scores(path, figures, dict(document["signature"]), count, languages)
        scores.headlines()
    except NOT_SCORES as error:
        what = f"{path.name} is not what `vhm score --json` writes ({type(error).__name__})"
        raise UserError(what) from error
    return scores


def _figures(parts: Mapping) -> dict[str, float]:
    """The figures of a metric; what a diverged model has (``NaN``) is none."""
    for figure in parts.values():
        if not isinstance(figure, int | float) or not math.isfinite(figure):
            raise ValueError(f"{figure!r} is no figure")
    return dict(parts)


def _read_scores(path: Path, missing: list[str]) -> Scores | None:
    try:
        return read_scores(path)
    except UserError as error:
        missing.append(str(error))
        return None


def _languages(scores: Scores, missing: list[str]) -> tuple[str, str] | None:
    """The pair of languages that scores are of: as the file says, else as its name does."""
    name = scores.path.name.removeprefix("scores.").removesuffix(".json")
    languages = scores.languages or tuple(name.split("-"))
    if len(languages) == 2:
        return languages
    missing.append(f"{scores.path.name}: does not say which languages it is of (source, target)")
    return None


def _is_stale(scores: Scores, run: Run) -> bool:
    if run.outputs is None:
        return False
    stale = scores.path.stat().st_mtime < run.outputs.stat().st_mtime
    if stale:
        run.missing.append(f"{scores.path.name} is older than {run.outputs.name} and left out")
    return stale


def _complain(run: Run) -> None:
    """Say what a training run lacks."""
    if run.checkpoint is None and run.log is None:
        return
    if run.checkpoint is None and not any("checkpoint" in line for line in run.missing):
        run.missing.append("no checkpoint: its settings are unknown")
    if run.log is None:
        run.missing.append("no training log")
    elif not run.log.ended:
        wanted = run.settings.get("max_update")
        goal = f" of {wanted:,}" if wanted else ""
        run.missing.append(f"training has not ended: its log stops at update {run.log.updates:,}{goal}")
    if run.log and run.log.restarts:
        listed = ", ".join(f"{update:,}" for update in run.log.restarts)
        run.missing.append(f"its log is of several processes; figures go on from update {listed}")
    if run.outputs is None and not run.scores and not run.pairs:
        run.missing.append("no outputs and no scores")


def _check_names(overrides: Overrides, names: list[str]) -> None:
    for wanted in overrides.tables:
        if wanted != "." and not any(name == wanted or name.startswith(f"{wanted}/") for name in names):
            raise UserError(f'report.toml: [runs."{wanted}"] is no run; there are {", ".join(names)}')


def _check_outputs(overrides: Overrides, runs: list[Run]) -> None:
    """Refuse outputs that would be those of several runs."""
    for name, path in overrides.outputs().items():
        within = [run for run in runs if name in (".", run.name) or run.name.startswith(f"{name}/")]
        heirs = [run.name for run in within if run.override.outputs == path]
        if len(heirs) > 1:
            runs_named = ", ".join(heirs)
            raise UserError(f'report.toml: [runs."{name}"]: outputs are of one run, not of {runs_named}')


def _natural(name: str) -> list:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
