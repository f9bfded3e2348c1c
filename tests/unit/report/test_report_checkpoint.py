"""Settings and sizes of checkpoints."""

import os

import pytest
import torch
from reports import write_checkpoint
from tiny import make_model

from fairseq_vhm.errors import UserError
from fairseq_vhm.report.checkpoint import count_parameters, find_checkpoint, read_checkpoint


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"share_all_embeddings": True},
        {"share_encoder_decoder_embeddings": False},
        {"latents": "none", "biases": "fairseq"},
    ],
)
@pytest.mark.parametrize("copied", [False, True])
def test_parameters_are_those_of_the_model_shared_ones_once(flags, copied, tmp_path):
    model = make_model(**flags)
    weights = model.state_dict()
    if copied:  # as a checkpoint written from a GPU holds them
        weights = {name: tensor.clone() for name, tensor in weights.items()}
    checkpoint = read_checkpoint(write_checkpoint(tmp_path, weights))
    assert checkpoint.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_equal_tensors_that_are_no_tables_are_two():
    zeros = {"a.bias": torch.zeros(7), "b.bias": torch.zeros(7)}
    assert count_parameters(zeros) == 14


def test_settings_are_read_whichever_section_holds_them(tmp_path):
    write_checkpoint(tmp_path, latents="none", cls_fraction=0.1, seed=4, updates=123)
    checkpoint = read_checkpoint(tmp_path / "checkpoint_best.pt")
    found = {key: checkpoint.settings[key] for key in ("latents", "cls_fraction", "seed", "arch")}
    assert found == {"latents": "none", "cls_fraction": 0.1, "seed": 4, "arch": "vhm_transformer"}
    assert checkpoint.updates == 123


def test_a_configuration_is_the_same_for_every_seed_and_place(tmp_path):
    one, two, other = (
        read_checkpoint(write_checkpoint(tmp_path / name, **settings)).configuration
        for name, settings in {
            "one": {"seed": 1, "data": "a", "save_dir": "x"},
            "two": {"seed": 2, "data": "b", "save_dir": "y"},
            "other": {"kl_anneal_steps": 7},
        }.items()
    )
    assert one == two
    assert {key for key in one if one[key] != other[key]} == {"kl_anneal_steps"}


def test_settings_that_came_later_stand_at_their_defaults_in_older_runs(tmp_path):
    later = {"aggressive_inference": 1, "latent_projection": "task"}
    old, new, other = (
        read_checkpoint(write_checkpoint(tmp_path / name, **settings)).configuration
        for name, settings in {"old": {}, "new": later, "other": {"latent_projection": "states"}}.items()
    )
    assert old == new
    assert {key for key in old if old[key] != other[key]} == {"latent_projection"}


def test_the_best_checkpoint_is_taken_else_the_last_else_the_newest(tmp_path):
    for age, name in enumerate(["checkpoint_1_10.pt", "checkpoint_2_20.pt", "checkpoint_last.pt"]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    assert find_checkpoint(tmp_path).name == "checkpoint_last.pt"
    (tmp_path / "checkpoint_last.pt").unlink()
    assert find_checkpoint(tmp_path).name == "checkpoint_2_20.pt"
    (tmp_path / "checkpoint_best.pt").touch()
    assert find_checkpoint(tmp_path).name == "checkpoint_best.pt"
    assert find_checkpoint(tmp_path / "nowhere") is None


class Program:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_a_checkpoint_that_would_run_a_program_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {}, "cfg": Program()}, tmp_path / "checkpoint_best.pt")
    with pytest.raises(UserError, match="refused, since it holds more than weights"):
        read_checkpoint(tmp_path / "checkpoint_best.pt")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_is_cut_or_none_is_said_to_be(tmp_path):
    path = write_checkpoint(tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="cut short or not a checkpoint"):
        read_checkpoint(path)
    torch.save({"weights": 1}, path)
    with pytest.raises(UserError, match="holds no model of fairseq's"):
        read_checkpoint(path)
