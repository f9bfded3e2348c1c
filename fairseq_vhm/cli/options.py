"""Options that several subcommands share, each with one name and one wording; of scoring: ``score_options``.

Nothing beyond typer is imported: ``vhm doctor`` needs these where packages are missing.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fairseq_vhm.cli.terminal import STDOUT
from fairseq_vhm.files import check_folder
from fairseq_vhm.names import TASKS

RUN = "Run"


def option(text: str, *names: str, panel: str | None = None, **more: Any) -> typer.models.OptionInfo:
    """An option with its help, in a panel of the help page."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def choice(name: str, values: tuple[str, ...]) -> type[StrEnum]:
    """A type of options that are one of ``values``, which shells then complete."""
    return StrEnum(name, {value: value for value in values})


TaskName = choice("TaskName", TASKS)

# ---- of every subcommand -----------------------------------------------------------------------


def _checked(path: Path | None) -> Path | None:
    if path is not None and str(path) != STDOUT:
        check_folder(path, "--json")
    return path


_JSON = "Print the result as JSON and nothing else, or write it to FILE.json beside what is printed."
Json = Annotated[Path | None, option(_JSON, "--json", metavar="[FILE.json]", panel=RUN, callback=_checked)]
Quiet = Annotated[bool, option("No progress and no remarks; warnings stay.", "--quiet", "-q", panel=RUN)]

# ---- what is made, and from what ---------------------------------------------------------------

Out = Annotated[Path, option("Folder to make.", "--out")]
Overwrite = Annotated[bool, option("Replace what an earlier run made.", "--overwrite", panel=RUN)]
Workers = Annotated[int, option("Processes.", min=1, panel=RUN)]
Seed = Annotated[int, option("Seed of what is drawn at random.")]
SourceLang = Annotated[str, option("Language of the documents.")]
TargetLang = Annotated[str, option("Language of the summaries.")]
Latex = Annotated[Path | None, option("Write the tables to this file.")]
