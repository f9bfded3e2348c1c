"""Training curves of fairseq runs from their JSON logs (``--log-format json``), as a picture.

    python examples/demo/curves.py OUT.png NAME=TRAIN.LOG [NAME=TRAIN.LOG ...]
"""

import json
import sys
from pathlib import Path

LATENTS = ("mt", "ms", "cls")
COLOURS = {"mt": "tab:blue", "ms": "tab:orange", "cls": "tab:green"}
STYLES = ("-", "--", ":", "-.")


def read_log(path: Path) -> dict[str, list[dict[str, float]]]:
    """The points of a log by kind: ``train_inner`` and ``valid``, figures as numbers."""
    points: dict[str, list] = {"train_inner": [], "valid": []}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        head, brace, body = line.partition("{")
        kind = next((k for k in points if f"| {k} |" in head), None)
        if kind is None or not brace:
            continue
        try:
            figures = json.loads(brace + body)
        except ValueError:  # a line that is still being written
            continue
        prefix = "valid_" if kind == "valid" else ""
        points[kind].append({k.removeprefix(prefix): float(v) for k, v in figures.items() if v is not None})
    return points


def draw(runs: dict[str, Path], picture: Path) -> None:
    """NLL on validation, each latent's KL, and its weight, over the updates."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
    for (name, path), style in zip(runs.items(), STYLES, strict=False):
        points = read_log(path)
        for task in LATENTS:
            _line(left, points["valid"], f"nll_loss_{task}", f"{name}, {task}", COLOURS[task], style)
            _line(middle, points["train_inner"], f"kl_{task}", f"{name}, z_{task}", COLOURS[task], style)
        _line(right, points["train_inner"], "kl_weight", name, "black", style)
    left.set(title="validation NLL", xlabel="updates", ylabel="bits a token")
    middle.set(title="KL in training", xlabel="updates", ylabel="nats a sentence", yscale="log")
    right.set(title="weight of the KL", xlabel="updates", ylim=(0, None))
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)


def _line(axes, points: list[dict], key: str, label: str, colour: str, style: str) -> None:
    there = [p for p in points if key in p]
    if there and any(p[key] for p in there):
        x, y = [p["num_updates"] for p in there], [p[key] for p in there]
        axes.plot(x, y, style, color=colour, label=label)


if __name__ == "__main__":
    named = (argument.split("=", 1) for argument in sys.argv[2:])
    draw({name: Path(path) for name, path in named}, Path(sys.argv[1]))
