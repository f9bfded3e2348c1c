"""Checkpoints of runs on another machine, whose GPUs, files and launcher this one does not have."""

import sys

import pytest
import torch
from golden.golden import HERE, data_of, figures

from fairseq_vhm.card.settings import differing
from fairseq_vhm.cli import main
from fairseq_vhm.compat.checkpoints import read
from fairseq_vhm.report.checkpoint import read_checkpoint

HOME = HERE / "vhm_transformer.pt"
THERE = {
    "eight GPUs": {"distributed_world_size": 8, "distributed_no_spawn": False, "cpu": False},
    "restored": {"restore_file": "../pretrained/x.pt"},
    "fine-tuned": {"finetune_from_model": "../pretrained/x.pt"},
    "under Slurm": {"distributed_port": 29500},
}
SLURM = {
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "node[7-8]",
}


@pytest.fixture(params=THERE)
def elsewhere(request, tmp_path, monkeypatch):
    """The checkpoint as a run with these settings would have written it, read in a task of Slurm."""
    state = read(str(HOME))
    vars(state["cfg"]["model"]).update(THERE[request.param])
    (tmp_path / "run").mkdir()
    torch.save(state, tmp_path / "run" / "checkpoint_best.pt")
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "run" / "checkpoint_best.pt"


def test_a_run_of_another_machine_is_described_as_one_of_this(elsewhere):
    there, here = read_checkpoint(elsewhere), read_checkpoint(HOME)
    assert there.configuration == here.configuration
    assert differing(there) == differing(here)


def test_a_run_of_another_machine_has_a_card_and_computes_what_it_did(elsewhere, monkeypatch, capsys):
    card = elsewhere.parent / "card"
    monkeypatch.setattr(sys, "argv", ["vhm", "card", str(elsewhere), "--out", str(card)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr().err
    assert "vhm_transformer" in (card / "README.md").read_text(encoding="utf-8")
    data = data_of("vhm_transformer")
    assert figures(elsewhere, data, ("cls",)) == figures(HOME, data, ("cls",))
