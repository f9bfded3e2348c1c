"""``vhm average``: the mean of several checkpoints' weights."""

from pathlib import Path
from typing import Annotated

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli.terminal import present
from preprocess.progress import show_progress


def command(
    inputs: Annotated[list[Path], typer.Argument(help="Checkpoints of one run.")],
    out: Annotated[Path, options.option("Checkpoint to write.", "--out", "--output", "-o")],
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Average the weights of several checkpoints of one run.

    Examples:
        vhm average runs/vhm/checkpoint_1.pt runs/vhm/checkpoint_2.pt --out runs/vhm/average.pt
    """
    import fairseq_vhm

    fairseq_vhm.register()
    from fairseq_vhm.checkpoints import average

    with show_progress(quiet) as progress:
        average(inputs, out, progress.track)
    account = {"checkpoint": str(out), "mean_of": [str(path) for path in inputs]}
    present(account, f"{out}: mean of {len(inputs)} checkpoints", json, quiet)
