"""``--distributed-world-size 2 --cpu`` starts no process at all: it fails an assertion or, given an init
method, exits with status 0 and has trained nothing, since fairseq spawns one process a GPU.

Delete when ``fairseq.distributed.utils.call_main`` spawns on CPU or refuses.
"""

from argparse import Namespace

import torch

from fairseq_vhm.errors import UserError


def refuse_processes_without_gpus(args: Namespace) -> None:
    """Refuse a run on several processes that fairseq would not start.

    Raises:
        UserError: says how to start one process a rank.
    """
    several = getattr(args, "distributed_world_size", 1) > 1
    no_gpu = getattr(args, "cpu", False) or not torch.cuda.is_available()
    if several and no_gpu and not getattr(args, "distributed_no_spawn", False):
        raise UserError(
            f"--distributed-world-size {args.distributed_world_size} without GPUs starts no process in "
            "fairseq: start one a rank yourself, each with --distributed-no-spawn --distributed-rank R "
            "--distributed-init-method tcp://HOST:PORT --distributed-backend gloo --ddp-backend legacy_ddp"
        )
