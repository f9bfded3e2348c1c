"""vhm average: the mean of what was learned, of one run's checkpoints alone, written whole."""

from pathlib import Path

import pytest
import torch
from golden.golden import HERE

from fairseq_vhm.checkpoints import average, save
from fairseq_vhm.errors import UserError

WORDS = {"encoder.lexicon.words": torch.tensor([[3, 2**24 + 1]], dtype=torch.int32)}


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def checkpoint(path: Path, weights: dict, **more) -> Path:
    """As fairseq-train wrote one, with other weights."""
    others = {"model": weights, "last_optimizer_state": {"m": 1}}
    torch.save({**read(HERE / "vhm_transformer.pt"), **others, **more}, path)
    return path


def test_the_mean_is_taken_exactly_and_given_in_the_kind_of_the_weights(tmp_path):
    values = torch.tensor([1.0, 1.0 + 2**-10, 3.0])
    inputs = [
        checkpoint(tmp_path / f"{n}.pt", {"w": value.reshape(1), "half": value.half()}, number=n)
        for n, value in enumerate(values)
    ]
    average(inputs, tmp_path / "mean.pt")
    state = read(tmp_path / "mean.pt")
    assert torch.equal(state["model"]["w"], values.double().mean().float().reshape(1))
    assert torch.equal(state["model"]["half"], values.half().double().mean().half())
    assert (state["last_optimizer_state"], state["number"]) == (None, 2)


def test_tables_of_numbers_stay_what_they_are_and_other_ones_are_refused(tmp_path):
    one = checkpoint(tmp_path / "one.pt", {"w": torch.ones(1), **WORDS})
    average([one, one, one], tmp_path / "mean.pt")
    assert torch.equal(read(tmp_path / "mean.pt")["model"]["encoder.lexicon.words"], *WORDS.values())
    other = {name: table + 1 for name, table in WORDS.items()}
    two = checkpoint(tmp_path / "two.pt", {"w": torch.ones(1), **other})
    with pytest.raises(UserError, match=r"two.pt: its parameter 'encoder.lexicon.words' is not that of"):
        average([one, two], tmp_path / "other.pt")
    assert not (tmp_path / "other.pt").exists()


def test_an_input_may_be_replaced(tmp_path):
    one, two = (checkpoint(tmp_path / f"{n}.pt", {"w": torch.full((2,), n)}) for n in (1.0, 3.0))
    average([one, two], one)
    assert read(one)["model"]["w"].tolist() == [2.0, 2.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.0.pt", "3.0.pt"]


def test_a_place_that_cannot_be_written_to_is_named_before_anything_is_read(tmp_path):
    for out, why in ((tmp_path / "no" / "mean.pt", "there is no folder"), (tmp_path, "is a folder")):
        with pytest.raises(UserError, match=f"--out {out}: {why}"):
            average([tmp_path / "absent.pt"], out)


def test_a_save_that_fails_leaves_what_was_there_and_nothing_else(tmp_path):
    path = checkpoint(tmp_path / "a.pt", {"w": torch.ones(1)})
    with pytest.raises(Exception, match="lambda"):
        save({"model": lambda: 0}, path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.pt"] and read(path)["model"]["w"] == 1
    with pytest.raises(UserError, match=r"cannot be written: File name too long"):
        save({}, tmp_path / ("x" * 250))
