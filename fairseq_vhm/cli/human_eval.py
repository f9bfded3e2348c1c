"""``vhm human-eval``: blinded sheets for annotators, and what they say; see ``docs/human_eval.md``."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli import score_options as scores
from fairseq_vhm.cli.commands import Group
from fairseq_vhm.cli.options import option
from fairseq_vhm.cli.terminal import present, warn
from fairseq_vhm.files import check_folder, write_text
from fairseq_vhm.human_eval.display import as_json, tables
from fairseq_vhm.human_eval.key import read_key
from fairseq_vhm.human_eval.ratings import read_all
from fairseq_vhm.human_eval.results import evaluate
from fairseq_vhm.human_eval.sheet import Settings, make_sheets
from fairseq_vhm.metrics import significance
from fairseq_vhm.metrics.pieces import PostProcess

app = Group()


@app.callback()
def human_eval() -> None:
    """Human evaluation: informativeness, conciseness and fluency from 1 to 5, blinded."""


@app.command()
def sheet(
    hyp: Annotated[
        list[str],
        option("A system's outputs: lines or a log; once for each.", metavar="[NAME=]FILE"),
    ],
    lang: Annotated[str, option("Language of outputs and reference: en, zh, zh_CN, ...")],
    out: options.Out,
    src: Annotated[Path | None, option("Sources, shown to annotators: plain lines.")] = None,
    ref: Annotated[Path | None, option("References, shown to annotators: lines or .jsonl.")] = None,
    src_lang: Annotated[
        str | None, option("Language of the documents.", "--source-lang", "--src-lang")
    ] = None,
    samples: Annotated[int, option("How many samples to draw.")] = Settings.samples,
    seed: options.Seed = Settings.seed,
    annotators: Annotated[
        str, option("Their number, or their names with commas between them.")
    ] = Settings.annotators,
    post_process: Annotated[
        list[str] | None,
        option(
            "How pieces are joined to words: once for all systems, or once for each.",
            values=get_args(PostProcess),
        ),
    ] = None,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Draw samples, blind and shuffle the systems, write a page for each annotator and the key.

    Examples:
        vhm human-eval sheet --hyp VHM=vhm.log --hyp MS-CLS=ms_cls.log --lang zh \\
            --src test.en --source-lang en --out study
    """
    processes = cast(list[PostProcess], post_process or [])  # checked by the option
    settings = Settings(hyp, lang, src, ref, src_lang, samples, seed, annotators, processes)
    made = make_sheets(settings, out)
    for finding in made.findings:
        warn(finding)
    lines = [f"{path}: send to its annotator" for path in made.written]
    lines += [f"{path}: was there, left as it is" for path in made.kept]
    lines.append(f"{made.key_path}: keep it; it says which system is which")
    document = {"pages": [str(p) for p in made.written], "kept": [str(p) for p in made.kept]}
    present(document | {"key": str(made.key_path)}, "\n".join(lines), json, quiet)


@app.command()
def results(
    ratings: Annotated[list[Path], typer.Argument(help="What the annotators exported, a file each.")],
    key: Annotated[Path, option("key.json of the study.")],
    baseline: Annotated[
        str | None, option("System that the others are tested against; else the first.")
    ] = None,
    alpha: scores.Alpha = significance.ALPHA,
    correction: scores.Correcting = significance.CORRECTION,
    lenient: Annotated[
        bool,
        option("Take incomplete and edited files, and count what is left out.", "--lenient"),
    ] = False,
    markdown: Annotated[Path | None, option("Write the tables to this file.")] = None,
    latex: options.Latex = None,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Averages of the systems, tests between them, and agreement among annotators.

    Examples:
        vhm human-eval results --key study/key.json ratings-1.json ratings-2.json --latex table.tex
    """
    for flag, path in (("--markdown", markdown), ("--latex", latex)):
        if path is not None:
            check_folder(path, flag)
    settings = significance.Settings(correction=correction, alpha=alpha)
    study = read_key(key)
    found = evaluate(read_all(ratings, study, lenient), study, baseline, settings)
    shown = tables(found)
    for finding in found.findings:
        warn(finding)
    text = "\n\n".join(f"{table.title}\n{table.plain()}" for table in shown)
    present(as_json(found), text, json, quiet, in_files=bool(markdown or latex))
    if markdown is not None:
        write_text(markdown, "\n\n".join(table.markdown() for table in shown) + "\n")
    if latex is not None:
        write_text(latex, "\n\n".join(table.latex() for table in shown) + "\n")
