"""ATS through the commands: a word that only the lexicon knows, its checkpoint, and bad lexicons."""

import json
import random
import shutil

import pytest
import tiny
import torch
from commands import decoding, error_of, hypotheses, read, training

ARCH = {"arch": "ats_transformer_tiny"}
UNSEEN = ("w18", "w19")
"""Source words of the test set that no training text has; nor has any their translations."""
UPDATES = 260
SETTINGS = ("--translation-strategy", "naive", "--lr", 0.005, "--max-tokens", 600, "--seed", 4)


def translation(word: str) -> str:
    return f"w{int(word[1:]) + 20}"


def write_lexicon(path, words=None) -> str:
    """A lexicon of the toy corpus with a wrong, less probable translation of each word."""
    rows = []
    for number in range(20) if words is None else words:
        rows += [f"w{number}\tw{20 + number}\t0.8", f"w{number}\tw{20 + (number + 1) % 20}\t0.2"]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def write_parts(folder) -> None:
    """CLS data of the toy corpus' kind: summaries mirror the first three words of a document."""
    draw = random.Random(4)
    seen = [f"w{i}" for i in range(18)]
    for split, size in (("train", 400), ("valid", 20), ("test", 60)):
        documents = [draw.choices(seen, k=draw.randint(4, 9)) for _ in range(size)]
        if split == "test":
            for document in documents:
                document[draw.randrange(3)] = draw.choice(UNSEEN)
        texts = {"en": documents, "zh": [list(map(translation, d[:3])) for d in documents]}
        for language, lines in texts.items():
            path = folder / "text" / "cls" / f"{split}.{language}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture(scope="module")
def unseen_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unseen")
    write_parts(folder)
    return tiny.binarise(folder, {"cls": {"train": 400, "valid": 20, "test": 60}})


@pytest.fixture(scope="module")
def learnt(unseen_data, forked, tmp_path_factory):
    """Folder of an ATS trained on CLS alone, whose lexicon has been deleted since."""
    folder = tmp_path_factory.mktemp("ats")
    path = write_lexicon(folder / "lexicon.tsv")
    flags = ("--tasks", "cls", "--lexicon", path, *SETTINGS)
    forked("fairseq-train", *training(unseen_data, folder, *flags, updates=UPDATES, **ARCH))
    (folder / "lexicon.tsv").unlink()
    return folder


def best_lines(process) -> dict[int, str]:
    return {number: found[0][1] for number, found in hypotheses(process).items()}


def share_found(process, data) -> float:
    """Share of the unseen words of the test documents' beginnings that the output translates."""
    documents = (data.parent / "text" / "cls" / "test.en").read_text().splitlines()
    outputs = best_lines(process)
    pairs = [(i, word) for i, line in enumerate(documents) for word in line.split()[:3] if word in UNSEEN]
    assert len(pairs) >= 60
    return sum(translation(word) in outputs[i].split() for i, word in pairs) / len(pairs)


def test_words_that_only_the_lexicon_knows_are_put_out(learnt, unseen_data, forked, tmp_path):
    """With the gate closed, the same model says none of them: its softmax never learnt to."""
    folder = unseen_data.parent / "text" / "cls"
    training_text = {*(folder / "train.en").read_text().split(), *(folder / "train.zh").read_text().split()}
    assert not {*UNSEEN, *map(translation, UNSEEN)} & training_text
    checkpoint = learnt / "checkpoint_last.pt"
    closed = read(checkpoint)
    closed["model"]["decoder.gate.output.weight"].zero_()
    closed["model"]["decoder.gate.output.bias"].fill_(-1e9)
    torch.save(closed, tmp_path / "closed.pt")
    shares = [
        share_found(
            forked("fairseq-generate", *decoding(unseen_data, path, "--max-tokens", 2000)), unseen_data
        )
        for path in (checkpoint, tmp_path / "closed.pt")
    ]
    assert shares[0] > 0.4
    assert shares[1] == 0


def test_each_sentence_is_decoded_as_if_it_were_alone(learnt, unseen_data, forked):
    together, alone, beam_one = (
        forked(
            "fairseq-generate",
            *decoding(unseen_data, learnt / "checkpoint_last.pt", "--batch-size", size, "--beam", beam),
        )
        for size, beam in ((60, 3), (1, 3), (60, 1))
    )
    assert best_lines(together) == best_lines(alone)
    assert len(best_lines(beam_one)) == 60


def test_interactive_and_ensembles_decode_without_the_lexicon_file(learnt, unseen_data, forked, tmp_path):
    checkpoint = learnt / "checkpoint_last.pt"
    twin = shutil.copy(checkpoint, tmp_path / "twin.pt")
    line = "w18 w3 w5 w7\n"
    outputs = [
        best_lines(forked("fairseq-interactive", *decoding(unseen_data, path), stdin=line))[0]
        for path in (checkpoint, f"{checkpoint}:{twin}")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].split()


def test_a_run_goes_on_without_its_lexicon_but_not_with_another(learnt, unseen_data, forked, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(learnt / "checkpoint_last.pt", run)
    flags = ("--tasks", "cls", *SETTINGS)
    more = training(unseen_data, run, *flags, updates=UPDATES + 2, **ARCH)
    other = write_lexicon(tmp_path / "other.tsv", words=range(5))
    refused = forked("fairseq-train", *more, "--lexicon", other, fails=True)
    assert "the checkpoint was trained with another one" in error_of(refused)
    forked("fairseq-train", *more)
    before, after = (read(folder / "checkpoint_last.pt")["model"] for folder in (learnt, run))
    assert (after["encoder.lexicon.words"] == before["encoder.lexicon.words"]).all()


@pytest.mark.parametrize("strategy", ["naive", "equivalent"])
def test_all_tasks_train_in_half_precision_with_every_strategy(toy_data, forked, tmp_path, strategy):
    path = write_lexicon(tmp_path / "lexicon.tsv")
    flags = ("--lexicon", path, "--translation-strategy", strategy, "--lexicon-candidates", 1)
    half = ("--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 4)
    forked("fairseq-train", *training(toy_data, tmp_path, *flags, *half, updates=3, **ARCH))
    weights = read(tmp_path / "checkpoint_last.pt")["model"]
    assert weights["encoder.lexicon.words"].size(1) == 1
    assert all(value.isfinite().all() for value in weights.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "needs --lexicon FILE"),
        ("missing", "not a readable lexicon (No such file or directory)"),
        ("", "an empty lexicon"),
        ("a\tb\t1\n", "DATA's dictionary has none of its words"),
        ("w1\tw2\t0.5\nw1\tw2\n", "lexicon.tsv:2: not an entry of a lexicon"),
    ],
)
def test_a_bad_lexicon_ends_in_one_line_before_training(toy_data, forked, tmp_path, content, message):
    path = tmp_path / "lexicon.tsv"
    if content not in (None, "missing"):
        path.write_text(content)
    flags = () if content is None else ("--lexicon", path)
    run = tmp_path / "run"
    process = forked("fairseq-train", *training(toy_data, run, *flags, **ARCH), fails=True)
    assert message in error_of(process)
    assert not list(run.glob("*.pt"))


# ---- vhm prepare -------------------------------------------------------------------------------


def test_symbols_are_what_was_binarised(toy_data, forked, tmp_path):
    done = forked("vhm", "prepare", "symbols", toy_data, tmp_path / "mt")
    assert done.stdout.split() == [f"{tmp_path / 'mt'}.{language}" for language in ("en", "zh")]
    for language in ("en", "zh"):
        original = toy_data.parent / "text" / "mt" / f"train.{language}"
        assert (tmp_path / f"mt.{language}").read_text() == original.read_text()
    missing = forked("vhm", "prepare", "symbols", toy_data, tmp_path / "x", "--task", "nli", fails=True)
    assert missing.returncode == 2 and "'nli' is not one of" in missing.stderr


def test_a_lexicon_of_given_alignments_holds_what_they_link(toy_data, forked, tmp_path):
    """The toy translations are word by word."""
    forked("vhm", "prepare", "symbols", toy_data, tmp_path / "mt")
    lengths = [len(line.split()) for line in (tmp_path / "mt.en").read_text().splitlines()]
    alignments = tmp_path / "diagonal"
    alignments.write_text("".join(" ".join(f"{i}-{i}" for i in range(n)) + "\n" for n in lengths))
    out = tmp_path / "lexicon.tsv"
    given = ("--data", toy_data, "--alignments", alignments, "--reverse-alignments", alignments)
    done = forked("vhm", "prepare", "lexicon", out, *given, "--json")
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert rows == sorted([f"w{i}", f"w{i + 20}", "1"] for i in range(20))
    account = json.loads(done.stdout)
    links = dict.fromkeys(("forward", "reverse", "both"), sum(lengths))
    assert account["links"] == links and account["lines"] == len(lengths) and account["coverage"] == 1.0
    said = forked("vhm", "prepare", "lexicon", out, *given)
    assert "20 translations of 20 words" in said.stdout


def test_a_lexicon_that_fails_leaves_what_was_there(toy_data, forked, tmp_path):
    out, alignments = tmp_path / "lexicon.tsv", tmp_path / "broken"
    out.write_text("before")
    alignments.write_text("0-0 1-99\n")
    given = ("--data", toy_data, "--alignments", alignments)
    failed = forked("vhm", "prepare", "lexicon", out, *given, fails=True)
    assert failed.stderr.strip().splitlines()[-1].startswith(f"vhm: error: {alignments}:1: link 1-99")
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "lexicon.tsv"]
