"""What the data side of an update costs beside its computing: cutting, planning and loading mini-batches.

    python benchmarks/data.py [--pairs 20000] [--share 0.5]

Round robin over CLS, MT and MS, pairs of 30-50 and 10-20 words; and multistage sampling over the directions
of CrossSum's table (``crosssum_pairs.tsv``, ``--share`` of its examples, lengths log-normal as in CrossSum).
A round loads an update's mini-batches and trains on them; loading is in the process that trains.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from corpus_of_pairs import generate, read_counts
from fairseq.tasks import setup_task
from material import random_texts, write_data
from pairing import Spread, cpu_seconds, make_parser, prepare, ratios, seconds_of, take_turns, write_json
from systems import SIZES, InTrainer, Setting, configured

from fairseq_vhm.data.pairs import Batching
from fairseq_vhm.names import TASKS
from fairseq_vhm.tables import Table
from fairseq_vhm.tasks.many_to_many_config import sampling_of

SOURCES, TARGETS = (30, 50), (10, 20)
TIMES_USED, LENGTH = 4.0, 1.0
MICRO_BATCHES, MANY_TOKENS = 8, 4096
PLANNED = 200
"""Updates that are planned, and over which padding is counted."""


@dataclass
class Sampler:
    """A way to sample, with the system that trains on what it gives.

    Args:
        system: in fairseq's trainer.
        batching: limits of a mini-batch.
        plan: from the dataset of steps to the plan.
    """

    system: InTrainer
    batching: Batching
    plan: Callable

    def measure(self, rounds: int) -> dict:
        """All figures of it."""
        task = self.system.task
        seconds = {"opening": seconds_of(cpu_seconds, task.load_dataset, "train", False)}
        pairs, made = task.datasets["train"], []
        seconds["cutting"] = seconds_of(cpu_seconds, lambda: made.append(pairs.steps(self.batching)))
        steps, planned = made[0], []
        seconds["planning"] = seconds_of(cpu_seconds, lambda: planned.extend(self._planned(steps)))
        samples = [load(steps, turns) for turns in planned[: rounds + 1]]
        self.system.steps = [[sample] for sample in samples]
        turns = {"loading": lambda n: load(steps, planned[n]), "training": self.system.update}
        found = take_turns(turns, rounds, cpu_seconds)
        return {
            "pairs": len(pairs),
            "mini_batches": len(steps),
            "seconds": seconds,
            "planning_per_update": seconds["planning"] / len(planned),
            "update": found,
            "loading_share": Spread.of(ratios(found["loading"], found["training"])),
            "planning_share": seconds["planning"] / len(planned) / float(np.median(found["training"])),
            "padding": padding([load(steps, turns) for turns in planned[:PLANNED]], task.dictionary.pad()),
        }

    def _planned(self, steps) -> list:
        """What each step of the first epoch is made of."""
        return list(self.plan(steps).steps(1))


def load(steps, turns: list) -> dict:
    """The mini-batches of a step, collated."""
    return steps.collater([steps[turn] for turn in turns])


def padding(samples: list[dict], pad: int) -> dict[str, float]:
    """The share of pads among the tokens of each side, and of both."""
    batches = [batch for sample in samples for batch in sample["mini_batches"]]
    sides = {
        "source": [batch["net_input"]["src_tokens"] for batch in batches],
        "target": [batch["target"] for batch in batches],
    }
    sides["both"] = sides["source"] + sides["target"]
    return {
        side: sum(int(t.eq(pad).sum()) for t in tensors) / sum(t.numel() for t in tensors)
        for side, tensors in sides.items()
    }


def round_robin(given: argparse.Namespace, folder: Path) -> Sampler:
    """CLS, MT and MS, ``--pairs`` of each."""
    rng = np.random.default_rng(1)
    texts = {
        task: tuple(random_texts(rng, given.pairs, span, given.vocab) for span in (SOURCES, TARGETS))
        for task in TASKS
    }
    setting = Setting(write_data(folder, texts, given.vocab), given.size)
    flags = ["--task", "cross_lingual_summarization", "--criterion", "elbo", "--max-tokens", given.max_tokens]
    system = in_trainer(setting, flags)
    task = system.task

    def plan(steps):
        return steps.plan(str(task.cfg.task_schedule), task.ratio, seed=1)

    return Sampler(system, Batching(given.max_tokens, None, 8, 1), plan)


def multistage(given: argparse.Namespace, folder: Path) -> Sampler:
    """The directions of CrossSum."""
    folder.mkdir()
    generate(folder, read_counts(given.share), TIMES_USED, LENGTH)
    flags = ["--task", "many_to_many_summarization", "--latents", "none", "--sampling", "multistage"]
    flags += ["--criterion", "label_smoothed_cross_entropy", "--micro-batches", MICRO_BATCHES]
    flags += ["--min-pair-size", 1, "--max-tokens", MANY_TOKENS]
    system = in_trainer(Setting(folder, given.size), flags)

    def plan(steps):
        return steps.plan(sampling_of(system.task.cfg), seed=1, epoch_updates=PLANNED)

    return Sampler(system, Batching(MANY_TOKENS, None, 8, 1), plan)


def in_trainer(setting: Setting, flags: list) -> InTrainer:
    """A system of this project's that has no mini-batches yet."""
    arch = "vhm_transformer" + ("_tiny" if setting.size == "tiny" else "")
    cfg = configured(setting.data, setting, ["--arch", arch, *map(str, flags)])
    task = setup_task(cfg.task)
    return InTrainer(cfg, task, task.build_model(cfg.model), [], 1, setting.device)


def table(figures: dict) -> Table:
    """Both samplers."""
    columns = {
        "pairs": lambda one: f"{one['pairs']:,}",
        "cutting (s)": lambda one: f"{one['seconds']['cutting']:.2f}",
        "planning (us / update)": lambda one: f"{1e6 * one['planning_per_update']:.0f}",
        "loading (ms / update)": lambda one: f"{1e3 * np.median(one['update']['loading']):.2f}",
        "training (s / update)": lambda one: f"{np.median(one['update']['training']):.2f}",
        "planning (%)": lambda one: f"{100 * one['planning_share']:.3f}",
        "loading (%)": lambda one: f"{100 * one['loading_share'].median:.2f}",
        "padding, source (%)": lambda one: f"{100 * one['padding']['source']:.1f}",
        "target (%)": lambda one: f"{100 * one['padding']['target']:.1f}",
        "both (%)": lambda one: f"{100 * one['padding']['both']:.1f}",
    }
    rows = [[name, *(cell(one) for cell in columns.values())] for name, one in figures.items()]
    note = "CPU time, medians over the rounds; shares of training"
    return Table("Data", ["sampler", *columns], rows, [note])


def main() -> None:
    """The command."""
    parser = make_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=20_000, help="pairs of each task (round robin)")
    parser.add_argument("--share", type=float, default=0.5, help="share of CrossSum's examples (multistage)")
    parser.add_argument("--max-tokens", type=int, default=1024, help="of a mini-batch (round robin)")
    parser.add_argument("--vocab", type=int, default=8000, help="symbols (round robin)")
    parser.add_argument("--size", choices=SIZES, default="base")
    given = parser.parse_args()
    prepare(given.threads)
    figures = {}
    for make in (round_robin, multistage):
        with tempfile.TemporaryDirectory() as folder:
            figures[make.__name__] = make(given, Path(folder) / "DATA").measure(given.rounds)
    print(table(figures).plain())
    write_json(given.json, __file__, figures, given.threads)


if __name__ == "__main__":
    main()
