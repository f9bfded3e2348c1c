"""Several processes: what fairseq's launcher and torch's DDP need to be told.

* ``--distributed-world-size 2 --cpu`` starts no process at all: it fails an assertion or, given an init
  method, exits with status 0 and has trained nothing, since fairseq spawns one process a GPU.
* ``--ddp-backend pytorch_ddp``, the default, names a GPU to DDP even where there is none, and needs to
  look for unused parameters where an update does not train every latent.
* ``fully_sharded``, ``slowmo`` and ``--zero-sharding`` are fairscale's (fairseq does not know torch's own
  FSDP); without it, and on CPU with it (0.4.13, torch 2.13), they end in a stack trace.

Delete when ``fairseq.distributed.utils.call_main`` spawns on CPU or refuses, and
``fairseq.models.distributed_fairseq_model`` asks for the device and for torch's FSDP.
"""

import functools
from argparse import Namespace
from typing import Any

import torch
from fairseq.models import distributed_fairseq_model

from fairseq_vhm.errors import UserError

SHARDED = ("fully_sharded", "slowmo")


def mend_processes(args: Namespace) -> None:
    """Refuse several processes that fairseq would not start; have DDP look for what an update leaves out.

    Raises:
        UserError: says how to start one process a rank, or which backends there are.
    """
    _refuse_sharding(args)
    if getattr(args, "distributed_world_size", 1) < 2:
        return
    args.find_unused_parameters = True
    no_gpu = getattr(args, "cpu", False) or not torch.cuda.is_available()
    if no_gpu and not getattr(args, "distributed_no_spawn", False):
        raise UserError(
            f"--distributed-world-size {args.distributed_world_size} without GPUs starts no process in "
            "fairseq: start them with torchrun, or each yourself with --distributed-no-spawn "
            "--distributed-rank R --distributed-init-method tcp://HOST:PORT --distributed-backend gloo "
            "--ddp-backend legacy_ddp; for --cpu beside several GPUs give --distributed-world-size 1"
        )


def _refuse_sharding(args: Namespace) -> None:
    """What needs fairscale."""
    backend, sharding = getattr(args, "ddp_backend", ""), getattr(args, "zero_sharding", "none")
    asked = {f"--ddp-backend {backend}": backend in SHARDED, "--zero-sharding os": sharding == "os"}
    for flag, given in asked.items():
        if given:
            raise UserError(
                f"{flag} is fairscale's, which this project does not work with: use --ddp-backend "
                "legacy_ddp or pytorch_ddp, where every rank holds the whole model"
            )


def let_ddp_run_on_cpu() -> None:
    """Name no device to DDP for a model that lies on the CPU."""
    ddp = distributed_fairseq_model.DistributedDataParallel
    if hasattr(ddp, "asks_for_the_device"):
        return

    @functools.wraps(ddp, updated=())
    def on_its_device(module: Any, device_ids: Any = None, output_device: Any = None, **settings: Any) -> Any:
        if not any(p.is_cuda for p in module.parameters()):  # pragma: no branch  (else: on a GPU)
            device_ids = output_device = None
        return ddp(module, device_ids=device_ids, output_device=output_device, **settings)

    on_its_device.asks_for_the_device = True  # type: ignore[attr-defined]  # a mark
    distributed_fairseq_model.DistributedDataParallel = on_its_device
