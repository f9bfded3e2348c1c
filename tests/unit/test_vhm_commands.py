"""What every subcommand of ``vhm`` keeps to, found by walking over all: a new one cannot forget it."""

import inspect
import json
import os
import pty
import re
import shlex
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, get_args, get_origin

import pytest
import typer
from reports import write_checkpoint

from fairseq_vhm import cli
from fairseq_vhm.cli.commands import Command
from fairseq_vhm.cli.options import option
from preprocess.progress import show_progress

DIFFERENT_THINGS = {
    "--baseline": "one system to compare with, or several in a report",
    "--data": "one prepared folder, or several to trim for",
    "--hyp": "outputs of the one system that is scored, or of each that is compared",
    "--lang": "of the texts, or FILE=CODE of articles",
    "--post-process": "one for all outputs, or one for each system",
    "--ref": "of an evaluation, several; shown to annotators, one",
    "--task": "cls, mt or ms of a prepared text; fairseq's task of a converted model",
    "--test": "a corpus's part; a statistical test",
    "--dedup": "a corpus of many languages may also stop",
    "--split": "one of any names in a corpus of many languages",
}
"""Names that mean something else in another subcommand, and why that is not to be mended."""
OLD_NAMES = {"--output", "--force", "--src-lang", "--spm-model"}
"""Still understood; the same thing has one name in all subcommands, which comes first."""


def walk(command, path: tuple[str, ...] = ("vhm",)):
    """Every subcommand that does something, with its words."""
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from walk(command.get_command(None, name), (*path, name))
    else:
        yield " ".join(path), command


COMMANDS = dict(walk(typer.main.get_command(cli.app)))
every = pytest.mark.parametrize("name", COMMANDS)


def options_of(command) -> list:
    return [one for one in command.params if one.param_type_name == "option"]


def vhm(capsys, monkeypatch, *words) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of ``vhm`` in this process."""
    monkeypatch.setattr(sys, "argv", ["vhm", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, *capsys.readouterr()


@pytest.fixture
def run_vhm(capsys, monkeypatch):
    return lambda *words: vhm(capsys, monkeypatch, *words)


@pytest.fixture
def scored(tmp_path):
    """Files of two systems, and the words that score one and compare both."""
    for name, text in (("ref", "a b c d\ne f g\n"), ("one", "a b c\ne f\n"), ("two", "a x\ny f\n")):
        (tmp_path / name).write_text(text)
    given = ("--ref", tmp_path / "ref", "--lang", "en", "--metrics", "rouge")
    one, two = (("--hyp", tmp_path / name) for name in ("one", "two"))
    return {"score": ("score", *one, *given), "compare": ("compare", *one, *two, *given, "--resamples", 20)}


# ---- invariants --------------------------------------------------------------------------------


@every
def test_json_and_quiet_are_everywhere(name):
    found = {spelling for one in options_of(COMMANDS[name]) for spelling in one.opts}
    assert {"--json", "--quiet", "-q"} <= found


@every
def test_every_example_of_the_help_is_a_command_line_that_parses(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = COMMANDS[name]
    examples = command.examples.replace("\\\n", " ").strip().splitlines()
    assert examples
    for example in examples:
        words = shlex.split(example)
        own = name.split()
        assert words[: len(own)] == own
        context = command.make_context(name, words[len(own) :])
        assert context.params


@every
def test_the_help_ends_with_the_examples_as_they_stand_and_in_no_colour(name, run_vhm):
    status, out, err = run_vhm(*name.split()[1:], "-h")
    assert (status, err) == (0, "")
    shown = out[out.index("\nExamples:\n") :]
    assert COMMANDS[name].examples.strip().splitlines()[0].strip() in shown
    assert "\x1b" not in out


@every
def test_every_option_says_what_it_is(name):
    for one in options_of(COMMANDS[name]):
        if one.name != "help":
            assert re.fullmatch(r"\S.*\.( [A-Z].*\.)?", one.help), (name, one.opts)


@every
def test_a_switch_has_a_no_form_only_where_it_is_on(name):
    for one in options_of(COMMANDS[name]):
        if getattr(one, "is_flag", False):
            assert bool(one.secondary_opts) == (one.default is True), (name, one.opts)


@every
def test_an_unknown_option_is_exit_status_2_and_says_nothing_on_stdout(name, run_vhm):
    status, out, err = run_vhm(*name.split()[1:], "--no-such-option")
    assert (status, out) == (2, "") and "--no-such-option" in err


def values_of(annotation) -> str:
    """What an option takes: text (paths too), numbers or choices, once or several."""
    kind, given = get_args(annotation)
    (plain,) = [one for one in get_args(kind) if one is not NoneType] if type(kind) is UnionType else [kind]
    several = get_origin(plain) is list
    inner = get_args(plain)[0] if several else plain
    if given.parser:
        name = given.metavar
    elif get_origin(inner) is Literal:
        name = f"<{'|'.join(get_args(inner))}>"
    else:
        name = inner.__name__.replace("Path", "str")
    return f"several {name}" if several else name


def test_what_is_none_of_an_options_values_is_refused_as_typer_does_and_shells_complete_the_rest(run_vhm):
    made = option("", values=("exact", "ivf", "iv"))
    assert made.autocompletion("iv") == ["ivf", "iv"] and made.parser("iv") == "iv"
    checked = ("align", "x", "--labse", "x", "--out", "y", "--index", "ivff"), "'exact', 'ivf'"
    literal = ("score", "--hyp", "x", "--device", "gpu"), "'auto', 'cpu', 'cuda'"
    for words, values in (checked, literal):
        status, _, err = run_vhm(*words)
        said = " ".join(err.replace("│", "").split())
        assert status == 2 and f"'{words[-1]}' is not one of {values}" in said


def test_one_name_means_one_thing():
    kinds, firsts = defaultdict(set), set()
    for command in COMMANDS.values():
        annotations = inspect.get_annotations(inspect.unwrap(command.callback))
        for one in options_of(command):
            firsts.add(one.opts[0])
            if one.name in annotations:
                kinds[one.opts[0]].add(values_of(annotations[one.name]))
    several = {name for name, found in kinds.items() if len(found) > 1}
    assert several == set(DIFFERENT_THINGS), several ^ set(DIFFERENT_THINGS)
    assert not firsts & OLD_NAMES


def test_every_subcommand_is_this_projects_kind_of_command():
    assert all(isinstance(command, Command) for command in COMMANDS.values())


# ---- what is on stdout -------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["score", "compare"])
def test_json_on_stdout_is_all_of_stdout_and_equals_the_file(run_vhm, scored, tmp_path, command):
    path = tmp_path / "out.json"
    status, out, _ = run_vhm(*scored[command], "--json")
    assert status == 0
    status, table, _ = run_vhm(*scored[command], "--json", path)
    assert status == 0 and json.loads(out) == json.loads(path.read_text())
    assert "rouge" in table
    with pytest.raises(ValueError):
        json.loads(table)


WRITERS = {
    "human-eval sheet": "--hyp one --hyp two --lang en --ref ref --samples 1 --out made",
    "report": "runs --out made",
    "card": "runs/vhm/checkpoint_best.pt --out made",
    "prepare lexicon": "made --source one --target two --alignments links",
}
"""Commands whose result is files."""


@pytest.mark.parametrize("name", WRITERS)
def test_quiet_leaves_nothing_to_say_of_files_that_are_written(run_vhm, scored, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "runs" / "vhm")
    (tmp_path / "links").write_text("0-0 1-1\n0-0\n")
    words = (*name.split(), *WRITERS[name].split())
    made = tmp_path / "made"
    status, out, _ = run_vhm(*words)
    assert (status, made.exists()) == (0, True) and "made" in out
    shutil.rmtree(made) if made.is_dir() else made.unlink()
    status, out, err = run_vhm(*words, "--quiet")
    assert (status, out, made.exists()) == (0, "", True)
    assert all(line.startswith("vhm: warning: ") for line in err.splitlines())


@pytest.mark.parametrize("command", ["score", "compare"])
def test_quiet_prints_a_result_only_where_no_file_has_it(run_vhm, scored, tmp_path, command):
    assert run_vhm(*scored[command], "-q")[:2] == run_vhm(*scored[command])[:2]
    path = tmp_path / "out.json"
    assert run_vhm(*scored[command], "-q", "--json", path)[:2] == (0, "")
    assert json.loads(path.read_text()) == json.loads(run_vhm(*scored[command], "-q", "--json")[1])


def test_json_takes_the_next_word_only_if_it_is_a_file_of_json():
    card = COMMANDS["vhm card"]
    assert str(card.make_context("card", ["--json", "model.pt"]).params["json"]) == "-"
    assert str(card.make_context("card", ["model.pt", "--json", "a.json"]).params["json"]) == "a.json"
    score = COMMANDS["vhm score"]
    assert str(score.make_context("score", ["--hyp", "h", "--json", "scores"]).params["json"]) == "scores"
    assert str(score.make_context("score", ["--json", "--hyp", "h"]).params["json"]) == "-"


def test_a_json_file_in_no_folder_is_refused_before_the_work(run_vhm):
    status, out, err = run_vhm("card", "absent.pt", "--json", "nowhere/a.json")
    assert (status, out) == (1, "")
    assert err == "vhm: error: --json nowhere/a.json: there is no folder nowhere; create it first\n"


# ---- how a command ends ------------------------------------------------------------------------


def test_a_users_mistake_is_exit_status_1_and_one_line(run_vhm):
    status, out, err = run_vhm("score", "--hyp", "absent", "--ref", "absent", "--lang", "en")
    assert (status, out, err.count("\n")) == (1, "", 1) and err.startswith("vhm: error: absent: ")


@pytest.mark.parametrize(
    "words", ["report {} --out made", "compare --hyp {} --ref ref --lang en", "convert {} --to-hf --out made"]
)
def test_what_the_system_refuses_is_one_line_wherever_it_is_met(run_vhm, words):
    """Also of names that are too long, which Python asks the system for before a command reads them."""
    name = "x" * 300
    status, out, err = run_vhm(*words.format(name).split())
    assert (status, out) == (1, "") and err.startswith(f"vhm: error: {name}: File name too long; ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words", ["--user-dir loop doctor", "align loop --labse x --out made", "report loop --out made"]
)
def test_a_link_to_itself_is_no_folder(run_vhm, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    status, out, err = run_vhm(*words.split())
    assert (status, out, err.count("\n")) == (1, "", 1) and err.startswith("vhm: error: ")


# ---- progress ----------------------------------------------------------------------------------


def shown_on_a_terminal(monkeypatch, quiet: bool = False, **environment) -> str:
    """What a stage of three texts says on a terminal."""
    monkeypatch.delenv("CI", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours, its = pty.openpty()
    with os.fdopen(its, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with show_progress(quiet) as progress:
            progress.stage("reading", 3)
            assert list(progress.track([1, 2, 3], "texts")) == [1, 2, 3]
            progress.advance(3)
        terminal.write("end\n")
    text = b""
    while not text.endswith(b"end\r\n"):
        text += os.read(ours, 65536)
    os.close(ours)
    return text.decode()


def test_on_a_terminal_progress_says_what_is_done_and_how_long_it_takes_yet(monkeypatch):
    shown = shown_on_a_terminal(monkeypatch, TERM="xterm")
    assert "reading" in shown and "3/3" in shown and "left" in shown


@pytest.mark.parametrize("silent", [{"quiet": True}, {"CI": "true"}])
def test_quiet_and_ci_have_no_progress(monkeypatch, silent):
    assert shown_on_a_terminal(monkeypatch, **silent) == "end\r\n"


def test_a_pipe_has_no_progress(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_progress(quiet=False) as progress:
        progress.stage("reading", 3)
        assert list(progress.track([1, 2, 3], "texts")) == [1, 2, 3]
    assert capsys.readouterr().err == ""


def test_no_subcommand_draws_its_own_bars():
    folder = Path(cli.__file__).parent
    assert [path.name for path in folder.glob("*.py") if "tqdm" in path.read_text()] == []
