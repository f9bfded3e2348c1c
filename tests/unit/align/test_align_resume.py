"""A run that is killed goes on where it was, and leaves what an undisturbed one leaves, byte by byte."""

import random
import signal
import subprocess
import sys

import aligned
import numpy as np
import pytest
import tiny_encoders
from aligned import Page

from fairseq_vhm.align.embed import open_store
from fairseq_vhm.align.run import Request, align
from fairseq_vhm.align.settings import Embedding
from fairseq_vhm.errors import UserError
from preprocess.progress import Progress

LANGUAGES = ("en", "fr", "zh-CN")
SETTINGS = Embedding("cpu", batch_size=4, shard=5)
SHARDS = 6  # nine summaries of each language


DYING = """
import os, signal, sys
from pathlib import Path
from fairseq_vhm.align.run import Request, align
from fairseq_vhm.align.settings import Embedding
from preprocess.progress import Progress

class Dying(Progress):
    name, left = "", int(sys.argv[1])

    def stage(self, name, total=None):
        self.name = name

    def advance(self, count):
        self.left -= self.name.startswith(("embed", "search"))
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

data, model, out = map(Path, sys.argv[2:])
align(Request((data,), model, out, embedding=Embedding("cpu", batch_size=4, shard=5)), Dying())
"""
"""A run that kills itself when so many shards and searches are done."""


@pytest.fixture
def data(tmp_path):
    draw, words = random.Random(7), tiny_encoders.WORDS
    pages = [
        Page(language, str(n), np.ones(1), summary=" ".join(draw.choices(words, k=6)))
        for language in LANGUAGES
        for n in range(9)
    ]
    return aligned.write(tmp_path / "xlsum", pages)


def test_a_run_that_was_killed_when_its_work_was_done_is_repeated_without_complaint(model, tmp_path, data):
    request = Request((data,), model, tmp_path / "out", embedding=SETTINGS)
    align(request, Progress())
    whole = aligned.tree(tmp_path / "out")
    align(request, Progress())
    assert aligned.tree(tmp_path / "out") == whole
    with next(data.glob("*.jsonl")).open("a", encoding="utf-8") as more:
        more.write(Page("en", "more", np.ones(1), summary="one more").line())
    with pytest.raises(UserError, match="is there already"):
        align(request, Progress())
    assert aligned.tree(tmp_path / "out") == whole


def test_a_killed_run_goes_on_and_leaves_the_same_bytes(model, tmp_path, data):
    whole = Request((data,), model, tmp_path / "whole", embedding=SETTINGS)
    align(whole, aligned.QUIET)
    request = Request((data,), model, tmp_path / "out", embedding=SETTINGS)
    cache, kept = tmp_path / "out.cache", {}
    for after in (3, SHARDS - 3 + 2):  # in the third of six shards; in the second of six searches
        arguments = [sys.executable, "-c", DYING, str(after), *map(str, (data, model, tmp_path / "out"))]
        process = subprocess.run(arguments, capture_output=True, text=True)
        assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
        assert not (tmp_path / "out").exists()
        found = {path: path.stat().st_mtime_ns for path in cache.rglob("*.np?") if ".keys-" not in path.name}
        assert kept.items() <= found.items() and len(found) > len(kept)
        kept = found
    align(request, aligned.QUIET)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert aligned.tree(tmp_path / "out") == aligned.tree(tmp_path / "whole")
    assert aligned.tree(cache) == aligned.tree(tmp_path / "whole.cache")
    assert len(list(open_store(model, cache, SETTINGS).folder.glob("*.keys.npy"))) == SHARDS


def test_a_failure_leaves_what_was_there(model, tmp_path, data):
    request = Request((data,), model, tmp_path / "out", embedding=SETTINGS, form="index")
    align(request, aligned.QUIET)
    before = aligned.tree(tmp_path / "out")

    class Stopping(Progress):
        def stage(self, name: str, total: int | None = None) -> None:
            if name == "draw figures":
                raise KeyboardInterrupt

    again = Request((data,), model, tmp_path / "out", embedding=SETTINGS, overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        align(again, Stopping())
    assert aligned.tree(tmp_path / "out") == before
    assert {path.name for path in tmp_path.iterdir()} == {"xlsum", "out", "out.cache"}
