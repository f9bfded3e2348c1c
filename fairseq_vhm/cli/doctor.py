"""``vhm doctor``: what is installed here, and what is missing."""

import json as json_format
from typing import Annotated

import typer

from fairseq_vhm.doctor import as_json, as_text, examine, healthy


def command(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """What is installed here, and what is missing; exit status 1 if a required part is."""
    checks = list(examine())
    print(json_format.dumps(as_json(checks), indent=2) if json else as_text(checks))
    raise typer.Exit(0 if healthy(checks) else 1)
