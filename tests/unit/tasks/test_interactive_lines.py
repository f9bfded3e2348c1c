"""Lines of fairseq-interactive: refused by number where they are read off a file, warned of at a prompt."""

import fileinput
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from fairseq_vhm.errors import UserError

BROKEN = {"empty": " ", "not UTF-8": "w1 \udcff", "replaced": "w1 \ufffd"}


@pytest.fixture(params=["cross_lingual", "many_to_many"])
def encode(request):
    """The task's own way to take lines."""
    flags = {} if request.param == "cross_lingual" else {"target_lang": "en"}
    task = request.getfixturevalue(request.param)(**flags)
    return lambda *lines: task.get_interactive_tokens_and_lengths(list(lines), lambda line: line)


@contextmanager
def terminal(monkeypatch) -> Iterator[int]:
    """stdin as a terminal of the system's; where its keys are pressed."""
    keys, screen = os.openpty()
    with open(screen, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield keys
    os.close(keys)


@contextmanager
def reading(name: str) -> Iterator[fileinput.FileInput]:
    """Lines as fairseq reads them."""
    with closing(fileinput.input(files=[name], openhook=fileinput.hook_encoded("utf-8"))) as lines:
        yield lines


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_line_of_a_file_is_refused_even_at_a_terminal(encode, monkeypatch, tmp_path, kind):
    """Where a person sits, but does not see which of a thousand summaries is invented."""
    (tmp_path / "input").write_text("w1 w2\nw3\n", encoding="utf-8")
    with terminal(monkeypatch), reading(str(tmp_path / "input")) as lines:
        tokens, lengths = encode(next(lines).strip())
        assert lengths == [3] and len(tokens) == 1
        next(lines)
        said = "empty" if kind == "empty" else "not UTF-8"
        with pytest.raises(UserError, match=f"^input line 2: {said}; "):
            encode(BROKEN[kind])


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_line_at_a_prompt_is_warned_of_and_the_next_is_taken(encode, monkeypatch, caplog, kind):
    with terminal(monkeypatch) as keys, reading("-") as lines:
        os.write(keys, b"w1 w2\n")
        assert next(lines).strip() == "w1 w2"
        assert encode("w1 w2")[1] == [3] and caplog.text == ""
        encode(BROKEN[kind])
        assert "the output is invented" in caplog.text


def test_a_broken_line_of_a_pipe_and_of_a_closed_stdin_is_refused(encode, monkeypatch):
    with open(os.devnull) as pipe:
        for number, stdin in enumerate((pipe, None), start=1):
            monkeypatch.setattr(sys, "stdin", stdin)
            with pytest.raises(UserError, match=f"^input line {number}: empty; "):
                encode("")
