"""DATA of other symbols, and as many, is refused wherever a checkpoint meets it."""

import shutil

import pytest
import torch
from commands import decoding, error_of, hypotheses, read, training

from fairseq_vhm.data.languages import MarkedDictionary
from fairseq_vhm.errors import UserError
from fairseq_vhm.models import VHMTransformerModel

REFUSAL = "its dictionary holds other symbols than the one that the checkpoint was trained with"


@pytest.fixture(scope="module")
def other(toy_data, tmp_path_factory):
    """The toy corpus as if prepared again: two symbols have changed places, so token ids mean others."""
    data = shutil.copytree(toy_data, tmp_path_factory.mktemp("other") / "DATA")
    for path in data.glob("*/dict.*.txt"):
        first, second, *rest = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([second, first, *rest]) + "\n", encoding="utf-8")
    return data


@pytest.mark.parametrize("command", ["generate", "interactive", "validate"])
def test_it_is_refused_in_decoding_and_validation(other, forked, trained, command):
    arguments = decoding(other, trained / "checkpoint_last.pt", "--max-tokens", 200)
    process = forked(f"fairseq-{command}", *arguments, fails=True, stdin="w1 w2\n")
    assert error_of(process).startswith(f"{other}: {REFUSAL}")


@pytest.mark.parametrize("way", ["checkpoint_last", "--restore-file", "--finetune-from-model"])
def test_it_is_refused_before_training_goes_on_and_no_checkpoint_is_replaced(
    other, forked, trained, tmp_path, way
):
    checkpoint = trained / "checkpoint_last.pt"
    if way == "checkpoint_last":
        shutil.copy(checkpoint, tmp_path)
        shutil.copy(checkpoint, tmp_path / "checkpoint_1_32.pt")  # not to be fallen back on either
    flags = [] if way == "checkpoint_last" else [way, checkpoint]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    process = forked("fairseq-train", *training(other, tmp_path, *flags, updates=70), fails=True)
    assert error_of(process).startswith(f"{other}: {REFUSAL}")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_it_is_refused_in_python(other, trained):
    with pytest.raises(UserError, match=REFUSAL):
        VHMTransformerModel.from_pretrained(
            str(trained), "checkpoint_last.pt", data_name_or_path=str(other)
        )


def test_models_of_two_dictionaries_are_neither_averaged_nor_decoded_with_together(
    toy_data, other, forked, trained, tmp_path
):
    forked("fairseq-train", *training(other, tmp_path, updates=1))
    both = trained / "checkpoint_last.pt", tmp_path / "checkpoint_last.pt"
    process = forked("vhm", "average", *both, "--out", tmp_path / "mean.pt", fails=True)
    assert process.stderr.startswith(f"vhm: error: {both[1]}: of another dictionary")
    ensemble = ":".join(map(str, both))
    process = forked("fairseq-generate", *decoding(toy_data, ensemble), fails=True)
    assert REFUSAL in error_of(process)


def test_counts_do_not_matter(toy_data, forked, trained, tmp_path):
    data = shutil.copytree(toy_data, tmp_path / "DATA")
    for path in data.glob("*/dict.*.txt"):
        words = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines()]
        path.write_text("".join(f"{word} 7\n" for word in words), encoding="utf-8")
    assert hypotheses(forked("fairseq-generate", *decoding(data, trained / "checkpoint_last.pt")))


def test_a_checkpoint_that_does_not_say_its_dictionary_is_taken_as_before(other, forked, trained, tmp_path):
    state = read(trained / "checkpoint_last.pt")
    del state["cfg"]["model"].dictionary_digest
    torch.save(state, tmp_path / "checkpoint_last.pt")
    assert hypotheses(forked("fairseq-generate", *decoding(other, tmp_path / "checkpoint_last.pt")))
    forked("fairseq-train", *training(other, tmp_path, updates=61))


def test_a_trimmed_checkpoint_belongs_to_its_new_dictionary(toy_data, other, forked, trained, tmp_path):
    checkpoint, text = trained / "checkpoint_last.pt", toy_data.parent / "text" / "cls" / "test.en"

    def trim(data, **how):
        arguments = [checkpoint, "--dict", data / "cls" / "dict.en.txt", "--text", text]
        return forked("vhm", "trim", *arguments, "--out", tmp_path / "out", **how)

    assert "holds other symbols than the one that" in trim(other, fails=True).stderr
    trim(toy_data)
    digest = read(tmp_path / "out" / "model.pt")["cfg"]["model"].dictionary_digest
    assert digest == MarkedDictionary.load(str(tmp_path / "out" / "dict.txt")).digest
    assert digest != read(checkpoint)["cfg"]["model"].dictionary_digest
