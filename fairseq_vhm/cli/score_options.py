"""Options that the subcommands around scores share, each with one name and one wording."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from fairseq_vhm.cli.options import choice, option
from fairseq_vhm.metrics.base import MultiReference
from fairseq_vhm.metrics.evaluation import METRICS
from fairseq_vhm.metrics.outputs import PostProcess
from fairseq_vhm.metrics.significance import Correction, Tests
from fairseq_vhm.text.pretrained import DEVICES

MODELS = "Models"

PostProcessing = choice("PostProcessing", get_args(PostProcess))
Several = choice("Several", get_args(MultiReference))
DeviceName = choice("DeviceName", DEVICES)
PairedTests = choice("PairedTests", get_args(Tests))
Corrected = choice("Corrected", get_args(Correction))

References = Annotated[list[Path], option("References: lines or .jsonl; may be repeated.")]
Language = Annotated[str, option("Language of both: en, zh, de, zh_CN, en_sum, ...")]
Joining = Annotated[PostProcessing, option("How pieces of the outputs are joined to words.")]
Swapping = Annotated[bool, option("ROUGE with output and reference exchanged.", "--swap-roles")]
Combining = Annotated[Several, option("Of several references, the best or their mean.")]
Official = Annotated[bool, option("ROUGE by the Perl script ROUGE-1.5.5.", "--official")]
Sources = Annotated[Path | None, option("Sources, a line each; for copy.")]
Correcting = Annotated[Corrected, option("Of p, for several comparisons.")]
Testing = Annotated[PairedTests, option("Paired bootstrap, paired t-test, or both.")]
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
Device = Annotated[DeviceName, option("Where models run.", panel=MODELS)]
BatchSize = Annotated[int, option("Texts at a time.", panel=MODELS)]
Cache = Annotated[Path | None, option("Folder that keeps embeddings between runs.", panel=MODELS)]
