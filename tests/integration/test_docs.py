"""The commands of ``docs/``, run as they stand there, on files of the names that they use."""

import re
import shlex
import shutil
from pathlib import Path

import many_languages
import pytest
import tiny_encoders

from fairseq_vhm.data.corpus import Corpus

DOCS = Path(__file__).parents[2] / "docs"
ENGLISH = ["the court opened on monday .", "rain fell on the coast .", "a cat sat here .", "prices rose ."]
OTHER = ["the court opened .", "rain fell .", "a dog sat here .", "prices fell again ."]
CHINESE = ["法院周一开庭。", "海岸下雨。", "一只猫坐在这里。", "物价上涨。"]
NOT_RUN = {
    "docs/metrics.md": ["resultofpaper"],  # outputs that others have published
    "docs/human_eval.md": ["human-eval results"],  # needs what annotators did: tests/browser
}


def commands(document: str) -> list[str]:
    """The ``vhm`` commands in the code blocks of a document, continued lines joined."""
    text = (DOCS / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    skipped = NOT_RUN.get(f"docs/{document}", [])
    return [line for line in lines if line.startswith("vhm ") and not any(s in line for s in skipped)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, demo_like_run):
    folder = tmp_path_factory.mktemp("docs")
    texts = {
        **dict.fromkeys(("OUTPUT", "clsms"), OTHER),
        **dict.fromkeys(("REFERENCE", "reference"), ENGLISH),
        "tncls": [text.split()[0] for text in OTHER],
        "test.en": ENGLISH,
        "test.zh": CHINESE,
        "vhm.log": [text[1:] for text in CHINESE],
        "ms_cls.log": CHINESE[::-1],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copytree(demo_like_run, folder / "RUNS" / "vhm")
    corpus = Corpus.open(many_languages.write_corpus(folder / "DATA"))
    examples = enumerate(many_languages.examples_of(corpus))
    many_languages.write_outputs(folder / "test.log", {number: own[2] for number, own in examples})
    tiny_encoders.sentence_transformer(folder / "LaBSE")
    tiny_encoders.language_model(folder / "lid.176.bin")
    return folder


@pytest.fixture(scope="module")
def demo_like_run(toy_data, trained, forked, tmp_path_factory):
    """A trained run with its outputs."""
    from commands import decoding

    folder = tmp_path_factory.mktemp("runs") / "vhm"
    folder.mkdir()
    shutil.copy(trained / "checkpoint_last.pt", folder)
    done = forked("fairseq-generate", *decoding(toy_data, trained / "checkpoint_last.pt"))
    (folder / "test.log").write_text(done.stdout, encoding="utf-8")
    return folder


@pytest.mark.parametrize("document", ["metrics.md", "report.md", "human_eval.md"])
def test_every_command_of_the_document_runs(forked, workplace, document):
    found = commands(document)
    assert found
    for command in found:
        arguments = shlex.split(command)
        if "human-eval" in arguments:
            arguments += ["--samples", "3"]  # of four lines
        forked(*arguments, cwd=workplace)
    made = {"metrics.md": "compare.tex", "report.md": "report/index.html", "human_eval.md": "study/key.json"}
    assert (workplace / made[document]).stat().st_size > 0
