"""``vhm card``: a model card and a citation file for a trained model; see ``docs/report.md``."""

from pathlib import Path
from typing import Annotated

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli.terminal import present


def command(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint, such as checkpoint_best.pt.")],
    scores: Annotated[
        list[Path] | None, options.option("A file of vhm score --json; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, options.option("Folder for the card; else the checkpoint's.", "--out")
    ] = None,
    data: Annotated[
        Path | None, options.option("Folder trained from; else the one that the checkpoint names.")
    ] = None,
    name: Annotated[str | None, options.option("Title; else the system by its settings.")] = None,
    license: Annotated[
        str | None, options.option("License of the weights as the hub names it, such as cc-by-4.0.")
    ] = None,
    overwrite: Annotated[
        bool, options.option("Replace a card that is there.", "--overwrite", "--force", panel=options.RUN)
    ] = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """README.md, which HuggingFace's hub reads, and CITATION.cff for a trained model.

    Examples:
        vhm card runs/vhm/checkpoint_best.pt --scores scores.json --license cc-by-4.0
    """
    from fairseq_vhm.card.build import build, check_out, write
    from fairseq_vhm.card.facts import gather

    out = checkpoint.parent if out is None else out
    check_out(out, overwrite)
    made = build(gather(checkpoint, scores or [], name, data), license)
    write(made, out)
    present(made.document, "\n".join(str(out / file) for file in made.texts), json, quiet)
