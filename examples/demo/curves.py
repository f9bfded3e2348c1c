"""Training curves of fairseq runs from their logs, as a picture; ``vhm report`` draws them too.

    python examples/demo/curves.py OUT.png NAME=TRAIN.LOG [NAME=TRAIN.LOG ...]
"""

import sys
from pathlib import Path

from fairseq_vhm.report import logs
from fairseq_vhm.report.figures import Named, training_figure


def read_log(path: Path) -> dict[str, list[dict[str, float]]]:
    """The points of a log by kind: ``train_inner``, ``train`` and ``valid``, figures as numbers."""
    return logs.read_log(path).points


def draw(runs: dict[str, Path], picture: Path) -> None:
    """NLL, each latent's KL, its weight and active units over the updates; PNG, or SVG by its ending."""
    named = [Named(name, name, logs.read_log(path)) for name, path in runs.items()]
    figure = training_figure(picture.stem, "Training", named)
    if figure is None:
        sys.exit(f"curves: no figures yet in {', '.join(map(str, runs.values()))}")
    picture.write_bytes(figure.svg if picture.suffix == ".svg" else figure.png)


if __name__ == "__main__":
    named = (argument.split("=", 1) for argument in sys.argv[2:])
    draw({name: Path(path) for name, path in named}, Path(sys.argv[1]))
