"""Options that several subcommands share, each with one name and one wording; of scoring: ``score_options``.

Nothing beyond typer is imported: ``vhm doctor`` needs these where packages are missing.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from fairseq_vhm.cli.terminal import STDOUT
from fairseq_vhm.files import check_folder

RUN = "Run"


def option(
    text: str, *names: str, panel: str | None = None, values: Iterable[str] | None = None, **more: Any
) -> typer.models.OptionInfo:
    """An option with its help, in a panel of the help page.

    With ``values`` it takes one of them, which shells complete.  Where a room has its values as a
    ``Literal``, that is the option's type and this is not needed; typer takes no lists of those.
    """
    if values is not None:
        more |= _one_of(tuple(values))
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def _one_of(values: tuple[str, ...]) -> dict[str, Any]:
    """What typer does for a ``Literal``."""

    def parse(value: str) -> str:
        if value not in values:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, values))}.")
        return value

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return {"parser": parse, "autocompletion": complete, "metavar": f"<{'|'.join(values)}>"}

# ---- of every subcommand -----------------------------------------------------------------------


def _checked(path: Path | None) -> Path | None:
    if path is not None and str(path) != STDOUT:
        check_folder(path, "--json")
    return path


_JSON = "Print the result as JSON and nothing else, or write it to FILE.json beside what is printed."
Json = Annotated[Path | None, option(_JSON, "--json", metavar="[FILE.json]", panel=RUN, callback=_checked)]
_QUIET = "No progress, no remarks, and nothing printed where the result is in files; warnings stay."
Quiet = Annotated[bool, option(_QUIET, "--quiet", "-q", panel=RUN)]

# ---- what is made, and from what ---------------------------------------------------------------

Out = Annotated[Path, option("Folder to make.", "--out")]
Overwrite = Annotated[bool, option("Replace what an earlier run made.", "--overwrite", panel=RUN)]
Workers = Annotated[int, option("Processes.", min=1, panel=RUN)]
Seed = Annotated[int, option("Seed of what is drawn at random.")]
SourceLang = Annotated[str, option("Language of the documents.")]
TargetLang = Annotated[str, option("Language of the summaries.")]
Latex = Annotated[Path | None, option("Write the tables to this file.")]
