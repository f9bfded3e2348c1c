"""vhm pipeline with a checkpoint of many_to_many_summarization, which is told its languages."""

import re

import pytest
from commands import PLUGIN
from many import write_toy_corpus
from test_many_to_many import TASK, training
from test_pipeline import texts, vhm_here

DOCUMENTS = ["en1 en2 en3 en4 en5 en6", "en7 en3 en1 en1", "en2 en9"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_corpus(tmp_path_factory.mktemp("many") / "DATA")


@pytest.fixture(scope="module")
def trained(data, forked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("many_run")
    flags = ("--latents", "none", "--decoders", "task", "--tasks", "cls,mt,ms", "--batch-size", 24)
    forked("fairseq-train", *training(data, folder, *flags, updates=60))
    return folder / "checkpoint_last.pt"


@pytest.fixture
def command(data, trained, tmp_path):
    """vhm pipeline of two steps, both by the model: a summary in the source language, then in another."""

    def run(source, target, documents=DOCUMENTS, mt=trained, **settings):
        (tmp_path / "docs").write_text("".join(f"{line}\n" for line in documents), encoding="utf-8")
        out = tmp_path / "out"
        flags = ["--input", tmp_path / "docs", "--out", out, "--source-lang", source, "--target-lang", target]
        for step, model in (("mt", mt), ("ms", trained)):
            flags += [f"--{step}", model, f"--{step}-data", data, f"--{step}-segmentation", "none"]
        return vhm_here("pipeline", "summarize-then-translate", *flags, **settings), texts(out)

    return run


def interactive(forked, data, trained, lines, target, task="cls"):
    flags = ("--path", trained, "--beam", 4, "--lenpen", 0.6, "-s", "en", "-t", target, "--eval-task", task)
    process = forked("fairseq-interactive", data, *PLUGIN, *TASK, *flags, stdin="\n".join(lines))
    return re.findall(r"^D-\d+\t\S+\t(.*)$", process.stdout, re.MULTILINE)


def test_each_step_writes_what_fairseq_interactive_writes_in_its_language(command, forked, data, trained):
    _, written = command("en", "zh")
    summaries = interactive(forked, data, trained, DOCUMENTS, "en")
    assert written["source_summaries.txt"] == summaries
    translations = interactive(forked, data, trained, summaries, "zh", "mt")
    assert written["summaries.txt"] == translations
    assert translations != interactive(forked, data, trained, summaries, "zh")  # of another decoder


def test_a_model_that_was_not_trained_to_translate_is_refused(command, data, forked, tmp_path):
    flags = ("--latents", "none", "--tasks", "cls,ms")
    forked("fairseq-train", *training(data, tmp_path / "model", *flags, updates=1))
    error, _ = command("en", "zh", mt=tmp_path / "model" / "checkpoint_last.pt", fails=True)
    assert "--mt-task mt: the checkpoint was trained on cls,ms alone; give one trained on mt" in error


def test_a_language_that_the_corpus_lacks_is_refused(command):
    error, _ = command("en", "de", fails=True)
    assert "does not know the language de; it has en, fr, zh" in error
