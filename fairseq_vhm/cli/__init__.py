"""The ``vhm`` command: one thin file a subcommand, imported only when it is called."""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import fairseq_vhm
from fairseq_vhm import plugins
from fairseq_vhm.errors import UserError

SUBCOMMANDS = (
    *("prepare", "align", "score", "compare", "report", "human-eval"),
    *("pipeline", "trim", "convert", "average", "card", "doctor"),
)
CONTEXT = {"help_option_names": ["-h", "--help"]}


class LazyGroup(TyperGroup):
    """A group whose subcommands live in modules of this package, named like them (``-`` as ``_``).

    A module offers ``app`` (a group of its own) or ``command`` (a function).
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"fairseq_vhm.cli.{cmd_name.replace('-', '_')}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False, context_settings=CONTEXT)
            app.command(name=cmd_name)(module.command)
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup,
    context_settings=CONTEXT,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"vhm {fairseq_vhm.__version__}")
        raise typer.Exit()


def _load_plugin(folder: Path | None) -> None:
    if folder is not None:
        plugins.load(folder)


@app.callback()
def vhm(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    user_dir: Annotated[
        Path | None,
        typer.Option(
            callback=_load_plugin, is_eager=True, help="Import this folder first: a plugin of yours."
        ),
    ] = None,
) -> None:
    """Tools around fairseq_vhm: data, scores, checkpoints. Training and decoding are fairseq's own."""


def main() -> None:
    """Entry point; a user's mistake is one line and exit status 2."""
    try:
        app(prog_name="vhm")
    except UserError as error:
        print(f"vhm: error: {error}", file=sys.stderr)
        sys.exit(2)
