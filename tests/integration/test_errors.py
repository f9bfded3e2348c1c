"""What a user gets wrong ends in one line that names it and the remedy, before anything is trained."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ERROR, REPOSITORY, decoding, error_of, hypotheses, text_of_test_set, training

AGAIN = "fairseq-preprocess"


def remove_task(data: Path) -> None:
    shutil.rmtree(data / "mt")


def remove(name: str):
    return lambda data: (data / name).unlink()


def cut(name: str, removed: int):
    """Cut the last bytes of a file away."""

    def apply(data: Path) -> None:
        path = data / name
        path.write_bytes(path.read_bytes()[:-removed])

    return apply


def replace(name: str, other: str):
    """Put another binarised text in place of one."""

    def apply(data: Path) -> None:
        for extension in (".bin", ".idx"):
            shutil.copy(data / f"{other}{extension}", data / f"{name}{extension}")

    return apply


def swap_words(data: Path) -> None:
    path = data / "ms" / "dict.en.txt"
    first, second, *others = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([second, first, *others]) + "\n", encoding="utf-8")


def shorten_dictionaries(data: Path) -> None:
    for path in data.glob("*/dict.*.txt"):
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(True)[:15]), encoding="utf-8")


def empty_split(data: Path) -> None:
    """An index without texts: the header (magic, version, type) and two zeros."""
    for language in ("en", "zh"):
        prefix = data / "cls" / f"train.en-zh.{language}"
        header = prefix.with_suffix(f".{language}.idx").read_bytes()[:18]
        prefix.with_suffix(f".{language}.idx").write_bytes(header + bytes(8))
        prefix.with_suffix(f".{language}.bin").write_bytes(b"")


BROKEN_DATA = {
    "missing task": (remove_task, ["/mt", "--tasks"]),
    "missing target": (remove("cls/train.en-zh.zh.bin"), ["cls/train.en-zh.zh.bin", AGAIN]),
    "missing target index": (remove("mt/train.en-zh.zh.idx"), ["mt/train.en-zh.zh.idx", AGAIN]),
    "missing source": (remove("cls/train.en-zh.en.bin"), ["cls/train.en-zh.en.bin", AGAIN]),
    "missing validation": (remove("ms/valid.en-en_sum.en.idx"), ["ms/valid.en-en_sum.en", AGAIN]),
    "missing dictionary": (remove("mt/dict.zh.txt"), ["mt/dict.zh.txt", AGAIN]),
    "binary cut short": (cut("cls/train.en-zh.zh.bin", 7), ["cls/train.en-zh.zh.bin", AGAIN]),
    "index cut short": (cut("mt/train.en-zh.en.idx", 9), ["mt/train.en-zh.en.idx", AGAIN]),
    "index all but gone": (cut("mt/train.en-zh.en.idx", 1220), ["mt/train.en-zh.en.idx", AGAIN]),
    "validation cut short": (cut("ms/valid.en-en_sum.en.bin", 2), ["ms/valid.en-en_sum.en.bin"]),
    "unequal sides": (
        replace("cls/train.en-zh.zh", "mt/train.en-zh.zh"),
        ["cls/train.en-zh.zh", "100", "60", "line-aligned"],
    ),
    "other dictionary": (swap_words, ["ms/dict.en.txt", "--joined-dictionary"]),
    "dictionary too small": (shorten_dictionaries, ["dict.en.txt", "another dictionary"]),
    "empty split": (empty_split, ["cls/train.en-zh", "no text"]),
}

CONTRADICTIONS = {
    "unknown latent": (["--latents", "foo"], ["--latents foo", "mt, ms, cls"]),
    "latent named twice": (["--latents", "mt,mt"], ["--latents mt,mt", "twice"]),
    "no hierarchy to cut": (["--no-hierarchy", "--latents", "cls"], ["--no-hierarchy", "--latents cls"]),
    "latents of absent tasks": (["--tasks", "cls"], ["--latents", "--tasks"]),
    "unknown task": (["--tasks", "cls,foo"], ["--tasks cls,foo"]),
    "criterion without KL": (
        ["--criterion", "label_smoothed_cross_entropy"],
        ["--criterion label_smoothed_cross_entropy", "--criterion elbo", "--latents none"],
    ),
    "ratio of zero": (["--task-ratio", "0"], ["--task-ratio 0"]),
    "ratio of zero for one": (["--task-ratio", "cls:0"], ["--task-ratio cls:0"]),
    "ratio of another task": (["--task-ratio", "foo:1"], ["--task-ratio foo:1"]),
    "no pairs": (["--cls-fraction", "0"], ["--cls-fraction 0", "above 0"]),
    "more than all pairs": (["--cls-fraction", "1.5"], ["--cls-fraction 1.5"]),
    "draws of the mean": (["--latent-samples", "3"], ["--latent-samples 3", "--latent-inference sample"]),
    "batch under a pair": (["--max-tokens", "5"], ["--max-tokens 5", "longest", "--max-source-positions"]),
    "validation batch under a pair": (["--max-tokens-valid", "5"], ["--max-tokens-valid 5", "longest"]),
    "no JSON": (["--eval-rouge", "--eval-gen-args", "beam=4"], ["--eval-gen-args beam=4", "JSON"]),
    "JSON of another kind": (["--eval-rouge", "--eval-gen-args", "[4]"], ["--eval-gen-args [4]", "JSON"]),
    "negative anneal": (["--kl-anneal-steps", "-1"], ["--kl-anneal-steps"]),
    "unknown tag": (["--task-tag", "foo"], ["--task-tag foo", "source, target, none"]),
    "a model that is not told the task": (
        ["--arch", "transformer"],
        ["--arch transformer", "vhm_transformer"],
    ),
    "metric that is not computed": (
        ["--best-checkpoint-metric", "rougeL", "--maximize-best-checkpoint-metric"],
        ["--best-checkpoint-metric rougeL", "--eval-rouge"],
    ),
    "schedule without a window": (
        ["--fp16", "--update-freq", "2,1"],
        ["--update-freq 2,1", "--fp16-scale-window"],
    ),
    "missing validation subset": (["--valid-subset", "valid_foo"], ["valid_foo", AGAIN]),
}


def refusal_of_training(forked, data, tmp_path, *flags) -> str:
    """The one line that fairseq-train ends in, having written nothing."""
    message = error_of(forked("fairseq-train", *training(data, tmp_path / "run", *flags), fails=True))
    assert not list((tmp_path / "run").glob("*"))
    return message


@pytest.mark.parametrize("case", BROKEN_DATA)
def test_broken_data_are_refused_before_training(toy_data, forked, tmp_path, case):
    break_data, expected = BROKEN_DATA[case]
    data = shutil.copytree(toy_data, tmp_path / "DATA")
    break_data(data)
    message = refusal_of_training(forked, data, tmp_path)
    for part in expected:
        assert part in message


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_flags_that_make_no_sense_are_refused_before_training(toy_data, forked, tmp_path, case):
    flags, expected = CONTRADICTIONS[case]
    message = refusal_of_training(forked, toy_data, tmp_path, *flags)
    for part in expected:
        assert part in message


def test_missing_data_are_refused(forked, tmp_path):
    message = refusal_of_training(forked, tmp_path / "nowhere", tmp_path)
    assert "nowhere" in message


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--latent-samples", 3], ["--latent-samples 3", "--latent-inference sample"]),
        (["--latent-samples", 0], ["--latent-samples 0"]),
        (["--gen-subset", "nowhere"], ["nowhere"]),
    ],
)
def test_flags_that_make_no_sense_are_refused_at_generation(toy_data, forked, trained, flags, expected):
    arguments = decoding(toy_data, trained / "checkpoint_last.pt", *flags)
    message = error_of(forked("fairseq-generate", *arguments, fails=True))
    for part in expected:
        assert part in message


def test_data_of_another_dictionary_are_refused_at_generation(toy_data, forked, trained, tmp_path):
    data = shutil.copytree(toy_data, tmp_path / "DATA")
    shorten_dictionaries(data)
    arguments = decoding(data, trained / "checkpoint_last.pt")
    message = error_of(forked("fairseq-generate", *arguments, fails=True))
    assert "dict" in message


FORGOTTEN = {  # what is left out of the command, or given wrongly, and what the one line says
    "no --arch": ("train", ["--arch"], [], "--arch: missing; give --arch vhm_transformer"),
    "no --task in training": ("train", ["--task"], [], "give --task cross_lingual_summarization"),
    "no --optimizer": ("train", ["--optimizer"], [], "--optimizer: missing; give --optimizer adam"),
    "no --max-tokens in training": ("train", ["--max-tokens"], [], "--max-tokens: missing; give it"),
    "no --task in decoding": ("generate", ["--task"], [], "give --task cross_lingual_summarization"),
    "no --task in validation": ("validate", ["--task"], [], "--task: missing; give --task"),
    "no --max-tokens in validation": ("validate", [], [], "--max-tokens: missing; give it"),
    "no --path": ("generate", ["--path"], [], "--path: missing; give --path"),
    "no --path for lines": ("interactive", ["--path"], [], "--path: missing; give --path"),
    "no --path in validation": ("validate", ["--path"], ["--max-tokens", 500], "--path: missing; give"),
    "misspelt": ("generate", [], ["--remove-bpe", "sentencpiece"], "(--remove-bpe) sentencpiece: unknown"),
    "no model": ("interactive", [], ["--bpe", "sentencepiece"], "needs --sentencepiece-model: give"),
    "missing model": (
        "interactive",
        [],
        ["--bpe", "sentencepiece", "--sentencepiece-model", "none.model"],
        "--sentencepiece-model none.model: missing; give",
    ),
    "no SentencePiece model": (
        "interactive",
        [],
        ["--bpe", "sentencepiece", "--sentencepiece-model", "README.md"],
        "--sentencepiece-model README.md: not a SentencePiece model; give",
    ),
    "two that do not fit": (
        "interactive",
        [],
        ["--batch-size", 5],
        "--batch-size cannot be larger than --buffer-size; mend one of them",
    ),
    "turned round": ("generate", [], ["-s", "zh", "-t", "en"], "cls: holds en-zh (test, train, valid)"),
    "misspelt split": ("generate", [], ["--gen-subset", "tst"], "holds en-zh (test, train, valid); name one"),
}


@pytest.mark.parametrize("case", FORGOTTEN)
def test_a_forgotten_or_misspelt_flag_is_named_with_its_remedy(toy_data, forked, trained, tmp_path, case):
    command, left_out, given, expected = FORGOTTEN[case]
    decodes = decoding(toy_data, trained / "checkpoint_last.pt")
    whole = training(toy_data, tmp_path) if command == "train" else decodes
    for flag in left_out:
        place = whole.index(flag)
        del whole[place : place + 2]
    assert expected in error_of(forked(f"fairseq-{command}", *whole, *given, fails=True, stdin="w1\n"))


def test_another_error_of_the_same_class_keeps_its_stack_trace():
    from fairseq_vhm.compat.plain_words import in_plain_words

    for error in (RuntimeError(), KeyError("None"), AssertionError("--path required for generation!")):
        try:
            raise error
        except Exception as raised:
            assert in_plain_words(raised) is None


@pytest.mark.parametrize("blank", ["", "   ", "\t"])
@pytest.mark.parametrize("way", ["stdin", "file"])
def test_an_empty_line_is_refused_with_its_number(toy_data, forked, trained, tmp_path, way, blank):
    text = f"w1 w2\n{blank}\nw3\n"
    flags, given = [], {"stdin": text}
    if way == "file":
        (tmp_path / "input").write_text(text, encoding="utf-8")
        flags, given = ["--input", tmp_path / "input"], {}
    arguments = decoding(toy_data, trained / "checkpoint_last.pt", *flags)
    message = error_of(forked("fairseq-interactive", *arguments, fails=True, **given))
    assert "line 2" in message
    assert "empty" in message


BROKEN_BYTES = b"w1 w2\nw3 \xff\xfe w4\n"


@pytest.mark.parametrize("way", ["stdin", "file"])
def test_broken_utf8_is_refused_with_its_line(toy_data, forked, trained, tmp_path, way):
    flags, given = [], {"stdin": BROKEN_BYTES}
    if way == "file":
        (tmp_path / "input").write_bytes(BROKEN_BYTES)
        flags, given = ["--input", tmp_path / "input"], {}
    arguments = decoding(toy_data, trained / "checkpoint_last.pt", *flags)
    message = error_of(forked("fairseq-interactive", *arguments, fails=True, **given))
    assert "line 2" in message
    assert "UTF-8" in message


def test_broken_utf8_is_refused_under_a_utf8_locale_too(toy_data, trained):
    """There Python's stdin itself is strict, where under the C locale it lets such bytes through."""
    program = Path(sys.executable).parent / "fairseq-interactive"
    process = subprocess.run(
        [str(program), *map(str, decoding(toy_data, trained / "checkpoint_last.pt"))],
        cwd=REPOSITORY,
        input=BROKEN_BYTES,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert process.returncode != 0
    errors = process.stderr.decode()
    assert "Traceback" not in errors
    assert ERROR in errors.splitlines()[-1]
    assert "UTF-8" in errors.splitlines()[-1]


def test_a_line_is_cut_at_the_longest_source_and_not_skipped(toy_data, forked, trained):
    text = " ".join(["w1"] * 2000) + "\n" + text_of_test_set(toy_data)[0] + "\n"
    process = forked("fairseq-interactive", *decoding(toy_data, trained / "checkpoint_last.pt"), stdin=text)
    assert list(hypotheses(process)) == [0, 1]
