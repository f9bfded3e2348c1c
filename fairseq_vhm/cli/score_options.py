"""Options that the subcommands around scores share, each with one name and one wording."""

from pathlib import Path
from typing import Annotated

import typer

from fairseq_vhm.cli.options import option
from fairseq_vhm.metrics.base import MultiReference
from fairseq_vhm.metrics.evaluation import METRICS
from fairseq_vhm.metrics.pieces import PostProcess
from fairseq_vhm.metrics.significance import Correction, Tests
from fairseq_vhm.text import pretrained

MODELS = "Models"

REFERENCES = option("References: lines or .jsonl; may be repeated.")
LANGUAGE = option("Language of both: en, zh, de, zh_CN, en_sum, ...")
References = Annotated[list[Path], REFERENCES]
Language = Annotated[str, LANGUAGE]
Joining = Annotated[PostProcess, option("How pieces of the outputs are joined to words.")]
Swapping = Annotated[bool, option("ROUGE with output and reference exchanged.", "--swap-roles")]
Combining = Annotated[MultiReference, option("Of several references, the best or their mean.")]
Official = Annotated[bool, option("ROUGE by the Perl script ROUGE-1.5.5.", "--official")]
Sources = Annotated[Path | None, option("Sources, a line each; for copy.")]
Correcting = Annotated[Correction, option("Of p, for several comparisons.")]
Testing = Annotated[Tests, option("Paired bootstrap, paired t-test, or both.")]
Alpha = Annotated[float, option("Level of tests; intervals hold 1 less it.")]


def complete_metrics(incomplete: str) -> list[str]:
    """What the last name of a list such as ``rouge,bl`` may become."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in METRICS if name.startswith(last)]


def metrics(otherwise: str) -> typer.models.OptionInfo:
    """``--metrics``; ``otherwise`` says what is computed without it."""
    text = f"Of {','.join(METRICS)}; else {otherwise}."
    return option(text, autocompletion=complete_metrics)


Encoder = Annotated[
    Path | None, option("Folder of a BERT-like encoder; for bertscore and moverscore.", panel=MODELS)
]
EncoderLayer = Annotated[int | None, option("Its layer; else what each metric takes.", panel=MODELS)]
Labse = Annotated[Path | None, option("Folder of LaBSE; for lase.", panel=MODELS)]
Lid = Annotated[Path | None, option("fastText's lid.176.bin; for lase and offtarget.", panel=MODELS)]
Device = Annotated[pretrained.Device, option("Where models run.", panel=MODELS)]
BatchSize = Annotated[int, option("Texts at a time.", panel=MODELS)]
Cache = Annotated[Path | None, option("Folder that keeps embeddings between runs.", panel=MODELS)]
