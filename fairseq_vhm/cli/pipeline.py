"""``vhm pipeline``: translate then summarise, summarise then translate, with any two models."""

import json
import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fairseq_vhm.errors import UserError
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
from preprocess.progress import show_progress

app = typer.Typer(no_args_is_help=True)

_TEXT, _MT, _MS, _SEARCH, _RUN = "Texts", "Translator", "Summarizer", "Search", "Run"
_GEN_ARGS = (
    "Further settings of its search by fairseq's names, such as '{\"max_len_b\": 60}', or for a folder by"
    " transformers', such as '{\"max_length\": 60}'."
)
_MODEL = "Checkpoint of fairseq (several joined by : are an ensemble), or the folder of a HuggingFace model"
_DATA = "The folder that a checkpoint of fairseq was trained on."
_TRANSLATE_FIRST = "translate-then-summarize"


class Task(StrEnum):
    """What a checkpoint of cross_lingual_summarization is to do."""

    CLS, MT, MS = "cls", "mt", "ms"


class Summarizer(StrEnum):
    """A summarizer that needs no checkpoint."""

    LEXRANK = "lexrank"


def _option(panel: str, help_text: str, **more: Any) -> typer.models.OptionInfo:
    return typer.Option(help=help_text, rich_help_panel=panel, **more)


Input = Annotated[str, _option(_TEXT, "Documents, one a line; - for stdin.", metavar="FILE")]
Out = Annotated[Path, _option(_TEXT, "Folder for summaries.txt, the intermediate text and report.json.")]
SourceLang = Annotated[str, _option(_TEXT, "Language of the documents.")]
TargetLang = Annotated[str, _option(_TEXT, "Language of the summaries.")]
Mt = Annotated[str, _option(_MT, f"{_MODEL}.", metavar="PATH")]
MtData = Annotated[Path | None, _option(_MT, _DATA)]
MtTask = Annotated[Task, _option(_MT, "What a checkpoint of several tasks is to do.")]
MtSegmentation = Annotated[str, _option(_MT, f"{KINDS}.", metavar="KIND")]
MtGenArgs = Annotated[str | None, _option(_MT, _GEN_ARGS, metavar="JSON")]
Kind = Annotated[Summarizer | None, _option(_MS, "A summarizer without a checkpoint.")]
Sentences = Annotated[int, _option(_MS, "Sentences that lexrank takes.", min=1)]
Ms = Annotated[str | None, _option(_MS, f"{_MODEL}; in place of --summarizer.", metavar="PATH")]
MsData = Annotated[Path | None, _option(_MS, _DATA)]
MsTask = Annotated[Task, _option(_MS, "What a checkpoint of several tasks is to do.")]
MsSegmentation = Annotated[str, _option(_MS, f"{KINDS}.", metavar="KIND")]
MsGenArgs = Annotated[str | None, _option(_MS, _GEN_ARGS, metavar="JSON")]
Beam = Annotated[int, _option(_SEARCH, "Beam size.", min=1)]
Lenpen = Annotated[float, _option(_SEARCH, "Length penalty: scores are divided by length ** this.")]
MaxTokens = Annotated[int, _option(_SEARCH, "Source tokens in a batch; a longer text goes alone.", min=1)]
MaxSource = Annotated[int, _option(_SEARCH, "Input tokens that a HuggingFace model reads at most.", min=8)]
Chunk = Annotated[int, _option(_RUN, "Documents that are finished and kept at a time.", min=1)]
Cpu = Annotated[bool, _option(_RUN, "Use no GPU.")]
Fp16 = Annotated[bool, _option(_RUN, "Half precision.")]
Overwrite = Annotated[bool, _option(_RUN, "Begin anew, whatever OUT holds of an earlier run.")]
Quiet = Annotated[bool, _option(_RUN, "No progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.", rich_help_panel=_RUN)]


@app.callback()
def pipeline() -> None:
    """Two-step baselines: each step by a model of fairseq or HuggingFace, or LexRank as summarizer.

    A killed run goes on when the command is repeated.
    """


@app.command("summarize-then-translate", help="Summarise each document, then translate the summary.")
@app.command(_TRANSLATE_FIRST, help="Translate each document, then summarise the translation.")
def two_steps(
    ctx: typer.Context,
    input: Input,
    out: Out,
    source_lang: SourceLang,
    target_lang: TargetLang,
    mt: Mt,
    mt_data: MtData = None,
    mt_task: MtTask = Task.MT,
    mt_segmentation: MtSegmentation = OWN,
    mt_gen_args: MtGenArgs = None,
    summarizer: Kind = None,
    sentences: Sentences = SENTENCES,
    ms: Ms = None,
    ms_data: MsData = None,
    ms_task: MsTask = Task.MS,
    ms_segmentation: MsSegmentation = OWN,
    ms_gen_args: MsGenArgs = None,
    beam: Beam = BEAM,
    lenpen: Lenpen = LENGTH_PENALTY,
    max_source: MaxSource = MAX_SOURCE,
    max_tokens: MaxTokens = MAX_TOKENS,
    chunk: Chunk = CHUNK,
    cpu: Cpu = False,
    fp16: Fp16 = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    if (summarizer is None) == (ms is None):
        raise UserError("give either --summarizer lexrank or a checkpoint with --ms")
    _prepare_fairseq()
    search = Search(beam, lenpen, max_source, max_tokens, cpu, fp16)
    translator = search.settings_of("mt", mt, mt_data, str(mt_task), mt_segmentation, mt_gen_args)
    summarizing = None
    if ms is not None:
        summarizing = search.settings_of("ms", ms, ms_data, str(ms_task), ms_segmentation, ms_gen_args)
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
    _run(settings, overwrite, quiet, as_json)


def _prepare_fairseq() -> None:
    import fairseq_vhm

    fairseq_vhm.register()
    for name in ("fairseq", "fairseq_vhm"):
        logging.getLogger(name).setLevel(logging.WARNING)  # every chunk would log its batches


def _run(settings: PipelineSettings, overwrite: bool, quiet: bool, as_json: bool) -> None:
    from fairseq_vhm.pipeline.run import run_pipeline

    with show_progress(quiet) as progress:
        report, is_new = run_pipeline(settings, overwrite, progress)
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
        return
    print(f"{settings.out}: {', '.join(report['files'])}" + ("" if is_new else " (done already)"))
    for name, count in report["counts"].items():
        print(f"  {name}: {count:,}")
