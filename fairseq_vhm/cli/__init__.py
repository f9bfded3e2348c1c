"""The ``vhm`` command: one thin file a subcommand, imported only when it is called."""

from pathlib import Path
from typing import Annotated

import typer

import fairseq_vhm
from fairseq_vhm import plugins
from fairseq_vhm.cli.commands import CONTEXT, LazyGroup

app = typer.Typer(
    cls=LazyGroup,
    context_settings=CONTEXT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"vhm {fairseq_vhm.__version__}")
        raise typer.Exit()


@app.callback()
def vhm(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    user_dir: Annotated[
        Path | None,
        typer.Option(help="Import this folder first: a plugin of yours."),
    ] = None,
) -> None:
    """Tools around fairseq_vhm: data, scores, checkpoints. Training and decoding are fairseq's own.

    Exit status: 0 done; 1 an error, said in one line, or a failed check; 2 a wrong command line; 130 Ctrl-C.
    """
    if user_dir is not None:
        plugins.load(user_dir)


def main() -> None:
    """Entry point."""
    app(prog_name="vhm")
