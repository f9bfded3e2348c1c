"""What all subcommands of ``vhm`` have in common: how they are found, how they end, their examples.

Exit status: 0 where the work is done; 1 where it cannot be (a :class:`~fairseq_vhm.errors.UserError`, one
line on stderr), where a check fails (``vhm doctor``) or nobody reads the output any more; 2 where the command
line is wrong; 130 after Ctrl-C.
"""

import importlib
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from fairseq_vhm.cli.terminal import STDOUT, say
from fairseq_vhm.errors import UserError

FAILED, INTERRUPTED = 1, 130
SUBCOMMANDS = (
    *("prepare", "align", "score", "compare", "report", "human-eval"),
    *("pipeline", "trim", "convert", "average", "card", "doctor"),
)
CONTEXT = {"help_option_names": ["-h", "--help"]}
EXAMPLES = "\n\nExamples:\n"


def is_given(ctx: typer.Context, name: str) -> bool:
    """Whether the user gave this parameter, be it with its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


class Command(TyperCommand):
    """A subcommand.

    What follows ``Examples:`` in its docstring ends its help as it stands there, ready to be copied.
    ``--json`` stands alone or before the name of a file.
    """

    def __init__(self, *args: Any, help: str | None = None, **more: Any):
        text, _, examples = (help or "").partition(EXAMPLES)
        super().__init__(*args, help=text, **more)
        self.examples = textwrap.dedent(examples)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, and the examples below it."""
        super().format_help(ctx, formatter)
        formatter.write(f"\n{EXAMPLES.strip()}\n{textwrap.indent(self.examples, '  ')}\n")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let ``--json`` without a file mean stdout."""
        words = [*args, ""]
        given = [
            f"--json={STDOUT}" if word == "--json" and not self._is_json_file(after) else word
            for word, after in zip(words, words[1:], strict=False)
        ]
        return super().parse_args(ctx, given)

    def _is_json_file(self, word: str) -> bool:
        """Whether the word after ``--json`` is its file and not one of the command's arguments."""
        has_arguments = any(one.param_type_name == "argument" for one in self.params)
        return word.endswith(".json") or not (has_arguments or word.startswith("-") or not word)


class Group(typer.Typer):
    """A subcommand that has subcommands itself."""

    def __init__(self) -> None:
        super().__init__(no_args_is_help=True, add_completion=False, context_settings=CONTEXT)

    def command(self, name: str | None = None, **more: Any) -> Callable:
        return super().command(name, cls=Command, **more)


class LazyGroup(TyperGroup):
    """``vhm`` itself: its subcommands live in modules of this package, named like them (``-`` as ``_``).

    A module offers ``app`` (a :class:`Group`) or ``command`` (a function, with ``CONTEXT`` for settings of
    its own), and is imported only when its command is called.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"fairseq_vhm.cli.{cmd_name.replace('-', '_')}")
        app = getattr(module, "app", None)
        if app is None:
            app = Group()
            context = CONTEXT | getattr(module, "CONTEXT", {})
            app.command(cmd_name, context_settings=context)(module.command)
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand; see the module for how it ends.

        What was printed is handed on here, so that a closed pipe shows while typer can still end quietly.
        """
        try:
            return super().invoke(ctx)
        except UserError as error:
            say(f"error: {error}")
            raise typer.Exit(FAILED) from error
        except OSError as error:  # of a file that no command says more of
            if error.filename is None:
                raise
            say(f"error: {error.filename}: {error.strerror}; mend that, or give another")
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as stop:
            say("interrupted")
            raise typer.Exit(INTERRUPTED) from stop
        finally:
            sys.stdout.flush()
