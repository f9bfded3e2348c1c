"""Run rows of the paper's tables: train, generate, score; then ``vhm report`` draws them.

    python examples/run.py ROW.yaml [ROW.yaml ...] --scale examples/scales/demo.yaml --data DATA --out RUNS

A row says what a system is, a scale how large it is and how long it trains; every step is a command that
is printed before it runs, and a user could give by hand.  A list such as ``examples/few_shot.yaml`` names
rows, shares of the CLS pairs and seeds.  Runs lie in ``RUNS/NAME/seedN`` (few-shot:
``RUNS/NAME-FRACTION/seedN``); steps that have ended are not repeated, nor mixed with other settings, and an
interrupted training goes on from its last checkpoint.  ``--jobs`` runs so many at once, each on a device of
its own where there are GPUs.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from queue import Queue

import yaml

BIN = Path(sys.executable).parent
PLUGIN = os.path.relpath(Path(__file__).resolve().parents[1] / "fairseq_vhm")
FINISHED, BEGUN = "finished", "begun"
LAST = "checkpoint_last.pt"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Job:
    """One run: a row at a scale with a seed and a share of the CLS pairs."""

    row: dict
    scale: dict
    data: Path
    folder: Path
    seed: int
    fraction: float

    @property
    def stages(self) -> list[tuple[str, dict]]:
        """Trainings in order: name of the folder below the run's, flags; the last one may have none."""
        stages = self.row.get("stages", [{}])
        named = [(stage.get("name", ""), stage.get("train", {})) for stage in stages]
        common = {**self.scale["train"], **self.row.get("train", {})}
        return [(name, {**common, **flags}) for name, flags in named]

    @property
    def common(self) -> list[str]:
        """What all of fairseq's commands are given."""
        return ["--user-dir", PLUGIN, "--task", self.scale.get("task", "cross_lingual_summarization")]

    def filled(self, text: str) -> str:
        """``text`` with ``DATA``, ``RUN``, ``SRC`` and ``TGT`` replaced by what they are in this run.

        Raises:
            SystemExit: neither DATA nor the scale says what the languages are.
        """
        languages = {"SRC": self.scale.get("source"), "TGT": self.scale.get("target")}
        values = {"DATA": self.data, "RUN": self.folder, **languages}

        def value(found: re.Match) -> str:
            if values[found[1]] is None:
                remedy = "prepare it with vhm prepare trio, or give the scale source and target"
                sys.exit(f"run.py: {self.data / MANIFEST}: names no languages; {remedy}")
            return str(values[found[1]])

        return re.sub(r"\b(DATA|RUN|SRC|TGT)\b", value, text)

    def flags(self, settings: dict) -> list[str]:
        """:func:`flags_of` the settings, texts filled; a path is one already."""
        texts = {name: value for name, value in settings.items() if isinstance(value, str)}
        return flags_of({**settings, **{name: self.filled(text) for name, text in texts.items()}})

    def command(self, line: str) -> list[str]:
        """A row's command line, in which a path with blanks stays one argument."""
        return [self.filled(part) for part in shlex.split(line)]


def flags_of(settings: dict) -> list[str]:
    """``{"latents": "none", "same-documents": True}`` as a command line; ``False`` leaves a flag out."""
    flags = []
    for name, value in settings.items():
        if value is not False and value is not None:
            flags += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return flags


def commands(job: Job) -> Iterator[tuple[Path, list[str], Path]]:
    """The steps of a run: the file that says that one has ended, its command, where its output goes."""
    before = None
    for name, settings in job.stages:
        folder = job.folder / name
        settings = {**settings, "seed": job.seed, "save-dir": folder}
        if job.fraction != 1:
            settings["cls-fraction"] = job.fraction
        if before is not None:
            settings["finetune-from-model"] = before / LAST
        command = ["fairseq-train", str(job.data), *job.common, *job.flags(settings)]
        yield folder / f"train.{FINISHED}", command, folder / "train.log"
        before = folder
    hypothesis = job.folder / "test.log"
    yield job.folder / f"generate.{FINISHED}", *_decoding(job, hypothesis)
    score = {"hyp": job.row.get("outputs", hypothesis), **job.scale["score"]}
    if "corpus" not in score:  # pairs of languages have files of their own
        score["json"] = job.folder / "scores.json"
    yield job.folder / f"score.{FINISHED}", ["vhm", "score", *job.flags(score)], job.folder / "scores.txt"


def _decoding(job: Job, log: Path) -> tuple[list[str], Path]:
    """``fairseq-generate``, or the row's own command, whose printing is no output."""
    if "command" in job.row:
        return job.command(job.row["command"]), job.folder / "command.log"
    best = {"path": job.folder / "checkpoint_best.pt"}
    generate = {**job.scale["generate"], **job.row.get("generate", {}), **best}
    return ["fairseq-generate", str(job.data), *job.common, *job.flags(generate)], log


def recorded(job: Job) -> Iterator[str]:
    """The commands as the marks of their ends hold them: the same wherever ``run.py`` is called from."""
    for _, command, _ in commands(replace(job, data=job.data.resolve(), folder=Path("RUN"))):
        yield shlex.join(command)


def check(job: Job) -> None:
    """Refuse a folder whose steps ended, or would go on, with other settings; an empty mark does not say.

    Raises:
        SystemExit: with what differs.
    """
    for (mark, _, _), now in zip(commands(job), recorded(job), strict=True):
        how, then = what_was_run(mark)
        if then and (others := differences(settings_of(then), settings_of(now))):
            told = "; ".join(others[:3]) + (f"; and {len(others) - 3} more" if others[3:] else "")
            step = f"{mark.parent}: {mark.stem} {how} with other settings"
            sys.exit(f"run.py: {step} ({told}); choose another --out")


def what_was_run(mark: Path) -> tuple[str, str]:
    """Whether a step ended, or a training began that has saved something; and the command that it was."""
    begun = mark.with_suffix(f".{BEGUN}")
    if mark.exists():
        return "ended", mark.read_text(encoding="utf-8").strip()
    if begun.exists() and (mark.parent / LAST).exists():
        return "began", begun.read_text(encoding="utf-8").strip()
    return "", ""


def settings_of(line: str) -> dict[str, str]:
    """A command line by flag, without where the plugin lies; what precedes all flags is under ``""``."""
    flag, values = "", {"": ""}
    for part in shlex.split(line):
        if part.startswith("--"):
            flag, values[part] = part, ""
        else:
            values[flag] = f"{values[flag]} {part}".strip()
    values.pop("--user-dir", None)
    return values


def differences(ended: dict[str, str], now: dict[str, str]) -> list[str]:
    """``--max-update 12, now 24`` for each flag."""
    changed = [flag for flag in {**ended, **now} if ended.get(flag) != now.get(flag)]
    was = {flag: f"{flag} {ended[flag]}".strip() if flag in ended else f"no {flag}" for flag in changed}
    return [f"{was[flag]}, now {now.get(flag, 'without') or 'given'}" for flag in changed]


def provide(job: Job) -> None:
    """Make the files that a row needs beside DATA, once for all of its runs."""
    for file, line in job.row.get("needs", {}).items():
        if not Path(job.filled(file)).exists():
            program, *arguments = job.command(line)
            print(shlex.join([program, *arguments]), flush=True)
            if subprocess.run([BIN / program, *arguments]).returncode:
                sys.exit(f"run.py: {program} failed; it was to make {job.filled(file)}")


def run(job: Job, device: str | None) -> None:
    """All steps of a run that have not ended yet.

    Raises:
        SystemExit: a step failed; its log is named.
    """
    environment = {**os.environ, **({} if device is None else {"CUDA_VISIBLE_DEVICES": device})}
    for (mark, command, log), told in zip(commands(job), recorded(job), strict=True):
        if mark.exists():
            continue
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"{job.folder}: {shlex.join(command)}", flush=True)
        training = command[0] == "fairseq-train"
        if training:
            mark.with_suffix(f".{BEGUN}").write_text(f"{told}\n", encoding="utf-8")
        mode = "a" if training else "w"
        with open(log, mode, encoding="utf-8") as file:
            done = subprocess.run(
                [BIN / command[0], *command[1:]], stdout=file, stderr=subprocess.STDOUT, env=environment
            )
        if done.returncode:
            sys.exit(f"run.py: {command[0]} failed; see {log}: {last_words(log)}")
        mark.write_text(f"{told}\n", encoding="utf-8")


def last_words(log: Path) -> str:
    """The last line of a log that has words, without the frame that some programs draw around them."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip("│ ") for line in reversed(lines) if re.search(r"\w", line)), "")


def read_yaml(path: Path, needed: Iterable[str] = ()) -> dict:
    """A row, a scale or a list.

    Raises:
        SystemExit: it cannot be read, or holds something else than :data:`KINDS` says.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        sys.exit(f"run.py: {path}: cannot be read: {' '.join(str(error).split())}")
    content = {} if content is None else content
    if problem := problem_of(content) or ", ".join(f"lacks {key}" for key in needed if key not in content):
        sys.exit(f"run.py: {path}: {problem}")
    return content


def problem_of(content: object) -> str | None:
    """What is wrong with settings; ``None`` where nothing is."""
    if not isinstance(content, dict):
        return "holds no settings by name"
    for name, value in content.items():
        if name in KINDS and not KINDS[name][1](value):
            return f"{name} has to be {KINDS[name][0]}"
    return next(filter(None, map(problem_of, content.get("stages", []))), None)


def _is_flags(value: object) -> bool:
    flat = str | int | float | None  # True and False are whole numbers to Python
    return isinstance(value, dict) and all(isinstance(one, flat) for pair in value.items() for one in pair)


def _is_command(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(shlex.split(value))
    except ValueError:
        return False


def _is_folder(value: object) -> bool:
    return isinstance(value, str) and value not in ("", ".", "..") and not set(value) & set("/\0")


def _is_commands(value: object) -> bool:
    return _is_flags(value) and all(map(_is_command, value.values()))


def _list_of(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and bool(value) and all(type(one) in kinds for one in value)


KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    **dict.fromkeys(("train", "generate", "score"), ("flags, with a value each", _is_flags)),
    "needs": ("files, with the command line that makes each", _is_commands),
    **dict.fromkeys(("task", "source", "target", "outputs"), ("text", lambda value: isinstance(value, str))),
    "command": ("a command line", _is_command),
    "name": ("the name of a folder", _is_folder),
    "stages": ("a list of stages", lambda value: isinstance(value, list) and bool(value)),
    "rows": ("a list of files", _list_of(str)),
    "fractions": ("a list of numbers", _list_of(int, float)),
    "seeds": ("a list of whole numbers", _list_of(int)),
}
"""What the settings of rows, scales and lists have to be; commands are run as they stand there."""


def with_languages(scale: dict, given: argparse.Namespace) -> dict:
    """The scale with the languages that DATA was prepared for; with its own, where DATA does not say.

    Raises:
        SystemExit: the scale says others.
    """
    try:
        prepared = json.loads((given.data / MANIFEST).read_text(encoding="utf-8"))["settings"]
        languages = {"source": prepared["source_lang"], "target": prepared["target_lang"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return scale  # of many languages, or not made by vhm prepare
    if any(scale.get(side, language) != language for side, language in languages.items()):
        said, has = (f"{one.get('source')} to {one.get('target')}" for one in (scale, languages))
        remedy = "leave source and target out of the scale, or prepare another DATA"
        sys.exit(f"run.py: {given.scale} says {said}, but {given.data} was prepared for {has}; {remedy}")
    return {**scale, **languages}


def jobs_of(given: argparse.Namespace) -> list[Job]:
    """Rows x fractions x seeds; a list's own, where the command line leaves them open."""
    scale = with_languages(read_yaml(given.scale, needed=("train", "generate", "score")), given)
    jobs = []
    for listed in given.rows:
        content = read_yaml(listed)
        rows = [listed.parent / name for name in content["rows"]] if "rows" in content else [listed]
        fractions = given.fractions or content.get("fractions", [1.0])
        seeds = given.seeds or content.get("seeds", [1])
        for share in fractions:
            if not 0 < share <= 1:
                sys.exit(f"run.py: fraction {share:g}: give a share, above 0 and at most 1; 0.1 is 10 %")
        for path, fraction, seed in product(rows, fractions, seeds):
            name = path.stem if fraction == 1 else f"{path.stem}-{fraction:g}"
            folder = given.out / name / f"seed{seed}"
            jobs.append(Job(read_yaml(path), scale, given.data, folder, seed, fraction))
    return jobs


def seeds(text: str) -> list[int]:
    """``1,2,3``; argparse names this function where it fails."""
    return [int(part) for part in text.split(",")]


def shares(text: str) -> list[float]:
    """``0.001,0.1``, likewise."""
    return [float(part) for part in text.split(",")]


def runs(text: str) -> int:
    """A number of them, likewise."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="+", type=Path, help="examples/table4/vhm.yaml, or a list")
    parser.add_argument("--scale", type=Path, required=True, help="examples/scales/*.yaml")
    parser.add_argument("--data", type=Path, required=True, help="as vhm prepare trio wrote it")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=seeds, help="such as 1,2,3,4,5; else the list's, or 1")
    drawn = "of the CLS pairs, such as 0.001,0.01,0.1; else the list's, or 1"
    parser.add_argument("--fractions", type=shares, help=drawn)
    parser.add_argument("--jobs", type=runs, default=1, help="runs at a time")
    given = parser.parse_args()
    devices: Queue[str | None] = Queue()
    for place in range(given.jobs):
        devices.put(str(place) if given.jobs > 1 and Path("/dev/nvidia0").exists() else None)

    def on_a_device(job: Job) -> None:
        device = devices.get()
        try:
            run(job, device)
        finally:
            devices.put(device)

    jobs = jobs_of(given)
    for job in jobs:
        check(job)
    for job in jobs:
        provide(job)
    with ThreadPoolExecutor(given.jobs) as pool:
        try:
            list(pool.map(on_a_device, jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    print(f"vhm report {given.out} --out {given.out / 'report'}")


if __name__ == "__main__":
    main()
