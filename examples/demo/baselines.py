"""Score on the demo's CLS test set what needs no model: a summarizer has to be far above it.

    python examples/demo/baselines.py OUT [--json]

OUT is the folder that corpus.py wrote. Rows: `constant`, the most frequent training summary for
every document; `random`, another training summary for each; `lead`, a correct Chinese translation
of each document's first sentence. Figures are ROUGE F1 x 100 on Chinese characters.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fairseq_vhm.metrics.rouge import score_rouge


def baselines(train: Sequence[str], leads: Sequence[str]) -> dict[str, list[str]]:
    """Outputs by name: a line for each of `leads`, from the training summaries or the leads."""
    constant, _ = Counter(train).most_common(1)[0]
    rng = random.Random(1)
    return {
        "constant": [constant] * len(leads),
        "random": [train[int(rng.random() * len(train))] for _ in leads],
        "lead": list(leads),
    }


def score(folder: Path) -> dict[str, dict[str, float]]:
    """F1 of ROUGE-1, -2 and -L in points, by baseline and metric."""

    def lines(name: str) -> list[str]:
        return (folder / name).read_text(encoding="utf-8").splitlines()

    references = [[line] for line in lines("cls.test.zh")]
    outputs = baselines(lines("cls.train.zh"), lines("cls.test.lead_zh"))
    return {
        row: {one.name: round(one.value, 2) for one in score_rouge(texts, references, "zh")}
        for row, texts in outputs.items()
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder written by corpus.py")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = score(given.out)
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    for row, scores in rows.items():
        print(f"{row:<10}" + "".join(f"{name} {value:6.2f}  " for name, value in scores.items()))


if __name__ == "__main__":
    main()
