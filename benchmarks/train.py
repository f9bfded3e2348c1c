"""What a training update costs: systems in turn on the same mini-batches.

    python benchmarks/train.py --pair vhm:mt_ms_cls --pair vhm:fairseq
    python benchmarks/train.py --pair vhm:released --released ../VHM --vocab 69090
    python benchmarks/train.py --pair vhm:vhm --ours-b "--latent-dim 256"
    python benchmarks/train.py --pair vhm:fairseq --device cuda --bf16 --sentences 512

An update is a mini-batch each of CLS, MT and MS, forward and backward, and the optimizer's step.  Cost is
given for 1,000 words of source and target, each counted once, without tags, EOS and padding.  Beside the
ratio of costs stands that of the multiply-adds, counted in the first update, which is not timed.  Memory is
that of a process of its own, beyond what its imports hold.
"""

import argparse
import json
import sys

import torch
from comparison import WARM_UP, Comparison, pair_row, pairs_table, parser_of
from pairing import (
    Spread,
    clock_of,
    in_fresh_process,
    memory_now,
    peak_memory,
    seconds_of,
    take_turns,
    write_json,
)
from systems import System, parameters

from fairseq_vhm.planning.multiply_adds import multiply_adds
from fairseq_vhm.tables import Table

PRODUCT = 8192
"""Side of the matrices whose product says what the hardware reaches at most."""
FP32 = 4
"""Bytes of a number."""


def measure(wanted: Comparison) -> dict:
    """Costs, multiply-adds and their ratios."""
    material, systems = wanted.build(list(wanted.systems))
    work = {label: multiply_adds(lambda s=system: s.update(0)) for label, system in systems.items()}
    updates = {label: _after_warm_up(system) for label, system in systems.items()}
    seconds = take_turns(updates, wanted.given.rounds, clock_of(wanted.given.device), warm_up=0)
    words = material.words[WARM_UP:]
    found = {
        label: {
            "seconds": seconds[label],
            "seconds_per_1000_words": per_1000_words(seconds[label], words),
            "multiply_adds_per_word": work[label] / material.words[0],
            "parameters": parameters(system),
        }
        for label, system in systems.items()
    }
    pairs = [with_work(pair, work) for pair in wanted.ratios(seconds)]
    return {"words": words, "systems": found, "pairs": pairs}


def _after_warm_up(system: System):
    return lambda number: system.update(WARM_UP + number)


def per_1000_words(seconds: list[float], words: list[int]) -> Spread:
    """Cost by content, over the rounds."""
    return Spread.of([1000 * s / w for s, w in zip(seconds, words, strict=True)])


def with_work(pair: dict, work: dict[str, int]) -> dict:
    """A pair with the ratio of its multiply-adds, and by what share the cost's is beyond it."""
    first, second = (work[label] for label in pair["pair"])
    beyond = pair["cost_ratio"].median / (first / second) - 1
    return pair | {"multiply_adds_ratio": first / second, "beyond_multiply_adds": beyond}


# ---- memory and the hardware's peak ------------------------------------------------------------


def alone(wanted: Comparison, label: str) -> dict:
    """Memory and cost of one system, in a process that does nothing else.

    ``state_bytes``: parameters, gradients and Adam's two moments in fp32.
    """
    device = wanted.given.device
    before = memory_now() if device == "cpu" else 0
    material, systems = wanted.build([label])
    system = systems[label]
    system.update(0)
    seconds = seconds_of(clock_of(device), system.update, 1)
    return {
        "peak_bytes": peak_memory(device) - before,
        "state_bytes": 4 * FP32 * parameters(system),
        "seconds_per_1000_words": 1000 * seconds / material.words[1],
    }


def add_memory(figures: dict, flags: list[str]) -> None:
    """Measure each system in a process of its own."""
    for label, system in figures["systems"].items():
        found = in_fresh_process(__file__, *flags, "--alone", label)
        system |= {name: found[name] for name in ("peak_bytes", "state_bytes")}


def matrix_peak() -> float:
    """Multiply-adds a second of one large bf16 product on the GPU."""
    left, right = (torch.randn(PRODUCT, PRODUCT, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return PRODUCT**3 / min(seconds_of(clock_of("cuda"), torch.mm, left, right) for _ in range(10))


def add_share_of_peak(figures: dict, peak: float) -> None:
    """What share of the hardware's matrix rate each system reaches."""
    figures["matrix_peak"] = peak
    for system in figures["systems"].values():
        rate = system["multiply_adds_per_word"] * 1000 / system["seconds_per_1000_words"].median
        system["share_of_peak"] = rate / peak


# ---- on screen ---------------------------------------------------------------------------------


def systems_table(figures: dict) -> Table:
    """Cost, work and memory of each system."""
    columns = {
        "s / 1,000 words": lambda one: str(one["seconds_per_1000_words"]),
        "G multiply-adds / 1,000 words": lambda one: f"{one['multiply_adds_per_word'] / 1e6:.1f}",
        "parameters (M)": lambda one: f"{one['parameters'] / 1e6:.2f}",
        "peak memory (MiB)": lambda one: mebibytes(one.get("peak_bytes")),
        "of it state": lambda one: mebibytes(one.get("state_bytes")),
    }
    if "matrix_peak" in figures:
        columns["of the matrix peak (%)"] = lambda one: f"{100 * one['share_of_peak']:.1f}"
    rows = [[label, *(cell(one) for cell in columns.values())] for label, one in figures["systems"].items()]
    return Table("Training, median (least-most)", ["system", *columns], rows)


def mebibytes(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:,.0f}"


def work_cells(pair: dict) -> list[str]:
    """The ratio of multiply-adds, and what cost is beyond it, in per cent."""
    return [f"{pair['multiply_adds_ratio']:.3f}", f"{100 * pair['beyond_multiply_adds']:+.1f}"]


def main() -> None:
    """The command."""
    parser = parser_of(__doc__)
    parser.add_argument("--no-memory", action="store_true", help="leave out memory: a process a system")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    wanted = Comparison.of(given)
    if given.alone:
        print(json.dumps(alone(wanted, given.alone)))
        return
    figures = measure(wanted)
    if not given.no_memory:
        add_memory(figures, sys.argv[1:])
    if given.device == "cuda":
        add_share_of_peak(figures, matrix_peak())
    rows = [pair_row(pair) + work_cells(pair) for pair in figures["pairs"]]
    print(systems_table(figures).plain(), end="\n\n")
    print(pairs_table(rows, ("multiply-adds", "beyond (%)")).plain())
    write_json(given.json, __file__, figures, given.threads)


if __name__ == "__main__":
    main()
