"""The rank that torchrun or Slurm started a process as, from the variables that they set (Slurm 22.05's)."""

import os
from argparse import Namespace

import pytest
import torch

from fairseq_vhm.compat.launchers import join_launcher
from fairseq_vhm.errors import UserError

LAST_OF_FOUR = {
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "node[7-8]",
}
TORCHRUN = {"RANK": "5", "WORLD_SIZE": "6", "LOCAL_RANK": "2", "MASTER_ADDR": "node7", "MASTER_PORT": "29500"}


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Join as a process with these variables that sees ``gpus`` (``scontrol``: its lines, or no program)."""

    def start(
        variables: dict, gpus: int, scontrol: str | None = "echo node7; echo node8", **flags
    ) -> Namespace:
        for name in os.environ.keys() & {*LAST_OF_FOUR, *TORCHRUN}:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if scontrol is not None:
            (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{scontrol}\n")
            (tmp_path / "scontrol").chmod(0o700)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        defaults = {"cpu": False, "device_id": 0, "distributed_no_spawn": False, "distributed_port": 29500}
        args = Namespace(
            **{**defaults, **flags}, distributed_world_size=max(1, gpus), distributed_backend="nccl"
        )
        join_launcher(args)
        return args

    return start


def place(args: Namespace) -> tuple:
    return args.distributed_rank, args.distributed_world_size, args.device_id, args.distributed_init_method


@pytest.mark.parametrize("gpus, device", [(0, 0), (1, 0), (8, 1)], ids=["none", "its own", "the machine's"])
def test_a_task_of_slurm_is_its_rank_and_takes_the_gpu_that_it_sees(started, gpus, device):
    args = started(LAST_OF_FOUR, gpus)
    assert place(args) == (3, 4, device, "tcp://node7:29500")
    assert args.distributed_no_spawn
    assert args.distributed_backend == ("nccl" if gpus else "gloo")


@pytest.mark.parametrize("gpus, device", [(0, 0), (1, 0), (4, 2)])
def test_a_process_of_torchrun_is_its_rank_on_slurm_too(started, gpus, device):
    args = started({**LAST_OF_FOUR, **TORCHRUN}, gpus)
    assert place(args) == (5, 6, device, "env://")


def test_with_cpu_the_gpus_are_left_alone(started):
    args = started(LAST_OF_FOUR, 8, cpu=True)
    assert (args.device_id, args.distributed_backend) == (0, "gloo")


A_TASK_A_MACHINE = {**LAST_OF_FOUR, "SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "2"}


def test_the_only_task_of_a_machine_with_gpus_is_fairseqs_to_multiply(started):
    assert not hasattr(started(A_TASK_A_MACHINE, 8), "distributed_init_method")
    assert place(started(A_TASK_A_MACHINE, 8, distributed_no_spawn=True))[:2] == (1, 2)
    assert place(started(A_TASK_A_MACHINE, 1))[:2] == (1, 2)


def test_tasks_without_a_port_train_alone_and_are_told(started, caplog):
    args = started(LAST_OF_FOUR, 1, distributed_port=-1)
    assert args.distributed_world_size == 1
    assert "one of 4 tasks of a Slurm step, and training alone" in caplog.text
    assert "--distributed-port" in caplog.text


@pytest.mark.parametrize(
    "variables",
    [{}, {**LAST_OF_FOUR, "SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}],
    ids=["no launcher", "one task", "the batch script"],
)
def test_a_process_alone_is_left_as_it_is(started, caplog, variables):
    assert not hasattr(started(variables, 1), "distributed_init_method")
    assert not caplog.text


def test_an_init_method_on_the_command_line_is_kept(started):
    args = started(LAST_OF_FOUR, 1, distributed_init_method="tcp://node9:1234")
    assert args.distributed_init_method == "tcp://node9:1234"
    assert not hasattr(args, "distributed_rank")


@pytest.mark.parametrize("scontrol", ["exit 1", "true", None], ids=["fails", "names none", "missing"])
def test_without_a_list_of_machines_the_flags_that_do_without_are_named(started, scontrol):
    with pytest.raises(UserError, match=r"node\[7-8\].*--distributed-init-method tcp://HOST:PORT"):
        started(LAST_OF_FOUR, 0, scontrol)
