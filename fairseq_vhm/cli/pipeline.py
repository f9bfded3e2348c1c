"""``vhm pipeline``: translate then summarise, summarise then translate, with any two models."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli.commands import EXAMPLES, Group
from fairseq_vhm.cli.options import RUN, option
from fairseq_vhm.cli.score_options import Device
from fairseq_vhm.cli.terminal import present
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS
from fairseq_vhm.pipeline.segmentation import KINDS, OWN
from fairseq_vhm.pipeline.settings import (
    BEAM,
    CHUNK,
    LENGTH_PENALTY,
    MAX_SOURCE,
    MAX_TOKENS,
    SENTENCES,
    PipelineSettings,
    Search,
)
from fairseq_vhm.text.pretrained import choose_device
from preprocess.progress import show_progress

app = Group()

_TEXT, _MT, _MS, _SEARCH = "Texts", "Translator", "Summarizer", "Search"
_GEN_ARGS = (
    "Further settings of its search by fairseq's names, such as '{\"max_len_b\": 60}', or for a folder by"
    " transformers', such as '{\"max_length\": 60}'."
)
_MODEL = "Checkpoint of fairseq (several joined by : are an ensemble), or the folder of a HuggingFace model"
_DATA = "The folder that a checkpoint of fairseq was trained on."
_TRANSLATE_FIRST, _SUMMARIZE_FIRST = "translate-then-summarize", "summarize-then-translate"

Input = Annotated[str, option("Documents, one a line; - for stdin.", metavar="FILE", panel=_TEXT)]
Mt = Annotated[str, option(f"{_MODEL}.", metavar="PATH", panel=_MT)]
MtData = Annotated[Path | None, option(_DATA, panel=_MT)]
MtTask = Annotated[
    str, option("What a checkpoint of several tasks is to do.", values=TASKS, panel=_MT)
]
MtSegmentation = Annotated[str, option(f"{KINDS}.", metavar="KIND", panel=_MT)]
MtGenArgs = Annotated[str | None, option(_GEN_ARGS, metavar="JSON", panel=_MT)]
Kind = Annotated[Literal["lexrank"] | None, option("A summarizer without a checkpoint.", panel=_MS)]
Sentences = Annotated[int, option("Sentences that lexrank takes.", min=1, panel=_MS)]
Ms = Annotated[str | None, option(f"{_MODEL}; in place of --summarizer.", metavar="PATH", panel=_MS)]
MsData = Annotated[Path | None, option(_DATA, panel=_MS)]
MsTask = Annotated[
    str, option("What a checkpoint of several tasks is to do.", values=TASKS, panel=_MS)
]
MsSegmentation = Annotated[str, option(f"{KINDS}.", metavar="KIND", panel=_MS)]
MsGenArgs = Annotated[str | None, option(_GEN_ARGS, metavar="JSON", panel=_MS)]
Beam = Annotated[int, option("Beam size.", min=1, panel=_SEARCH)]
Lenpen = Annotated[float, option("Length penalty: scores are divided by length ** this.", panel=_SEARCH)]
MaxTokens = Annotated[
    int, option("Source tokens in a batch; a longer text goes alone.", min=1, panel=_SEARCH)
]
MaxSource = Annotated[
    int, option("Input tokens that a HuggingFace model reads at most.", min=8, panel=_SEARCH)
]
Chunk = Annotated[int, option("Documents that are finished and kept at a time.", min=1, panel=RUN)]
Cpu = Annotated[bool, option("The same as --device cpu, by fairseq's name.", "--cpu", panel=RUN)]
Fp16 = Annotated[bool, option("Half precision.", "--fp16", panel=RUN)]


@app.callback()
def pipeline() -> None:
    """Two-step baselines: each step by a model of fairseq or HuggingFace, or LexRank as summarizer.

    A killed run goes on when the command is repeated.
    """


def _help(what: str, name: str) -> str:
    example = f"vhm pipeline {name} --input test.en --source-lang en --target-lang zh --out getran"
    models = "--mt mt/checkpoint_best.pt --mt-data DATA --summarizer lexrank"
    return f"{what}{EXAMPLES}    {example} \\\n        {models}"


@app.command(
    _SUMMARIZE_FIRST, help=_help("Summarise each document, then translate the summary.", _SUMMARIZE_FIRST)
)
@app.command(
    _TRANSLATE_FIRST, help=_help("Translate each document, then summarise the translation.", _TRANSLATE_FIRST)
)
def two_steps(
    ctx: typer.Context,
    input: Input,
    out: options.Out,
    source_lang: options.SourceLang,
    target_lang: options.TargetLang,
    mt: Mt,
    mt_data: MtData = None,
    mt_task: MtTask = "mt",
    mt_segmentation: MtSegmentation = OWN,
    mt_gen_args: MtGenArgs = None,
    summarizer: Kind = None,
    sentences: Sentences = SENTENCES,
    ms: Ms = None,
    ms_data: MsData = None,
    ms_task: MsTask = "ms",
    ms_segmentation: MsSegmentation = OWN,
    ms_gen_args: MsGenArgs = None,
    beam: Beam = BEAM,
    lenpen: Lenpen = LENGTH_PENALTY,
    max_source: MaxSource = MAX_SOURCE,
    max_tokens: MaxTokens = MAX_TOKENS,
    chunk: Chunk = CHUNK,
    device: Device = "auto",
    cpu: Cpu = False,
    fp16: Fp16 = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    if (summarizer is None) == (ms is None):
        raise UserError("give either --summarizer lexrank or a checkpoint with --ms")
    _prepare_fairseq()
    choose_device(device)  # refuses a GPU that is not there
    on_cpu = cpu or device == "cpu"
    search = Search(beam, lenpen, max_source, max_tokens, on_cpu, fp16)
    translator = search.settings_of("mt", mt, mt_data, mt_task, mt_segmentation, mt_gen_args)
    summarizing = None
    if ms is not None:
        summarizing = search.settings_of("ms", ms, ms_data, ms_task, ms_segmentation, ms_gen_args)
    settings = PipelineSettings(
        translate_first=ctx.info_name == _TRANSLATE_FIRST,
        input=input,
        out=out,
        source_lang=source_lang,
        target_lang=target_lang,
        translator=translator,
        summarizer=summarizing,
        sentences=sentences,
        chunk=chunk,
    )
    _run(settings, overwrite, quiet, json)


def _prepare_fairseq() -> None:
    import fairseq_vhm

    fairseq_vhm.register()
    for name in ("fairseq", "fairseq_vhm"):
        logging.getLogger(name).setLevel(logging.WARNING)  # every chunk would log its batches


def _run(settings: PipelineSettings, overwrite: bool, quiet: bool, json: Path | None) -> None:
    from fairseq_vhm.pipeline.run import run_pipeline

    with show_progress(quiet) as progress:
        report, is_new = run_pipeline(settings, overwrite, progress)
    lines = [f"{settings.out}: {', '.join(report['files'])}" + ("" if is_new else " (done already)")]
    lines += [f"  {name}: {count:,}" for name, count in report["counts"].items()]
    present(report, "\n".join(lines), json, quiet)
