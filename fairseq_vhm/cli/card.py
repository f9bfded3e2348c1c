"""``vhm card``: a model card and a citation file for a trained model; see ``docs/report.md``."""

import json as json_format
from pathlib import Path
from typing import Annotated

import typer


def command(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint, such as checkpoint_best.pt.")],
    scores: Annotated[
        list[Path] | None, typer.Option(help="A file of vhm score --json; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the card (default: the checkpoint's).")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder trained from (default: the one that the checkpoint names).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Title (default: the system by its settings).")] = None,
    license: Annotated[
        str | None, typer.Option(help="License of the weights as the hub names it, such as cc-by-4.0.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a card that is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what the card says as JSON.")] = False,
) -> None:
    """README.md, which HuggingFace's hub reads, and CITATION.cff for a trained model."""
    from fairseq_vhm.card.build import build, check_out, write
    from fairseq_vhm.card.facts import gather

    out = checkpoint.parent if out is None else out
    check_out(out, force)
    made = build(gather(checkpoint, scores or [], name, data), license)
    write(made, out)
    if json:
        print(json_format.dumps(made.document, ensure_ascii=False, indent=2))
    else:
        print("\n".join(str(out / file) for file in made.texts))
