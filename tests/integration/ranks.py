"""Training in two processes on one CPU (gloo)."""

import socket
from collections.abc import Callable
from pathlib import Path

# The size of the gradients counts as well, which Adam does not see; momentum as Adam's memory; at the kink of
# a ReLU rounding decides.
SGD = ["--optimizer", "sgd", "--momentum", 0.9, "--lr", 0.1, "--activation-fn", "gelu"]

PROGRAM = Path(__file__).parent / "every_rank_saves.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_ranks(forked, folder: Path, arguments_of: Callable[[Path], list], ddp: str = "legacy_ddp"):
    """Start ``fairseq-train``, its arguments given for a folder, as two ranks.

    Returns:
        what has been started, and their folders, rank 0 first.
    """
    group = ["--distributed-world-size", 2, "--distributed-no-spawn", "--ddp-backend", ddp]
    group += ["--distributed-init-method", f"tcp://127.0.0.1:{free_port()}"]
    group += ["--distributed-backend", "gloo"]
    folders = [folder / f"rank{rank}" for rank in range(2)]
    started = []
    for rank, save_dir in enumerate(folders):
        save_dir.mkdir(parents=True)  # fairseq makes that of rank 0 alone
        arguments = [*arguments_of(save_dir), *group, "--distributed-rank", rank]
        started.append(forked.start(str(PROGRAM), *arguments))
    return started, folders


def train_in_two(forked, folder: Path, arguments_of: Callable[[Path], list], ddp: str = "legacy_ddp"):
    """Run them to their end.

    Returns:
        their processes and their folders, rank 0 first.
    """
    started, folders = start_ranks(forked, folder, arguments_of, ddp)
    processes = [rank.wait() for rank in started]
    for process in processes:
        assert process.returncode == 0, process.stdout[-1000:] + process.stderr[-3000:]
    return processes, folders


def largest_deviation(first: dict, second: dict) -> float:
    """Of any parameter tensor: largest difference over largest value."""
    assert first.keys() == second.keys()
    pairs = [(first[name], second[name]) for name in first]
    return max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-6)) for a, b in pairs)
