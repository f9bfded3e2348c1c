"""vhm convert and fairseq's commands on what it writes."""

import random
import re

import pytest
import released_twin as theirs
import torch
from commands import PLUGIN, TASK

WORDS = [f"w{i}" for i in range(30)]
SEARCH = ("--beam", 1, "--max-len-a", 0, "--max-len-b", 12)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of the released code whose outputs end, with its vocabulary."""
    folder = tmp_path_factory.mktemp("released")
    content = theirs.random_checkpoint(WORDS, seed=3)
    bias = content["model"]["task1_generator.linear_hidden.bias"]
    bias[: len(theirs.SPECIALS)] = -20.0  # trained models write none of them either
    bias[theirs.EOS] = 0.5
    torch.save(content, folder / "checkpoint-step-005000")
    (folder / "vocab").write_text("".join(word + "\n" for word in WORDS))
    return folder / "checkpoint-step-005000"


@pytest.fixture(scope="module")
def converted(checkpoint, forked):
    """The folder that vhm convert makes."""

    def command(name: str, *flags):
        out = checkpoint.with_name(name)
        given = [checkpoint, "--vocab", checkpoint.with_name("vocab"), "--out", out]
        forked("vhm", "convert", *given, "--source-lang", "zh", "--target-lang", "en", *flags)
        return out

    return command


@pytest.fixture(scope="module")
def sources() -> list[list[str]]:
    rng = random.Random(3)
    return [[rng.choice(WORDS) for _ in range(rng.randint(2, 9))] for _ in range(11)]


def expected(checkpoint, sources, task: str, latents: bool) -> list[str]:
    """The twin's greedy outputs."""
    twin = theirs.Twin(torch.load(checkpoint, weights_only=False)["model"])
    symbols = [*theirs.SPECIALS, *WORDS]
    outputs = []
    for text in sources:
        ids = [symbols.index(s) for s in (f"<{task.upper()}>", "<bos>", *text, "<eos>")]
        z = twin.infer(task, ids, None, noise=0.5)[0] if latents else None
        outputs.append([symbols[i] for i in twin.greedy(task, ids, z)])
    return [" ".join(output) for output in outputs]


def decode(forked, out, sources, *flags) -> list[str]:
    given = [out, *PLUGIN, *TASK, "-s", "zh", "-t", "en", "--path", out / "checkpoint.pt", *SEARCH, *flags]
    stdin = "\n".join(map(" ".join, sources))
    process = forked("fairseq-interactive", *given, "--buffer-size", 20, "--batch-size", 4, stdin=stdin)
    return re.findall(r"^D-\d+\t\S+\t(.*)$", process.stdout, re.MULTILINE)


@pytest.mark.parametrize("task", ["cls", "mt", "ms"])
def test_fairseq_interactive_writes_what_the_released_model_writes_with_its_latents(
    forked, converted, checkpoint, sources, task
):
    out = checkpoint.with_name("latents")
    if not out.exists():
        converted("latents")
    wanted = expected(checkpoint, sources, task, latents=True)
    assert len(set(wanted)) > 3
    assert decode(forked, out, sources, "--eval-task", task) == wanted


def test_without_latents_it_writes_what_the_released_decoder_writes(forked, converted, checkpoint, sources):
    out = converted("plain", "--without-latents")
    assert decode(forked, out, sources) == expected(checkpoint, sources, "cls", latents=False)


def test_fairseq_generate_reads_it_with_data_of_its_dictionary(forked, converted, checkpoint, sources):
    out, folder = converted("generate"), checkpoint.with_name("binarised")
    text = checkpoint.with_name("text")
    text.mkdir()
    for lang in ("zh", "en"):
        (text / f"test.{lang}").write_text("".join(" ".join(line) + "\n" for line in sources))
    dictionaries = ["--srcdict", out / "dict.txt", "--tgtdict", out / "dict.txt"]
    languages = ["-s", "zh", "-t", "en", "--testpref", text / "test", "--destdir", folder / "cls"]
    forked("fairseq-preprocess", *languages, *dictionaries)
    process = forked(
        "fairseq-generate", folder, *PLUGIN, *TASK, "--path", out / "checkpoint.pt", *SEARCH
    )
    found = dict(re.findall(r"^H-(\d+)\t\S+\t(.*)$", process.stdout, re.MULTILINE))
    wanted = expected(checkpoint, sources, "cls", latents=True)
    assert [found[str(number)] for number in range(len(sources))] == wanted


def test_a_mistake_is_one_line_and_leaves_no_folder(forked, checkpoint, tmp_path):
    given = [checkpoint, "--vocab", tmp_path / "none", "--out", tmp_path / "out"]
    process = forked("vhm", "convert", *given, "--source-lang", "zh", "--target-lang", "en", fails=True)
    assert process.returncode == 1
    assert process.stderr.startswith(f"vhm: error: --vocab {tmp_path / 'none'}: not a readable vocabulary")
    assert process.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
