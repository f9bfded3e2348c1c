"""What the documents name is there: symbols, flags, files, and error lines that the code prints."""

import argparse
import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import typer
from fairseq import options
from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_REGISTRY

from fairseq_vhm import cli

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [*REPOSITORY.glob("docs/*.md"), REPOSITORY / "README.md", REPOSITORY / "examples" / "README.md"]
)
TORCHRUN = {"--nproc-per-node", "--nnodes", "--no-python", "--rdzv-backend", "--rdzv-endpoint", "--rdzv-id"}
SLURM = {"--job-name", "--nodes", "--ntasks-per-node", "--gres", "--time", "--signal"}
SLURM |= {"--requeue", "--open-mode"}
OTHERS = {"--no-build-isolation"} | TORCHRUN | SLURM
"""Flags of programs that are not ours."""


def shown(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@cache
def texts(folder: str) -> tuple[str, ...]:
    """All strings of a folder's code, adjacent ones joined; ``\\0`` stands where a value is put in."""
    found = []
    for path in (REPOSITORY / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return tuple(found)


def options_of(command) -> set[str]:
    """All flags of a ``vhm`` command and of those below it."""
    context = typer.Context(command)
    names = getattr(command, "list_commands", lambda _: ())
    below = [command.get_command(context, name) for name in names(context)]
    own = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
    return own.union(*map(options_of, below))


def flags_of_fairseq() -> set[str]:
    """Flags of preprocessing, training and generation, and of whatever is registered."""
    parsers = [
        options.get_preprocessing_parser(),
        options.get_training_parser(),
        options.get_generation_parser(),
        options.get_interactive_generation_parser(),
    ]
    parsers += [argparse.ArgumentParser(conflict_handler="resolve")]
    for one in {*ARCH_MODEL_REGISTRY.values(), *TASK_REGISTRY.values()}:
        one.add_args(parsers[-1])
    for registry in REGISTRIES.values():
        for settings in filter(None, registry["dataclass_registry"].values()):
            gen_parser_from_dataclass(parsers[-1], settings())
    return {flag for parser in parsers for action in parser._actions for flag in action.option_strings}


@pytest.fixture(scope="module")
def known_flags() -> set[str]:
    scripts = {one for folder in ("examples", "benchmarks", "preprocess") for one in texts(folder)}
    return flags_of_fairseq() | options_of(typer.main.get_command(cli.app)) | scripts | OTHERS


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_flag_that_a_document_names_exists(known_flags, page):
    named = re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*(?![\w*.-])", page.read_text(encoding="utf-8"))
    assert [flag for flag in dict.fromkeys(named) if flag not in known_flags] == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_file_that_a_document_names_exists(page):
    text = page.read_text(encoding="utf-8")
    folders = "examples|benchmarks|preprocess|tests|docs|fairseq_vhm"
    named = re.findall(rf"(?<![\w/])(?:{folders})/[\w/.-]+\.\w+", text)
    assert [name for name in dict.fromkeys(named) if not (REPOSITORY / name).exists()] == []


def test_every_symbol_that_a_document_names_can_be_imported():
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = re.findall(r"\{py:(\w+)\}`~?([\w.]+)`", pages)
    assert len(named) > 30
    for kind, name in named:
        module, _, attribute = name.rpartition(".")
        owner, module = (module, module.rpartition(".")[0]) if kind == "meth" else (None, module)
        thing = import_module(module)
        if owner:
            thing = getattr(thing, owner.rpartition(".")[2])
        assert hasattr(thing, attribute), name
        assert kind == "data" or getattr(thing, attribute).__module__ == module, name


def error_lines() -> list[str]:
    """The lines that the page on troubleshooting quotes: the first thing in a row that is set as code."""
    page = (REPOSITORY / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    return re.findall(r"^\| (?:fairseq's )?`(.+?)` \|", page, flags=re.MULTILINE)


def test_every_error_line_is_one_that_the_code_prints():
    fairseq = str(Path(options.__file__).parent / "optim")
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    printed = (*texts("fairseq_vhm"), *texts("preprocess"), *texts(fairseq), makefile)

    def is_printed(line: str) -> bool:
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))), flags=re.DOTALL)
        return any(map(pattern.search, printed))

    assert len(error_lines()) > 40
    assert [line for line in error_lines() if not is_printed(line)] == []
