"""``vhm human-eval``: blinded sheets for annotators, and what they say; see ``docs/human_eval.md``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import typer

from fairseq_vhm.files import check_folder, write_json, write_text
from fairseq_vhm.human_eval.display import as_json, tables
from fairseq_vhm.human_eval.key import read_key
from fairseq_vhm.human_eval.ratings import read_all
from fairseq_vhm.human_eval.results import evaluate
from fairseq_vhm.human_eval.sheet import Settings, make_sheets
from fairseq_vhm.metrics import significance
from fairseq_vhm.metrics.outputs import PostProcess

app = typer.Typer(no_args_is_help=True, add_completion=False)

PostProcessing = StrEnum("PostProcessing", {name: name for name in get_args(PostProcess)})
Correcting = StrEnum("Correcting", {name: name for name in get_args(significance.Correction)})


@app.callback()
def human_eval() -> None:
    """Human evaluation: informativeness, conciseness and fluency from 1 to 5, blinded."""


@app.command()
def sheet(
    hyp: Annotated[
        list[str],
        typer.Option(metavar="[NAME=]FILE", help="A system's outputs: lines or a log; once for each."),
    ],
    lang: Annotated[str, typer.Option(help="Language of outputs and reference: en, zh, zh_CN, ...")],
    out: Annotated[Path, typer.Option(help="Folder to make: pages and key.json.")],
    src: Annotated[Path | None, typer.Option(help="Sources, shown to annotators: plain lines.")] = None,
    ref: Annotated[
        Path | None, typer.Option(help="References, shown to annotators: lines or .jsonl.")
    ] = None,
    src_lang: Annotated[str | None, typer.Option(help="Language of the sources.")] = None,
    samples: Annotated[int, typer.Option(help="How many samples to draw.")] = Settings.samples,
    seed: Annotated[int, typer.Option(help="Of the draw and the orders.")] = Settings.seed,
    annotators: Annotated[
        str, typer.Option(help="Their number, or their names with commas between them.")
    ] = Settings.annotators,
    post_process: Annotated[
        list[PostProcessing] | None,
        typer.Option(help="How pieces are joined to words: once for all systems, or once for each."),
    ] = None,
) -> None:
    """Draw samples, blind and shuffle the systems, write a page for each annotator and the key.

    Example: vhm human-eval sheet --hyp VHM=vhm.log --hyp MS-CLS=ms_cls.log --src test.en --src-lang en
    --lang zh --out study
    """
    processes = [each.value for each in post_process or ()]
    settings = Settings(hyp, lang, src, ref, src_lang, samples, seed, annotators, processes)
    made = make_sheets(settings, out)
    for finding in made.findings:
        print(f"vhm: {finding}", file=sys.stderr)
    for path in made.written:
        print(f"{path}: send to its annotator")
    for path in made.kept:
        print(f"{path}: was there, left as it is")
    print(f"{made.key_path}: keep it; it says which system is which")


@app.command()
def results(
    ratings: Annotated[list[Path], typer.Argument(help="What the annotators exported, a file each.")],
    key: Annotated[Path, typer.Option(help="key.json of the study.")],
    baseline: Annotated[
        str | None, typer.Option(help="System that the others are tested against; else the first.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Level of tests and intervals.")] = significance.ALPHA,
    correction: Annotated[
        Correcting, typer.Option(help="For several comparisons on a criterion.")
    ] = Correcting(significance.CORRECTION),
    lenient: Annotated[
        bool,
        typer.Option("--lenient", help="Take incomplete and edited files, and count what is left out."),
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables to this file.")] = None,
    latex: Annotated[Path | None, typer.Option(help="Write the tables to this file.")] = None,
) -> None:
    """Averages of the systems, tests between them, and agreement among annotators."""
    for flag, path in (("--json", json), ("--markdown", markdown), ("--latex", latex)):
        if path is not None:
            check_folder(path, flag)
    settings = significance.Settings(correction=correction.value, alpha=alpha)
    study = read_key(key)
    found = evaluate(read_all(ratings, study, lenient), study, baseline, settings)
    shown = tables(found)
    print("\n\n".join(f"{table.title}\n{table.plain()}" for table in shown))
    for finding in found.findings:
        print(f"vhm: warning: {finding}", file=sys.stderr)
    if json is not None:
        write_json(json, as_json(found))
    if markdown is not None:
        write_text(markdown, "\n\n".join(table.markdown() for table in shown) + "\n")
    if latex is not None:
        write_text(latex, "\n\n".join(table.latex() for table in shown) + "\n")
