"""``vhm report``: tables, figures and a page to read in, from a folder of runs; see ``docs/report.md``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import typer

from fairseq_vhm.errors import printable
from fairseq_vhm.metrics.outputs import PostProcess
from fairseq_vhm.metrics.rouge import MultiReference
from fairseq_vhm.metrics.significance import CORRECTION, Correction, Test
from fairseq_vhm.report.build import Options, build, check_out, write
from fairseq_vhm.report.results import Testing
from fairseq_vhm.report.scoring import Scoring
from fairseq_vhm.report.systems import BASELINE
from fairseq_vhm.report.texts import Given

PostProcessing = StrEnum("PostProcessing", {name: name for name in get_args(PostProcess)})
Several = StrEnum("Several", {name: name for name in get_args(MultiReference)})
PairedTest = StrEnum("PairedTest", {name: name for name in get_args(Test)})
Corrected = StrEnum("Corrected", {name: name for name in get_args(Correction)})


def command(
    runs: Annotated[Path, typer.Argument(help="Folder with a folder for each run.")],
    out: Annotated[Path, typer.Option(help="Folder for the report.")],
    src: Annotated[Path | None, typer.Option(help="Sources of the test set, a line each.")] = None,
    ref: Annotated[
        list[Path] | None, typer.Option(help="References (default: those of the prepared data).")
    ] = None,
    lang: Annotated[str | None, typer.Option(help="Language of --ref and of outputs.")] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help=f"System to test against ({BASELINE}); may be repeated.")
    ] = None,
    post_process: Annotated[
        PostProcessing, typer.Option(help="How pieces of the outputs are joined to words.")
    ] = PostProcessing.none,
    swap_roles: Annotated[
        bool, typer.Option("--swap-roles", help="ROUGE with output and reference exchanged.")
    ] = False,
    multi_ref: Annotated[
        Several, typer.Option(help="Of several references, the best or their mean.")
    ] = Several.best,
    test: Annotated[PairedTest, typer.Option(help="Paired test behind the marks.")] = PairedTest["t-test"],
    correction: Annotated[
        Corrected, typer.Option(help="For several comparisons.")
    ] = Corrected[CORRECTION],
    pivots: Annotated[
        str, typer.Option(help="Languages of the bars by pivot, separated by commas.")
    ] = "",
    published: Annotated[
        bool, typer.Option("--published", help="Published figures on NCLS beside one's own.")
    ] = False,
    settings: Annotated[
        Path | None, typer.Option(help="Names, files, languages of runs (default: RUNS/report.toml).")
    ] = None,
) -> None:
    """Tables and figures of a paper, and a page to read outputs in, from fairseq runs and outputs."""
    from tqdm import tqdm

    check_out(out)
    options = Options(
        Given(src, tuple(ref or ()), lang, post_process.value),
        Scoring(swap_roles, multi_ref.value),
        Testing(tuple(baseline or [BASELINE]), test.value, correction.value),
        settings,
        tuple(name.strip() for name in pivots.split(",") if name.strip()),
        published,
    )
    report = build(runs, options, lambda pairs, what: tqdm(pairs, desc=what, leave=False, disable=None))
    for run in report.runs:
        for line in run.missing:
            print(printable(f"vhm: {run.name}: {line}"), file=sys.stderr)
    for line in report.warnings:
        print(printable(f"vhm: {line}"), file=sys.stderr)
    written = write(report, out)
    counts = f"{len(report.runs)} runs, {len(report.tables)} tables, {len(report.figures)} figures"
    print(f"{counts}: {written[0]}")
