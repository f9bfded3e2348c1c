"""What it costs to sample the directions of updates, by the number of directions.

    python benchmarks/sampling.py [--updates 2000]

Peer: drawing each language with ``numpy.random.Generator.choice`` and its table of probabilities, one call a
draw, as samplers that work batch by batch do.  Counts: the table of the CrossSum repository
(``crosssum_pairs.tsv``), its largest 10 and 100 directions and all of them.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from fairseq_vhm.data.sampling import DirectionSampler, SampledPlan, Sampling, Streams

TABLE = Path(__file__).with_name("crosssum_pairs.tsv")
MULTISTAGE = Sampling("multistage", 0.5, 0.75, 0.25, 8)
MINI_BATCH = 32


def table() -> dict[tuple[str, str], int]:
    """Examples of each direction, the largest first."""
    lines = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    counts = {(source, target): int(count) for source, target, count in lines if count.isdecimal()}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def ours(counts: dict, updates: int) -> tuple[float, float]:
    """Seconds to make the plan, and seconds for its epoch's steps."""
    started = time.perf_counter()
    batches = tuple(-(-count // MINI_BATCH) for count in counts.values())
    streams = Streams("cls", tuple(range(len(counts))), batches)
    plan = SampledPlan((streams,), DirectionSampler(counts, MULTISTAGE), seed=1, epoch_updates=updates)
    made = time.perf_counter()
    plan.steps(2)
    return made - started, time.perf_counter() - made


def peer(counts: dict, updates: int) -> float:
    """Seconds for the same number of draws, one call each."""
    sampler, rng = DirectionSampler(counts, MULTISTAGE), np.random.default_rng(1)
    sides = [sampler.matrix, sampler.matrix.T]
    first = [side.sum(1) ** 0.5 / (side.sum(1) ** 0.5).sum() for side in sides]
    second = [side**0.75 / (side**0.75).sum(1, keepdims=True) for side in sides]
    started = time.perf_counter()
    for _ in range(updates):
        side = int(rng.random() < 0.5)
        language = rng.choice(len(first[side]), p=first[side])
        for _ in range(MULTISTAGE.micro_batches):
            rng.choice(len(second[side][language]), p=second[side][language])
    return time.perf_counter() - started


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows, counts = [], table()
    for size in (10, 100, len(counts)):
        some = dict(list(counts.items())[:size])
        made, drawn = ours(some, given.updates)
        other = peer(some, given.updates)
        batches = given.updates * MULTISTAGE.micro_batches
        rows.append(
            {
                "directions": size,
                "examples": sum(some.values()),
                "plan_ms": round(1e3 * made, 2),
                "us_a_mini_batch": round(1e6 * drawn / batches, 2),
                "peer_us_a_draw": round(1e6 * other / batches, 2),
                "ratio": round(other / drawn, 2),
            }
        )
        print("  ".join(f"{name} {value:,}" for name, value in rows[-1].items()))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
