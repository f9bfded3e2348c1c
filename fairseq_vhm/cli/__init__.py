"""The ``vhm`` command: one thin file a subcommand, imported only when it is called."""

import importlib
import sys

import click
import typer

from fairseq_vhm.errors import UserError

SUBCOMMANDS = {
    "prepare": "Turn raw corpora into DATA/{cls,mt,ms} for fairseq.",
    "score": "ROUGE, BLEU and chrF of an output against references.",
    "average": "Average the weights of several checkpoints.",
    "doctor": "What is installed here, and what is missing.",
}


class LazyGroup(click.Group):
    """A group whose subcommands live in modules of this package, named like them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"fairseq_vhm.cli.{name}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False)
            app.command(name=name)(module.command)
        return typer.main.get_command(app)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fairseq-vhm", prog_name="vhm")
def vhm() -> None:
    """Tools around fairseq_vhm: data, scores, checkpoints.  Training and decoding are fairseq's own."""


def main() -> None:
    """Entry point; a user's mistake is one line and exit status 2."""
    try:
        vhm(prog_name="vhm")
    except UserError as error:
        print(f"vhm: error: {error}", file=sys.stderr)
        sys.exit(2)
