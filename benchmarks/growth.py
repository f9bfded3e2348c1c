"""How cost and memory grow: with vocabulary, length, size of the corpus, number of directions, and ranks.

    python benchmarks/growth.py --plot docs/img/growth.png --json benchmarks/results/growth.json

Each point of training (Base, one update of few mini-batches after a first one) and of opening is a process
of its own.  Opening is what a training run does with its data before the first update: read and check them,
cut mini-batches, plan the first update.  Ranks are processes of ``fairseq-train`` on this machine, each with
``--threads`` of its own, as far as there are cores; an update has the same pairs whatever their number.
``--only vocabulary,length`` draws some.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from data import SOURCES, TARGETS, in_trainer
from material import random_texts, write_data
from pairing import (
    ROOT,
    cpu_seconds,
    in_fresh_process,
    make_parser,
    memory_now,
    peak_memory,
    prepare,
    seconds_of,
    write_json,
)
from sampling import ours as sampling_cost
from sampling import table as directions_of_crosssum
from systems import Setting

from fairseq_vhm.data.pairs import Batching
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS
from fairseq_vhm.tables import Table

TRAIN = str(Path(__file__).with_name("train.py"))
SYSTEMS = ("vhm", "fairseq")
VOCABULARIES = (8_000, 32_000, 69_090, 108_700)
LENGTHS = (25, 50, 100, 200, 400)
WORDS_OF_SOURCES = 400
"""In a mini-batch, whatever their length; a target has three words for eight of its source."""
CORPORA = (10_000, 100_000, 1_000_000, 2_000_000)
DIRECTIONS = (10, 100, 1000, 1942)
MIB = 2**20
UPDATES, MAX_TOKENS = 1000, 4096
RANKS = (1, 2, 4, 8)
RANKS_PAIRS, RANKS_TOKENS, RANKS_UPDATES = 3000, 700, 4


def training(system: str, *flags) -> dict:
    """Cost and memory of a system's update, without what its state takes."""
    given = ["--pair", f"{system}:fairseq", "--alone", system, "--rounds", "1", *map(str, flags)]
    found = in_fresh_process(TRAIN, *given)
    return {
        "seconds_per_1000_words": found["seconds_per_1000_words"],
        "peak_mib": found["peak_bytes"] / MIB,
        "beyond_state_mib": (found["peak_bytes"] - found["state_bytes"]) / MIB,
    }


def by_vocabulary() -> list[dict]:
    """Training against the number of symbols."""
    return [
        {"vocabulary": size, "system": system, **training(system, "--vocab", size, "--sentences", 8)}
        for size in VOCABULARIES
        for system in SYSTEMS
    ]


def by_length() -> list[dict]:
    """Training against the words of a source."""
    rows = []
    for words in LENGTHS:
        sides = ["--sources", f"{words}-{words}", "--targets", "{0}-{0}".format(words * 3 // 8)]
        sides += ["--sentences", max(1, WORDS_OF_SOURCES // words)]
        rows += [{"words": words, "system": system, **training(system, *sides)} for system in SYSTEMS]
    return rows


def by_corpus() -> list[dict]:
    """Opening against the number of pairs."""
    rows = []
    for size in CORPORA:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "DATA"
            write_corpus(data, size)
            rows.append({"pairs": size, **in_fresh_process(__file__, "--open", str(data))})
    return rows


def open_corpus(data: Path) -> dict:
    """Seconds and memory that opening takes."""
    flags = ["--task", "cross_lingual_summarization", "--criterion", "elbo", "--max-tokens", MAX_TOKENS]
    system = in_trainer(Setting(data, "tiny"), flags)
    before = memory_now()
    seconds = seconds_of(cpu_seconds, first_update, system.task)
    return {"seconds": seconds, "mib": (peak_memory() - before) / MIB}


def write_corpus(folder: Path, pairs: int) -> None:
    """A third of the pairs for each task."""
    rng, vocabulary = np.random.default_rng(1), VOCABULARIES[0]
    count = pairs // len(TASKS)
    sides = (SOURCES, TARGETS)
    texts = {task: tuple(random_texts(rng, count, span, vocabulary) for span in sides) for task in TASKS}
    write_data(folder, texts, vocabulary)


def first_update(task) -> dict:
    """All that comes before the first update, and its mini-batches."""
    task.load_dataset("train", combine=False)
    steps = task.datasets["train"].steps(Batching(MAX_TOKENS, None, 8, 1))
    plan = steps.plan(str(task.cfg.task_schedule), task.ratio, seed=1)
    return steps.collater([steps[turn] for turn in next(plan.steps(1))])


def by_directions() -> list[dict]:
    """Multistage sampling against the number of directions."""
    counts, rows = directions_of_crosssum(), []
    for size in DIRECTIONS:
        made, drawn = sampling_cost(dict(list(counts.items())[:size]), UPDATES)
        rows.append({"directions": size, "plan_ms": 1e3 * made, "us_per_update": 1e6 * drawn / UPDATES})
    return rows


def by_ranks() -> list[dict]:
    """Training by several processes."""
    numbers = [ranks for ranks in RANKS if ranks <= (os.cpu_count() or 1)]
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder) / "DATA", RANKS_PAIRS)
        return [in_ranks(Path(folder), ranks, steps=numbers[-1] // ranks) for ranks in numbers]


RANKS_FLAGS = f"""
    --user-dir fairseq_vhm --task cross_lingual_summarization --arch vhm_transformer --criterion elbo
    --optimizer adam --lr 1e-4 --cpu --max-tokens {RANKS_TOKENS} --max-update {RANKS_UPDATES} --no-save
    --disable-validation --num-workers 0 --log-format json --log-interval 1
"""
GROUP_FLAGS = "--distributed-no-spawn --distributed-backend gloo --ddp-backend legacy_ddp"


def in_ranks(folder: Path, ranks: int, steps: int) -> dict:
    """Target tokens a second of all ranks, each of which takes ``steps`` of an update; not of the first."""
    program = Path(sys.executable).with_name("fairseq-train")
    command = [program, folder / "DATA", *RANKS_FLAGS.split(), "--update-freq", steps]
    meeting = free_address()
    started = [_start([*command, *_place(rank, ranks, meeting)]) for rank in range(ranks)]
    said = [process.communicate()[0].splitlines() for process in started]
    if any(process.returncode for process in started):
        raise UserError(f"{ranks} ranks of fairseq-train failed: {said[0][-1]}")
    lines = [line.split(" | ", 3)[-1] for line in said[0] if "| train_inner |" in line]
    speeds = [float(json.loads(line)["wps"]) for line in lines[1:]]
    return {"ranks": ranks, "tokens_per_second": statistics.median(speeds), "steps_per_update": steps}


def free_address() -> str:
    """Where ranks on this machine can meet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def _place(rank: int, ranks: int, meeting: str) -> list:
    """The flags that tell a process where it stands among the ranks."""
    if ranks == 1:
        return []
    group = ["--distributed-world-size", ranks, "--distributed-rank", rank]
    return [*group, "--distributed-init-method", meeting, *GROUP_FLAGS.split()]


def _start(command: list) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, text=True, **pipes)


PARTS = {
    "vocabulary": by_vocabulary,
    "length": by_length,
    "corpus": by_corpus,
    "directions": by_directions,
    "ranks": by_ranks,
}
AXES = {
    "vocabulary": ("vocabulary", "symbols", ("seconds_per_1000_words", "beyond_state_mib")),
    "length": ("words", "words of a source", ("seconds_per_1000_words", "beyond_state_mib")),
    "corpus": ("pairs", "pairs", ("seconds", "mib")),
    "directions": ("directions", "directions", ("us_per_update", "plan_ms")),
    "ranks": ("ranks", "ranks", ("tokens_per_second", "steps_per_update")),
}
NAMES = {
    "seconds_per_1000_words": "CPU s / 1,000 words",
    "beyond_state_mib": "MiB beyond the state",
    "seconds": "CPU s to open",
    "mib": "MiB to open",
    "us_per_update": "CPU us / update",
    "plan_ms": "ms to make the plan",
    "tokens_per_second": "target tokens / s",
    "steps_per_update": "steps of a rank in an update",
}


def plot(figures: dict[str, list[dict]], path: Path) -> None:
    """A column a part, cost above and memory below."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter

    figure, axes = plt.subplots(2, len(figures), figsize=(4 * len(figures), 6), squeeze=False)
    for column, (part, rows) in zip(axes.T, figures.items(), strict=True):
        key, label, measured = AXES[part]
        for axis, name in zip(column, measured, strict=True):
            draw(axis, rows, key, name)
            axis.set(xlabel=label, ylabel=NAMES[name], xscale="log", ylim=0)
            axis.set_xticks(sorted({row[key] for row in rows}))
            axis.xaxis.set_major_formatter(EngFormatter(places=0, sep=""))
            axis.minorticks_off()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def draw(axis, rows: list[dict], key: str, name: str) -> None:
    """A line for each system, where there are any."""
    for system in dict.fromkeys(row.get("system", "") for row in rows):
        mine = [row for row in rows if row.get("system", "") == system]
        axis.plot([row[key] for row in mine], [row[name] for row in mine], marker="o", label=system)
    if "system" in rows[0]:
        axis.legend(frameon=False)


def table(part: str, rows: list[dict]) -> Table:
    """The rows of a part as they are."""
    return Table(part, list(rows[0]), [[cell(value) for value in row.values()] for row in rows])


def cell(value: str | float) -> str:
    """A figure in as many digits as it deserves."""
    if isinstance(value, str):
        return value
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def main() -> None:
    """The command."""
    parser = make_parser(__doc__, rounds=None)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, joined by commas")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the figures here")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    prepare(given.threads)
    if given.open:
        print(json.dumps(open_corpus(given.open)))
        return
    names = given.only.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise UserError(f"--only {given.only}: '{unknown[0]}' is not one of {', '.join(PARTS)}")
    figures = {}
    for name in names:
        figures[name] = PARTS[name]()
        print(table(name, figures[name]).plain(), end="\n\n")
    write_json(given.json, __file__, figures, given.threads)
    if given.plot:
        plot(figures, given.plot)


if __name__ == "__main__":
    main()
