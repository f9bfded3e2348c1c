"""Training in two processes on one CPU (gloo): equal ranks, equal to one process that accumulates."""

import os
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest
from commands import REPOSITORY, difference, error_of, learned, logged, read, training
from ranks import PROGRAM, SGD, free_port, largest_deviation, start_ranks, train_in_two

UPDATES = 8
SCHEDULES = {"joint": [], "alternate": ["--task-schedule", "alternate"]}
ADAM = ["--adam-eps", 1e-6, "--activation-fn", "gelu"]  # no kink of ReLU, no gradient of rounding alone
RELATIVE = 1e-6  # of a parameter tensor's largest value; float32 adds up to about 1e-7 an operation
ADAMS_RELATIVE = 1e-5  # Adam divides by a gradient's own size, so that rounding of small ones counts too



@pytest.fixture(scope="module")
def two_ranks(toy_data, forked):
    """Train in two processes; their processes and their folders, rank 0 first."""

    def train(folder: Path, *flags, ddp: str = "legacy_ddp", updates: int = UPDATES):
        def arguments_of(save_dir: Path) -> list:
            return training(toy_data, save_dir, *flags, updates=updates)

        return train_in_two(forked, folder, arguments_of, ddp)

    return train


def final(folder: Path) -> dict:
    return learned(folder / "checkpoint_last.pt")


PAIRS = [(schedule, 1, "adam") for schedule in SCHEDULES]
PAIRS += [(schedule, update_freq, "sgd") for schedule in SCHEDULES for update_freq in (1, 2)]


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: "-".join(map(str, pair)))
def pair(request, two_ranks, toy_data, forked, tmp_path_factory):
    """Two ranks, and one rank with twice the --update-freq: processes, folders, allowed rounding."""
    schedule, update_freq, optimizer = request.param
    folder = tmp_path_factory.mktemp("pair")
    flags = (*SCHEDULES[schedule], *(SGD if optimizer == "sgd" else ADAM), "--update-freq")
    processes, ranks = two_ranks(folder, *flags, update_freq)
    arguments = training(toy_data, folder / "one", *flags, 2 * update_freq, updates=UPDATES)
    one = forked("fairseq-train", *arguments)
    rounding = RELATIVE if optimizer == "sgd" else ADAMS_RELATIVE
    return {"processes": processes, "ranks": ranks, "one": one, "folder": folder, "rounding": rounding}


def test_two_ranks_end_with_equal_parameters(pair):
    assert difference(*map(final, pair["ranks"])) is None


def test_two_ranks_really_train(pair):
    updates = logged(pair["processes"][0], "train_inner")
    assert updates[-1]["num_updates"] == UPDATES
    assert updates[-1]["nll_loss"] < updates[0]["nll_loss"]


def test_two_ranks_are_one_rank_with_twice_the_update_freq(pair):
    two, one = final(pair["ranks"][0])["model"], final(pair["folder"] / "one")["model"]
    assert largest_deviation(one, two) < pair["rounding"]


def test_two_ranks_log_what_one_rank_with_twice_the_update_freq_logs(pair):
    kept = ("loss", "nll_loss", "wpb", "bsz", "kl_cls", "kl_mt", "kl_ms", "loss_cls", "loss_mt", "loss_ms")
    lines = zip(logged(pair["processes"][0], "train_inner"), logged(pair["one"], "train_inner"), strict=True)
    for two, one in lines:
        for name in kept:
            assert two.get(name) == pytest.approx(one.get(name), abs=0.002), name


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("loading", [[], ["--load-checkpoint-on-all-dp-ranks"]], ids=["broadcast", "each"])
def test_two_ranks_resume_where_they_stopped(two_ranks, tmp_path, schedule, loading):
    flags = (*SCHEDULES[schedule], "--save-interval-updates", 4)
    _, whole = two_ranks(tmp_path / "whole", *flags)
    checkpoint = next(whole[0].glob("checkpoint_*_4.pt"))
    _, resumed = two_ranks(tmp_path / "resumed", *flags, *loading, "--restore-file", checkpoint)
    for rank in resumed:
        assert difference(final(whole[0]), final(rank)) is None


def test_two_ranks_go_on_within_an_epoch_where_one_rank_stopped(toy_data, forked, two_ranks, tmp_path):
    """They end that epoch and begin the next."""
    flags = (*SGD, "--max-tokens", 60, "--save-interval-updates", 4, "--update-freq")
    one = forked("fairseq-train", *training(toy_data, tmp_path / "one", *flags, 2, updates=11))
    start = ("--restore-file", tmp_path / "one" / "checkpoint_1_4.pt")
    processes, ranks = two_ranks(tmp_path / "two", *flags, 1, *start, updates=11)
    ends = [logged(process, "train")[0]["train_num_updates"] for process in (one, processes[0])]
    assert 4 < ends[0] == ends[1] < 11
    assert largest_deviation(final(tmp_path / "one")["model"], final(ranks[0])["model"]) < RELATIVE


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_pytorch_ddp_learns_what_legacy_ddp_learns(two_ranks, tmp_path, schedule):
    flags = (*SCHEDULES[schedule], *SGD)
    _, legacy = two_ranks(tmp_path / "legacy", *flags)
    _, pytorch = two_ranks(tmp_path / "pytorch", *flags, "--find-unused-parameters", ddp="pytorch_ddp")
    assert difference(*map(final, pytorch)) is None
    assert largest_deviation(final(legacy[0])["model"], final(pytorch[0])["model"]) < RELATIVE


def test_validation_of_two_ranks_sees_every_pair(pair):
    two, one = (logged(p, "valid")[-1] for p in (pair["processes"][0], pair["one"]))
    for name in ("valid_loss_cls", "valid_nll_loss_mt", "valid_kl_ms", "valid_au_cls"):
        assert two[name] == pytest.approx(one[name], abs=0.002)


def test_ranks_that_are_left_name_the_one_that_ended(toy_data, forked, tmp_path):
    def arguments_of(save_dir: Path) -> list:
        return training(toy_data, save_dir, "--heartbeat-timeout", 2, updates=10_000)

    ranks, _ = start_ranks(forked, tmp_path, arguments_of)
    ranks[0].wait_for('"num_updates": "2"')
    os.kill(ranks[1].pid, signal.SIGKILL)
    first, second = (rank.wait() for rank in ranks)
    assert (first.returncode, second.returncode) == (1, -signal.SIGKILL)
    last = first.stderr.strip().splitlines()[-1]
    assert "error: rank 0 of 2 cannot go on: rank 1 ended or did not come in time" in last


def test_torchrun_as_documented_starts_the_ranks_and_hands_on_sigterm(toy_data, forked, tmp_path):
    document = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```bash\n(torchrun .*?)^```", document, re.MULTILINE | re.DOTALL)
    (tmp_path / "DATA").symlink_to(toy_data)
    (tmp_path / "fairseq_vhm").symlink_to(REPOSITORY / "fairseq_vhm")
    command, *arguments = shlex.split(block.replace("\\\n", " "))
    arguments[arguments.index("fairseq-train")] = Path(sys.executable).parent / "fairseq-train"
    arguments += ["--max-update", 10_000, "--log-format", "json", "--log-interval", 1]
    started = forked.start(command, "--master-port", free_port(), *arguments, cwd=tmp_path)
    started.wait_for('"num_updates": "2"')
    os.kill(started.pid, signal.SIGTERM)
    done = started.wait()
    assert "distributed init (rank 1)" in done.stdout
    assert "stopped by SIGTERM" in done.stdout
    saved = read(tmp_path / "runs" / "two" / "checkpoint_last.pt")["optimizer_history"][-1]["num_updates"]
    assert saved == logged(done, "train_inner")[-1]["num_updates"] >= 2


@pytest.mark.parametrize(
    "flags",
    [[], ["--distributed-init-method", "tcp://127.0.0.1:{port}"], ["--nprocs-per-node", 2]],
    ids=["plain", "init-method", "nprocs"],
)
def test_two_processes_without_the_flags_that_work_are_refused(toy_data, forked, tmp_path, flags):
    flags = [str(flag).format(port=free_port()) for flag in flags]
    arguments = training(toy_data, tmp_path / "run", "--distributed-world-size", 2, *flags)
    message = error_of(forked("fairseq-train", *arguments, fails=True))
    assert "--distributed-world-size 2" in message
    assert "--distributed-no-spawn" in message
    assert not list(tmp_path.rglob("*.pt"))


def test_two_tasks_of_slurm_train_one_model(toy_data, forked, tmp_path):
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho localhost\n")  # Slurm's own needs its daemons
    (tmp_path / "scontrol").chmod(0o700)
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NODELIST": "localhost"}
    flags = ["--cpu", "--ddp-backend", "legacy_ddp", "--distributed-port", free_port()]
    folders, started = [tmp_path / str(rank) for rank in range(2)], []
    for rank, folder in enumerate(folders):
        folder.mkdir()
        variables = {**step, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
        arguments = training(toy_data, folder, *flags, updates=2)
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        started.append(forked.start(str(PROGRAM), *arguments, PATH=path, **variables))
    done = [task.wait() for task in started]
    assert [task.returncode for task in done] == [0, 0], done[0].stderr[-2000:] + done[1].stderr[-2000:]
    assert difference(*map(final, folders)) is None
    assert "training on 2 devices" in done[0].stdout
