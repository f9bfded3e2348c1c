"""torchrun and Slurm: which rank this process was started as, by whom.

* With one GPU a process or none, every process trains a model of its own, all into one ``--save-dir``:
  fairseq reads the number of processes off the GPUs that it sees before it asks who started it.
* With ``--cpu`` it asks for NCCL, sets a CUDA device, or divides by no GPU, each a stack trace.
* Under Slurm with one GPU a task, each seen as the first, it sets one that is not there.

Delete when ``fairseq.distributed.utils.infer_init_method`` looks for torchrun and Slurm first.
"""

import logging
import os
import subprocess
from argparse import Namespace

import torch

from fairseq_vhm.errors import UserError

logger = logging.getLogger(__name__)

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
"""Rank, number of ranks, rank on this machine; Slurm's are of a step, so of what ``srun`` started."""


def join_launcher(args: Namespace) -> None:
    """Be the rank that torchrun, or Slurm with ``--distributed-port``, started this process as.

    Raises:
        UserError: Slurm's list of machines cannot be read; says which flags do without it.
    """
    if getattr(args, "distributed_init_method", None):
        return
    if {*TORCHRUN, "MASTER_ADDR"} <= os.environ.keys():
        _be(args, TORCHRUN, "env://")
    elif set(SLURM) <= os.environ.keys() and int(os.environ["SLURM_STEP_NUM_TASKS"]) > 1:
        _join_slurm(args)


def _join_slurm(args: Namespace) -> None:
    port = getattr(args, "distributed_port", -1)
    if port <= 0:
        logger.warning(
            "one of %s tasks of a Slurm step, and training alone: for one run of all tasks give "
            "--distributed-port",
            os.environ["SLURM_STEP_NUM_TASKS"],
        )
    elif not _spawns_a_process_a_gpu(args):
        _be(args, SLURM, f"tcp://{_first_machine()}:{port}")


def _spawns_a_process_a_gpu(args: Namespace) -> bool:
    """Whether this is a machine's only task, which fairseq starts one process a GPU from."""
    alone = os.environ["SLURM_STEP_NUM_TASKS"] == os.environ.get("SLURM_STEP_NUM_NODES")
    return alone and _gpus(args) > 1 and not getattr(args, "distributed_no_spawn", False)


def _first_machine() -> str:
    machines = os.environ.get("SLURM_STEP_NODELIST", "")
    try:
        names = subprocess.check_output(["scontrol", "show", "hostnames", machines], text=True).split()
        return names[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        raise UserError(
            f"scontrol does not say which machines {machines or 'SLURM_STEP_NODELIST'} are (not installed in "
            "this container?): give --distributed-init-method tcp://HOST:PORT --distributed-rank "
            "$SLURM_PROCID --distributed-world-size $SLURM_NTASKS --distributed-no-spawn instead of "
            "--distributed-port"
        ) from None


def _be(args: Namespace, variables: tuple[str, str, str], meet_at: str) -> None:
    rank, ranks, here = (int(os.environ[name]) for name in variables)
    args.distributed_rank, args.distributed_world_size = rank, ranks
    args.distributed_init_method, args.distributed_no_spawn = meet_at, True
    gpus = _gpus(args)
    args.device_id = here if gpus > 1 else 0  # a task that sees its own GPU alone calls it the first
    if gpus == 0:
        args.distributed_backend = "gloo"


def _gpus(args: Namespace) -> int:
    """GPUs that the run may use and this process sees."""
    return 0 if getattr(args, "cpu", False) else torch.cuda.device_count()
