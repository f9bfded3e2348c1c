"""The commands of ``docs/pipeline.md``, run as they stand, on small models of the names that they use."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import tiny_seq2seq
from commands import REPOSITORY, of_page, text_of_test_set

DOCUMENTS = 3
SUMMARIES = ("OUT1", "OUT2", "OUT3")


@pytest.fixture(scope="module")
def workplace(toy_data, trained, tmp_path_factory) -> Path:
    """What the page names: a checkpoint and its DATA, models of HuggingFace's form, documents."""
    folder = tmp_path_factory.mktemp("pipeline")
    shutil.copytree(toy_data, folder / "DATA")
    settings = {"segmentation": {"kind": "word", "lowercase": False, "chinese_words": "char"}}
    (folder / "DATA" / "manifest.json").write_text(json.dumps(settings))
    (folder / "CHECKPOINT").symlink_to(trained / "checkpoint_last.pt")
    (folder / "fairseq_vhm").symlink_to(REPOSITORY / "fairseq_vhm")
    tiny_seq2seq.mt5(folder / "mT5_multilingual_XLSum", task_specific_params={})
    tiny_seq2seq.m2m(folder / "m2m100_418M", seed=1)
    for language in ("en", "fr"):
        lines = text_of_test_set(toy_data, "ms")[:DOCUMENTS]
        (folder / f"docs.{language}").write_text("".join(f"{line} .\n" for line in lines), encoding="utf-8")
    golden = REPOSITORY / "tests" / "golden"
    for name, copied in (("released.pt", "checkpoint-step-N"), ("released.vocab", "FILE")):
        shutil.copy(golden / name, folder / copied)
    return folder


def test_every_command_of_the_page_runs(forked, workplace):
    pipelines, (convert,) = of_page("pipeline.md", "vhm pipeline"), of_page("pipeline.md", "vhm convert")
    for command in (*pipelines, convert):
        forked(*shlex.split(command), cwd=workplace)
    for out in SUMMARIES:
        written = (workplace / out / "summaries.txt").read_text(encoding="utf-8")
        assert written.count("\n") == DOCUMENTS
    (decode,) = of_page("pipeline.md", "fairseq-interactive")
    word = (workplace / "FILE").read_text(encoding="utf-8").split()[0]
    process = forked(*shlex.split(decode), "--cpu", cwd=workplace, stdin=f"{word}\n{word} {word}\n")
    assert [line[:3] for line in process.stdout.splitlines() if line.startswith("D-")] == ["D-0", "D-1"]
    assert len(of_page("pipeline.md", "")) >= len(pipelines) + 2
