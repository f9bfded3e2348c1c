"""The installed package at work: ``python tests/smoke.py`` in any environment that has it, in any folder.

``vhm doctor``, then prepare, train two updates, generate and score a corpus of a few invented lines, by the
commands of this Python's environment.  Ends in an error where one does.
"""

import os
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import fairseq_vhm

REPOSITORY = Path(__file__).resolve().parents[1]
SIZES = {"train": 40, "valid": 6, "test": 6}
SUFFIXES = {"cls": ("en", "de"), "mt": ("en", "de"), "ms": ("en", "en_sum")}
PREPARE = shlex.split("prepare trio DATA --source-lang en --target-lang de --vocab-size 24 --quiet")
TASK = shlex.split("--task cross_lingual_summarization --cpu")
TRAIN = shlex.split("""
    --arch vhm_transformer_tiny --criterion elbo --optimizer adam --lr 0.001 --max-tokens 400 --max-update 2
    --num-workers 0 --save-dir run
""")
WORDS = ("rain", "river", "bridge", "school", "market", "storm")


def command(folder: Path, name: str, *arguments: object) -> str:
    """What a command prints; its own errors are shown."""
    program = [Path(sys.executable).parent / name, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(program, cwd=folder, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return done.stdout


def write_corpus(folder: Path) -> None:
    draw = random.Random(1)
    for task, suffixes in SUFFIXES.items():
        for split, size in SIZES.items():
            documents = [draw.choices(WORDS, k=9) for _ in range(size)]
            texts = documents, [document[:3] for document in documents]
            for suffix, lines in zip(suffixes, texts, strict=True):
                path = folder / f"{task}.{split}.{suffix}"
                path.write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")


def main(folder: Path) -> None:
    """Every step in ``folder``."""
    package = Path(fairseq_vhm.__file__).resolve().parent
    if package.parent == REPOSITORY:
        sys.exit(f"fairseq_vhm is the clone's own ({package}): install the wheel and run this there")
    plugin = ["--user-dir", package]
    print(command(folder, "vhm", "doctor"))
    write_corpus(folder)
    command(folder, "vhm", *PREPARE, *(part for t in SUFFIXES for part in (f"--{t}", f"lines:{t}")))
    command(folder, "fairseq-train", "DATA", *plugin, *TASK, *TRAIN)
    log = command(folder, "fairseq-generate", "DATA", *plugin, *TASK, "--path", "run/checkpoint_last.pt")
    (folder / "test.log").write_text(log, encoding="utf-8")
    score = ("score", "--hyp", "test.log", "--ref", "cls.test.de", "--lang", "de")
    print(command(folder, "vhm", *score))
    print(f"fairseq_vhm {fairseq_vhm.__version__} of {package}: prepared, trained, generated, scored")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
