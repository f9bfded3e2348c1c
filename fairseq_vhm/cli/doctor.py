"""``vhm doctor``: what is installed here, and what is missing."""

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli.terminal import present
from fairseq_vhm.doctor import as_json, as_text, examine, healthy


def command(quiet: options.Quiet = False, json: options.Json = None) -> None:
    """What is installed here, and what is missing; exit status 1 if a required part is.

    Examples:
        vhm doctor
        vhm doctor --json
    """
    checks = list(examine())
    present(as_json(checks), as_text(checks), json)
    raise typer.Exit(0 if healthy(checks) else 1)
