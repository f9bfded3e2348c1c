"""fairseq-train on a machine of two GPUs, it seems; the two ranks that it starts find none.

When they end, the ranks say how long their group waits.
"""

import atexit

import torch
import torch.distributed as dist

if __name__ == "__main__":
    torch.cuda.device_count = lambda: 2
    torch.cuda.is_available = lambda: True

from fairseq_cli.train import cli_main  # noqa: E402  (its flags' defaults count the GPUs)


def say_how_long_the_group_waits() -> None:
    waits = dist.group.WORLD._get_backend(torch.device("cpu")).options._timeout
    print(f"the group waits for {waits.total_seconds():g} seconds", flush=True)


if __name__ == "__main__":
    cli_main()
else:
    atexit.register(say_how_long_the_group_waits)
