"""Options that several subcommands share, each with one wording."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from fairseq_vhm.metrics.outputs import PostProcess
from fairseq_vhm.metrics.rouge import MultiReference
from fairseq_vhm.text.pretrained import DEVICES

PostProcessing = StrEnum("PostProcessing", {name: name for name in get_args(PostProcess)})
Several = StrEnum("Several", {name: name for name in get_args(MultiReference)})
DeviceName = StrEnum("DeviceName", {name: name for name in DEVICES})

References = Annotated[list[Path], typer.Option(help="References: lines or .jsonl; may be repeated.")]
Language = Annotated[str, typer.Option(help="Language of both: en, zh, de, zh_CN, en_sum, ...")]
Joining = Annotated[PostProcessing, typer.Option(help="How pieces of the outputs are joined to words.")]
Swapping = Annotated[
    bool, typer.Option("--swap-roles", help="ROUGE with output and reference exchanged.")
]
Combining = Annotated[Several, typer.Option(help="Of several references, the best or their mean.")]
Official = Annotated[bool, typer.Option("--official", help="ROUGE by the Perl script ROUGE-1.5.5.")]
Sources = Annotated[Path | None, typer.Option(help="Sources, a line each; for copy.")]
Json = Annotated[Path | None, typer.Option(help="Write all figures to this file.")]

MODELS = "Models of metrics"


def _model(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel=MODELS)


Encoder = Annotated[
    Path | None, _model("Folder of a BERT-like encoder; for bertscore and moverscore.")
]
EncoderLayer = Annotated[int | None, _model("Its layer; else what each metric takes.")]
Labse = Annotated[Path | None, _model("Folder of LaBSE; for lase.")]
Lid = Annotated[Path | None, _model("fastText's lid.176.bin; for lase and offtarget.")]
Device = Annotated[DeviceName, _model("Where models run.")]
BatchSize = Annotated[int, _model("Texts at a time.")]
Cache = Annotated[Path | None, _model("Folder that keeps sentence embeddings between runs.")]
