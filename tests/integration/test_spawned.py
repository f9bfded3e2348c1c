"""The ranks that fairseq starts itself, one a GPU: mended and stopped as any others, and heard."""

import os
import re
import shutil
import signal
from pathlib import Path

from commands import error_of, logged, read, training

PROGRAM = Path(__file__).parent / "two_gpus.py"
GROUP = ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp", "--heartbeat-timeout", 60]


def starting(forked, data: Path, save_dir: Path):
    """``fairseq-train`` that starts its two ranks, which go on until they are stopped."""
    arguments = training(data, save_dir, *GROUP, "--no-epoch-checkpoints", updates=10_000)
    arguments.remove("--cpu")  # by which fairseq, with two GPUs, asserts
    return forked.start(str(PROGRAM), *arguments)


def test_a_signal_to_the_process_that_started_the_ranks_saves_and_ends_them_all(toy_data, forked, tmp_path):
    started = starting(forked, toy_data, tmp_path)
    started.wait_for('"num_updates": "2"')
    os.kill(started.pid, signal.SIGTERM)
    done = started.wait()
    assert done.returncode == 75, done.stdout[-2000:] + done.stderr[-2000:]
    assert "training on 2 devices" in done.stdout
    assert re.findall("the group waits for (.*) seconds", done.stdout) == ["60", "60"]
    (update,) = set(re.findall(r"by SIGTERM after update (\d+): checkpoint_last.pt saved", done.stdout))
    saved = read(tmp_path / "checkpoint_last.pt")["optimizer_history"][-1]["num_updates"]
    assert saved == int(update) == logged(done, "train_inner")[-1]["num_updates"]
    assert "Traceback" not in done.stderr


def test_a_users_mistake_that_the_ranks_find_is_one_line(toy_data, forked, tmp_path):
    data = shutil.copytree(toy_data, tmp_path / "data")
    binary = data / "cls" / "train.en-zh.zh.bin"
    binary.write_bytes(binary.read_bytes()[:-7])
    done = starting(forked, data, tmp_path / "run").wait()
    assert done.returncode == 1
    assert "cls/train.en-zh.zh.bin" in error_of(done)
