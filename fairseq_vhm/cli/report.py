"""``vhm report``: tables, figures and a page to read in, from a folder of runs; see ``docs/report.md``."""

from pathlib import Path
from typing import Annotated

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli import score_options as scores
from fairseq_vhm.cli.options import option
from fairseq_vhm.cli.terminal import present, warn
from fairseq_vhm.metrics.significance import CORRECTION, Test
from fairseq_vhm.report.build import Options, build, check_out, write
from fairseq_vhm.report.results import Testing
from fairseq_vhm.report.scoring import Scoring
from fairseq_vhm.report.systems import BASELINE
from fairseq_vhm.report.texts import Given
from preprocess.progress import show_progress


def command(
    runs: Annotated[Path, typer.Argument(help="Folder with a folder for each run.")],
    out: options.Out,
    src: Annotated[
        Path | None, option("Sources, shown beside outputs; else those of the prepared data.")
    ] = None,
    ref: Annotated[list[Path] | None, option("References; else those of the prepared data.")] = None,
    lang: Annotated[str | None, option("Language of --ref and of outputs.")] = None,
    baseline: Annotated[
        list[str] | None, option(f"System to test against; else {BASELINE}. May be repeated.")
    ] = None,
    post_process: scores.Joining = "none",
    swap_roles: scores.Swapping = False,
    multi_ref: scores.Combining = "best",
    test: Annotated[Test, option("Paired test behind the marks.")] = "t-test",
    correction: scores.Correcting = CORRECTION,
    pivots: Annotated[str, option("Languages of the bars by pivot, separated by commas.")] = "",
    published: Annotated[bool, option("Published figures on NCLS beside one's own.", "--published")] = False,
    settings: Annotated[
        Path | None, option("Names, files, languages of runs; else RUNS/report.toml.")
    ] = None,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Tables and figures of a paper, and a page to read outputs in, from fairseq runs and outputs.

    Examples:
        vhm report runs --out report
        vhm report runs --out report --baseline TNCLS --baseline MT-MS-CLS --published
    """
    check_out(out)
    wanted = Options(
        Given(src, tuple(ref or ()), lang, post_process),
        Scoring(swap_roles, multi_ref),
        Testing(tuple(baseline or [BASELINE]), test, correction),
        settings,
        tuple(name.strip() for name in pivots.split(",") if name.strip()),
        published,
    )
    with show_progress(quiet) as progress:
        report = build(runs, wanted, progress.track)
    for run in report.runs:
        for line in run.missing:
            warn(f"{run.name}: {line}")
    for line in report.warnings:
        warn(line)
    written = write(report, out)
    counts = f"{len(report.runs)} runs, {len(report.tables)} tables, {len(report.figures)} figures"
    present(report.as_json(), f"{counts}: {written[0]}", json, quiet)
