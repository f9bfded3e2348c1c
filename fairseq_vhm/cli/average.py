"""``vhm average``: the mean of several checkpoints' weights."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    inputs: Annotated[list[Path], typer.Argument(help="checkpoints of one run")],
    output: Annotated[Path, typer.Option("--output", "-o", help="checkpoint to write")],
) -> None:
    """Average the weights of several checkpoints of one run.

    Example: vhm average runs/vhm/checkpoint_1.pt runs/vhm/checkpoint_2.pt --output runs/vhm/average.pt
    """
    import fairseq_vhm

    fairseq_vhm.register()
    from fairseq_vhm.checkpoints import average

    average(inputs, output)
    print(f"{output}: mean of {len(inputs)} checkpoints")
