"""What it costs to evaluate outputs: seconds of each metric that needs no model, for 1,000 outputs.

    python benchmarks/score.py [--outputs 500] [--lang en]

Outputs share words and order with their references.  CPU time is that of all processes that take part.
"""

import os
import random
import time

from pairing import Spread, make_parser, prepare, take_turns, write_json

from fairseq_vhm.metrics.evaluation import evaluate
from fairseq_vhm.tables import Table

METRICS = ("rouge", "bleu", "chrf", "length")
WORDS, KEPT = 2000, 0.6


def texts(outputs: int, words: int, seed: int = 1) -> tuple[list[str], list[list[str]]]:
    """Outputs, and one reference each; a word of the reference is kept or another."""
    rng = random.Random(seed)
    known = ["".join(rng.choices("abcdefghiklmnoprstu", k=rng.randint(2, 9))) for _ in range(WORDS)]
    references = [rng.choices(known, k=words) for _ in range(outputs)]
    kept = [[word if rng.random() < KEPT else rng.choice(known) for word in text] for text in references]
    return [" ".join(text) for text in kept], [[" ".join(text)] for text in references]


def seconds_of_all() -> float:
    """User and system time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def measure(given) -> dict:
    """CPU and wall seconds of each metric in each round."""
    outputs, references = texts(given.outputs, given.words)
    work = {
        name: (lambda _, name=name: evaluate(outputs, references, given.lang, [name])) for name in METRICS
    }
    found = {}
    for kind, clock in (("cpu", seconds_of_all), ("wall", time.perf_counter)):
        seconds = take_turns(work, given.rounds, clock)
        for name, each in seconds.items():
            spread = Spread.of([1000 * s / given.outputs for s in each])
            found.setdefault(name, {})[f"{kind}_seconds_per_1000"] = spread
    return found


def main() -> None:
    """The command."""
    parser = make_parser(__doc__)
    parser.add_argument("--outputs", type=int, default=500)
    parser.add_argument("--words", type=int, default=20, help="words of an output")
    parser.add_argument("--lang", default="en", help="language of the outputs")
    given = parser.parse_args()
    prepare(given.threads)
    figures = measure(given)
    rows = [[name, *map(str, one.values())] for name, one in figures.items()]
    columns = ["metric", "CPU s / 1,000 outputs", "wall s / 1,000 outputs"]
    print(Table("Evaluation, median (least-most)", columns, rows).plain())
    write_json(given.json, __file__, figures, given.threads)


if __name__ == "__main__":
    main()
