"""``vhm convert``: a checkpoint of VHM's released code to one of this plugin."""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer


def command(
    released: Annotated[Path, typer.Argument(help="checkpoint-step-NUMBER of the released code")],
    out: Annotated[Path, typer.Option(help="folder to make: checkpoint.pt and its dictionary")],
    vocab: Annotated[
        list[Path], typer.Option(help="its vocabulary file; twice: of source and target, which must be equal")
    ],
    source_lang: Annotated[str, typer.Option(help="language of the documents")],
    target_lang: Annotated[str, typer.Option(help="language of the summaries")],
    without_latents: Annotated[
        bool,
        typer.Option(
            "--without-latents", help="leave latents and Eq. 8 out, as the released beam search does"
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print what was converted as JSON")] = False,
) -> None:
    """Convert a checkpoint of the released code (XL2248/VHM) so that fairseq decodes with it.

    Example: vhm convert zhen/checkpoint-step-400000 --vocab vocab.shared.zhen.txt --source-lang zh
    --target-lang en --out converted
    """
    import fairseq_vhm

    fairseq_vhm.register()
    logging.getLogger("hydra").setLevel(logging.WARNING)
    from fairseq_vhm.conversion.convert import CHECKPOINT, Conversion, convert

    settings = Conversion(released, tuple(vocab), source_lang, target_lang, out, not without_latents)
    report = convert(settings)
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
        return
    print(f"{out / CHECKPOINT}: {report['parameters']:,} parameters, {report['symbols']:,} symbols")
    for name in ("symbols that no text can hold", "one table for source and target", "latents"):
        print(f"  {name}: {report[name]}")
