"""The commands that are disturbed, each on toy data, and what they leave under final names.

A name that begins with a dot, or ends in ``.tmp``, is not final: what stands there may be half-written.
"""

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aligned
import numpy as np
import tiny
import tiny_encoders
import torch
from aligned import Page
from commands import training

SIZES = {
    "cls": {"train": 60, "valid": 12, "test": 13},
    "mt": {"train": 100, "valid": 12, "test": 13},
    "ms": {"train": 40, "valid": 12, "test": 13},
}
UPDATES, INTERVAL = 15, 4
"""Updates of a training run (two epochs and a half), and between two of its saves."""

WIDTHS = ["--encoder-embed-dim", 64, "--decoder-embed-dim", 64]  # writing takes a while
SAVING = ["--save-interval-updates", INTERVAL, "--keep-interval-updates", 2]

Content = Mapping[str, str]
"""Digest of each file under a final name; an error's text where it is no whole file."""


@dataclass(frozen=True)
class Job:
    """A command that writes into a folder of its own.

    Args:
        argv: from the folder to the command and its arguments.
        content: from the folder to what stands there under final names.
    """

    argv: Callable[[Path], list]
    content: Callable[[Path], Content]


def training_job(data: Path, *flags) -> Job:
    """``fairseq-train`` with saves every few updates and at the ends of epochs."""

    def argv(folder: Path) -> list:
        return ["fairseq-train", *training(data, folder, *WIDTHS, *SAVING, *flags, updates=UPDATES)]

    return Job(argv, checkpoints)


def preparing_job(corpus: Path) -> Job:
    """``vhm prepare trio``."""
    inputs = [part for task in tiny.LANGUAGES for part in (f"--{task}", f"lines:{corpus / task}")]
    flags = ["--source-lang", "en", "--target-lang", "zh", "--vocab-size", 60, "--workers", 1, "--quiet"]
    return Job(lambda folder: ["vhm", "prepare", "trio", folder / "DATA", *inputs, *flags], files)


def aligning_job(pages: Path, model: Path) -> Job:
    """``vhm align``, which embeds and searches in many steps."""
    flags = ["--batch-size", 4, "--shard", 5, "--device", "cpu", "--quiet"]

    def argv(folder: Path) -> list:
        return ["vhm", "align", pages, "--labse", model, "--out", folder / "out", *flags]

    return Job(argv, lambda folder: files(folder / "out"))


def scoring_job(folder_of_texts: Path) -> Job:
    """``vhm score`` with a file of results."""
    texts = ["--hyp", folder_of_texts / "hyp", "--ref", folder_of_texts / "ref", "--lang", "en"]
    return Job(lambda folder: ["vhm", "score", *texts, "--json", folder / "scores.json"], files)


# ---- material ----------------------------------------------------------------------------------


def make_jobs(folder: Path) -> dict[str, Job]:
    """All of them, with their material below a folder."""
    tiny.write_corpus(folder, SIZES)
    data = tiny.binarise(folder, SIZES)
    train = training_job(data)
    return {
        "training": train,
        "checkpoint writing": train,
        "preparation": preparing_job(write_lines(folder / "lines")),
        "alignment": aligning_job(
            write_pages(folder / "xlsum"), tiny_encoders.sentence_transformer(folder / "labse")
        ),
        "scoring": scoring_job(write_outputs(folder / "outputs")),
    }


def write_lines(folder: Path, seed: int = 5) -> Path:
    """Line-aligned texts of all tasks, as ``vhm prepare trio`` reads them."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 6))) for _ in range(80)]
    folder.mkdir()
    for task, languages in tiny.LANGUAGES.items():
        for split, size in SIZES[task].items():
            for language in languages:
                lines = [" ".join(draw.choices(words, k=12)) + "\n" for _ in range(size)]
                (folder / f"{task}.{split}.{language}").write_text("".join(lines), encoding="utf-8")
    return folder


def write_pages(folder: Path, count: int = 12, seed: int = 7) -> Path:
    """Articles of three languages whose summaries a model has to embed."""
    draw, words = random.Random(seed), tiny_encoders.WORDS
    pages = [
        Page(language, str(n), np.ones(1), summary=" ".join(draw.choices(words, k=6)))
        for language in ("en", "fr", "zh-CN")
        for n in range(count)
    ]
    return aligned.write(folder, pages)


def write_outputs(folder: Path, count: int = 400, seed: int = 9) -> Path:
    """``hyp`` and ``ref``: outputs and references."""
    draw = random.Random(seed)
    folder.mkdir()
    for name in ("hyp", "ref"):
        lines = [" ".join(draw.choices(tiny_encoders.WORDS, k=15)) + "\n" for _ in range(count)]
        (folder / name).write_text("".join(lines), encoding="utf-8")
    return folder


# ---- what they leave ---------------------------------------------------------------------------


def files(folder: Path) -> Content:
    """Digest of every file under a final name."""
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    final = [name for name in found if not any(part.startswith(".") for part in name.parts)]
    return {str(name): hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in final}


def checkpoints(folder: Path) -> Content:
    """Digest of parameters, optimizer and number of updates of every checkpoint."""
    return {path.name: digest_of(path) for path in sorted(folder.glob("*.pt"))}


def digest_of(path: Path) -> str:
    """That of one checkpoint; ``broken: ...`` where it does not load."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch says of a file that is none
        return f"broken: {type(error).__name__}"
    return f"{updates_of(state)} {_digest((state['model'], state['last_optimizer_state']))}"


def updates_of(state: dict) -> int:
    """Updates that the parameters of a checkpoint have had."""
    return state["optimizer_history"][-1]["num_updates"]


def _digest(value) -> str:
    hasher = hashlib.sha256()
    for leaf in _leaves(value):
        hasher.update(leaf.numpy().tobytes() if isinstance(leaf, torch.Tensor) else repr(leaf).encode())
    return hasher.hexdigest()


def _leaves(value):
    if isinstance(value, Mapping):
        value = [part for item in value.items() for part in item]
    if isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
