"""All of a report: from the folder of runs to its files, which are written when all are made."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import check_folder, write_bytes
from fairseq_vhm.pages import render
from fairseq_vhm.report.figures import (
    Figure,
    Named,
    few_shot_figure,
    file_name,
    read_matplotlib,
    training_figure,
)
from fairseq_vhm.report.overrides import FILE_NAME, read_overrides
from fairseq_vhm.report.pairs import (
    check_pivots,
    pair_figures,
    pair_tables,
    wrong_language_tables,
    wrong_languages,
)
from fairseq_vhm.report.reader import reader_data
from fairseq_vhm.report.results import Result, Testing, TestResults, check_baseline, collect
from fairseq_vhm.report.runs import Run, find_runs
from fairseq_vhm.report.scoring import Scored, Scoring, Track, score_run
from fairseq_vhm.report.systems import percent
from fairseq_vhm.report.tables import make_tables
from fairseq_vhm.report.texts import Given, test_sets, told_apart
from fairseq_vhm.tables import Table

TITLE = "Report of {runs}"
FIGURES = "figures"
LATEX_NEEDS = "% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}"
EAST_ASIAN = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


@dataclass(frozen=True)
class Options:
    """What the user may choose; each room has the defaults of its part."""

    given: Given = field(default_factory=Given)
    scoring: Scoring = field(default_factory=Scoring)
    testing: Testing = field(default_factory=Testing)
    settings: Path | None = None
    pivots: tuple[str, ...] = ()
    published: bool = False


@dataclass(frozen=True)
class Report:
    """What a report says, before it is written."""

    title: str
    runs: list[Run]
    results: list[TestResults]
    tables: list[Table]
    figures: list[Figure]
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> dict:
        """``tables``, ``runs``, ``comparisons`` and the figures' ``curves``; see ``docs/report.md``."""
        return {
            "title": self.title,
            "warnings": self.warnings,
            "tables": [table.as_json() for table in self.tables],
            "runs": [_run_json(one, result, scored) for one, result, scored in _scored_runs(self.results)],
            "comparisons": [
                {"test_set": one.test.name, **asdict(comparison)}
                for one in self.results
                for comparison in one.comparisons
            ],
            "figures": {figure.name: _figure_json(figure) for figure in self.figures},
        }

    def markdown(self) -> str:
        """Tables and figures; the figures as links to their files."""
        parts = [f"# {self.title}", *(f"**{line}**" for line in self.warnings)]
        parts += [table.markdown() for table in self.tables]
        for figure in self.figures:
            parts.append(f"### {figure.title}\n\n![{figure.title}]({FIGURES}/{figure.name}.png)")
            parts.append(figure.caption)
        return "\n\n".join(parts) + "\n"

    def latex(self) -> str:
        """The tables, to be taken into a paper.  Characters of East Asia, which pdfLaTeX cannot set
        and which notes on tokens name, stand as their code points."""
        parts = [LATEX_NEEDS, *(table.latex() for table in self.tables)]
        text = "\n\n".join(parts) + "\n"
        return EAST_ASIAN.sub(lambda found: f"U+{ord(found[0]):04X}", text)

    def page(self) -> str:
        """The page in which a person reads, one HTML text."""
        data = {
            "warnings": self.warnings,
            "tables": [table.as_json() for table in self.tables],
            "figures": [
                {"title": one.title, "caption": one.caption, "uri": _data_uri(one)} for one in self.figures
            ],
            "sets": reader_data(self.results),
        }
        return render("reader", self.title, data)


def build(folder: Path, options: Options, track: Track) -> Report:
    """Read and score the runs below ``folder``.

    Raises:
        UserError: there is no run, a file that the user names cannot be used, or a library of
            ``[report]`` is not installed.
    """
    read_matplotlib()
    settings = options.settings or folder / FILE_NAME
    if options.settings and not options.settings.is_file():
        raise UserError(f"--settings {options.settings}: there is no such file")
    runs = find_runs(folder, read_overrides(settings))
    check_pivots(runs, options.pivots)
    results = []
    for test in test_sets(runs, options.given, folder):
        scored = {run.name: score_run(run, test, options.given, options.scoring, track) for run in test.runs}
        results.append(collect(test, scored, options.testing))
    check_baseline(results, options.testing)
    tables = [*wrong_language_tables(runs), *make_tables(results, runs, options.published)]
    tables[-1:-1] = pair_tables(runs)
    title = TITLE.format(runs=folder.resolve().name)
    return Report(title, runs, results, tables, _figures(results, runs, options), wrong_languages(runs))


def check_out(out: Path) -> None:
    """Refuse a destination that cannot be a folder, before long work is done for it."""
    check_folder(out, "--out")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; name a folder for the report")


def write(report: Report, out: Path) -> list[Path]:
    """Write all files of a report; made first, so that a failure leaves none.

    Returns the paths, ``index.html`` first.
    """
    texts = {
        "index.html": report.page(),
        "report.md": report.markdown(),
        "report.tex": report.latex(),
        "report.json": json.dumps(report.as_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n",
    }
    files = {out / name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}
    for figure in report.figures:
        files[out / FIGURES / f"{figure.name}.png"] = figure.png
        files[out / FIGURES / f"{figure.name}.svg"] = figure.svg
    try:
        (out / FIGURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(f"--out {out}", error) from error
    for path, content in files.items():
        write_bytes(path, content)
    return list(files)


def _figures(results: Sequence[TestResults], runs: Sequence[Run], options: Options) -> list[Figure]:
    figures = [figure for one in results for figure in _curves(one)]
    figures += [figure for one in results if (figure := few_shot_figure(one))]
    figures += pair_figures(runs, options.pivots)
    names = told_apart([figure.name for figure in figures], "_")
    return [replace(figure, name=name) for figure, name in zip(figures, names, strict=True)]


def _curves(one: TestResults) -> list[Figure]:
    """Training curves: a figure for each share of the CLS pairs that runs were trained on."""
    by_share: dict[float, list[Named]] = {}
    for result in one.results:
        logs = [Named(run.name, result.system.name, run.log) for run in result.system.runs if run.log]
        by_share.setdefault(result.system.fraction, []).extend(logs)
    figures = []
    for share, logs in sorted(by_share.items(), reverse=True):
        which = one.test.name if share == 1 else f"{one.test.name}, {percent(share)} of CLS"
        figures.append(training_figure(f"training_{file_name(which)}", f"Training, {which}", logs))
    return [figure for figure in figures if figure]


def _scored_runs(results: Sequence[TestResults]) -> list[tuple[TestResults, Result, Scored]]:
    return [(one, result, scored) for one in results for result in one.results for scored in result.scored]


def _run_json(one: TestResults, result: Result, scored: Scored) -> dict:
    run = scored.run
    timing = run.log.timing() if run.log else None
    return {
        "run": run.name,
        "system": result.label,
        "cls_fraction": result.system.fraction,
        "test_set": one.test.name,
        "references": [str(path) for path in one.test.place.references],
        "n": len(one.test.references) or None,
        "seed": run.settings.get("seed"),
        "updates": run.checkpoint.updates if run.checkpoint else None,
        "parameters": run.checkpoint.parameters if run.checkpoint else None,
        "seconds_per_100_updates": asdict(timing) if timing else None,
        "hardware": run.log.hardware if run.log else None,
        "scores": {name: round(value, 5) for name, value in scored.figures.items()},
        "signature": dict(scored.signatures),
        "missing": run.missing,
    }


def _figure_json(figure: Figure) -> dict:
    return {"title": figure.title, "caption": figure.caption, "data": figure.data}


def _data_uri(figure: Figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(figure.svg).decode("ascii")
