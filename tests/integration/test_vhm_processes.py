"""``vhm`` as a process: Ctrl-C, closed pipes, colours, a shell's completion."""

import os
import pty
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
VHM = str(BIN / "vhm")
COLOUR = "\x1b[36m"  # cyan, of options
TOLD = ("GITHUB_ACTIONS", "FORCE_COLOR", "NO_COLOR")  # by these rich and typer choose colours
PLAIN = {name: value for name, value in os.environ.items() if name not in TOLD}


def test_ctrl_c_is_exit_status_130_with_one_line_and_nothing_written(tmp_path):
    os.mkfifo(tmp_path / "hyp")
    (tmp_path / "ref").write_text("a\n")
    command = [VHM, "score", "--hyp", tmp_path / "hyp", "--ref", tmp_path / "ref", "--lang", "en"]
    process = subprocess.Popen(
        [*command, "--json", tmp_path / "out.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # background jobs ignore it
    )
    with (tmp_path / "hyp").open("w"):  # opens when the command reads
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "vhm: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hyp", "ref"]


@pytest.mark.parametrize("words", [["score", "--help"], ["--help"], ["--version"]])
def test_a_closed_pipe_ends_a_command_quietly(words):
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run([VHM, *words], stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, b"")


def on_a_terminal(**environment) -> str:
    """The help of a command as a terminal gets it."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [VHM, "average", "--help"], stdout=its, stderr=its, env=PLAIN | {"TERM": "xterm"} | environment
    ) as process:
        os.close(its)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # how Linux says that the other end is closed
            assert process.wait(60) == 0
    os.close(ours)
    return text.decode()


def in_a_pipe(**environment) -> str:
    command = [VHM, "average", "--help"]
    return subprocess.run(command, env=PLAIN | environment, capture_output=True, text=True, check=True).stdout


def test_colours_are_on_terminals_alone_unless_the_environment_says_otherwise():
    assert COLOUR in on_a_terminal().replace("\x1b[1;36m", COLOUR)
    assert COLOUR not in on_a_terminal(NO_COLOR="1").replace("\x1b[1;36m", COLOUR)
    assert "\x1b" not in in_a_pipe()
    assert "\x1b" in in_a_pipe(FORCE_COLOR="1")


def completed(line: str) -> list[str]:
    """What bash offers behind ``line``, by the script that ``--show-completion`` prints."""
    words = line.split(" ")
    program = """
        eval "$(_VHM_COMPLETE=source_bash vhm)"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _vhm_completion vhm
        printf '%s\n' "${COMPREPLY[@]}"
    """
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    found = subprocess.run(
        ["bash", "-c", program, "bash", *words], env=environment, capture_output=True, text=True, check=True
    )
    return found.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("vhm con", ["convert"]),
        ("vhm prepare lex", ["lexicon"]),
        ("vhm prepare trio --chinese-words ", ["jieba", "char"]),
        ("vhm score --metrics rouge,bl", ["rouge,bleu"]),
    ],
)
def test_bash_completes_commands_and_closed_choices(line, offered):
    assert completed(line) == offered


def test_completion_is_installed_where_bash_reads_it(tmp_path):
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    script = "vhm --install-completion && source ~/.bashrc && complete -p vhm"
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    assert "complete -o default -F _vhm_completion vhm" in done.stdout, done.stderr
