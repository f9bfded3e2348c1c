"""A run that was stopped and resumed learns, bit for bit, what an uninterrupted one learns."""

import os
import signal
from pathlib import Path

import fairseq_cli.train
import pytest
from commands import difference, learned, logged, read, training

SCALED = str(Path(__file__).parent / "scaled_on_cpu.py")
SETTINGS = {
    "joint": [],
    "alternate": ["--task-schedule", "alternate", "--task-ratio", "cls:2"],
    "workers": ["--num-workers", 2],
    "evaluated": ["--eval-rouge", "--eval-bleu"],
    "accumulated": ["--update-freq", 2, "--optimizer", "fused_adam"],
}
EPOCH = {"joint": 6, "alternate": 24, "workers": 6, "evaluated": 6, "accumulated": 3}  # updates
FINAL = {name: 3 * updates for name, updates in EPOCH.items()}


def checkpoints(name: str) -> dict[str, str]:
    """The places to resume from: within epoch 1, at its end, within epoch 3."""
    step = EPOCH[name] // 3
    return {
        "mid-epoch 1": f"checkpoint_1_{step}.pt",
        "end of epoch 1": "checkpoint1.pt",
        "mid-epoch 3": f"checkpoint_3_{2 * EPOCH[name] + step}.pt",
    }


def arguments(data, save_dir, name: str, *flags) -> list:
    saving = ("--save-interval-updates", EPOCH[name] // 3)
    return training(data, save_dir, *saving, *SETTINGS[name], *flags, updates=FINAL[name])


@pytest.fixture(scope="module")
def uninterrupted(toy_data, forked, tmp_path_factory):
    """The folder of a setting's uninterrupted run of three epochs, made when first asked for."""
    folders: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            forked("fairseq-train", *arguments(toy_data, folders[name], name))
        return folders[name]

    return folder_of


@pytest.mark.parametrize("name", SETTINGS)
def test_a_resumed_run_equals_the_uninterrupted_one(toy_data, forked, uninterrupted, tmp_path, name):
    whole = uninterrupted(name)
    expected = learned(whole / "checkpoint_last.pt")
    for place, checkpoint in checkpoints(name).items():
        folder = tmp_path / place
        forked("fairseq-train", *arguments(toy_data, folder, name, "--restore-file", whole / checkpoint))
        assert difference(expected, learned(folder / "checkpoint_last.pt")) is None, place


@pytest.mark.parametrize("name", ["workers", "evaluated"])
def test_what_a_run_learns_does_not_depend_on(uninterrupted, name):
    plain, other = (learned(uninterrupted(n) / "checkpoint_last.pt") for n in ("joint", name))
    assert difference(plain, other) is None


@pytest.mark.parametrize("name", ["joint", "alternate"])
def test_the_comparison_notices_a_single_update(uninterrupted, name):
    folder, step = uninterrupted(name), EPOCH[name] // 3
    checkpoint = folder / f"checkpoint_3_{FINAL[name] - step}.pt"
    assert difference(learned(checkpoint), learned(folder / "checkpoint_last.pt")) is not None


def send_at(update: int, number: signal.Signals, forked, command: list, program: str = "fairseq-train"):
    """Start a run and send it a signal when it has logged an update; the ended process."""
    started = forked.start(program, *command)
    started.wait_for(f'"num_updates": "{update}"')
    os.kill(started.pid, number)
    return started.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_a_stopped_run_goes_on_with_the_same_command(toy_data, forked, uninterrupted, tmp_path, number):
    command = arguments(toy_data, tmp_path, "joint")
    stopped = send_at(15, number, forked, command)
    done, kept = logged(stopped, "train_inner")[-1]["num_updates"], updates(tmp_path)
    assert stopped.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 75)
    assert kept >= (14 if number == signal.SIGKILL else done)  # 14 was saved by --save-interval-updates
    resumed = forked("fairseq-train", *command)
    assert "Loaded checkpoint" in resumed.stdout
    whole = learned(uninterrupted("joint") / "checkpoint_last.pt")
    assert difference(whole, learned(tmp_path / "checkpoint_last.pt")) is None


def test_a_stopped_run_that_began_with_a_named_checkpoint_says_how_to_go_on(
    toy_data, forked, uninterrupted, tmp_path
):
    """The same command would begin with that checkpoint again; ``--continue-once`` does so once."""
    start = uninterrupted("joint") / "checkpoint1.pt"
    stopped = send_at(
        9, signal.SIGTERM, forked, arguments(toy_data, tmp_path, "joint", "--restore-file", start)
    )
    assert "checkpoint_last.pt saved; repeat the command without --restore-file to go on" in stopped.stdout
    resumed = forked("fairseq-train", *arguments(toy_data, tmp_path, "joint", "--continue-once", start))
    assert logged(resumed, "train_inner")[0]["num_updates"] > 9
    whole = learned(uninterrupted("joint") / "checkpoint_last.pt")
    assert difference(whole, learned(tmp_path / "checkpoint_last.pt")) is None


def test_under_amp_the_scale_changes_nothing_and_goes_on(toy_data, forked, tmp_path):
    """One too high at first: a mini-batch overflows and meets its noise again; none in the resumed run."""
    flags = ("--amp", "--amp-init-scale", 2**124, "--no-epoch-checkpoints", "--disable-validation")
    plain, scaled = tmp_path / "plain", tmp_path / "scaled"
    forked("fairseq-train", *training(toy_data, plain, *flags, updates=4))
    first = forked(SCALED, *training(toy_data, scaled, *flags, updates=2))
    second = forked(SCALED, *training(toy_data, scaled, *flags, updates=4))
    assert "AMP: overflow" in first.stdout and "AMP: skipping" not in first.stdout
    assert "AMP: overflow" not in second.stdout
    expected, found = (learned(folder / "checkpoint_last.pt") for folder in (plain, scaled))
    assert 2**100 < found["optimizer"].pop("amp_scaler")["scale"] < 2**124
    assert difference(expected, found) is None


def updates(folder: Path) -> int:
    """Those that the last checkpoint has had."""
    return read(folder / "checkpoint_last.pt")["optimizer_history"][-1]["num_updates"]


def test_training_is_mended_where_python_runs_its_module(toy_data, forked, tmp_path):
    """``python -m fairseq_cli.train``: the functions that are to be mended are those of ``__main__``."""
    program, command = fairseq_cli.train.__file__, arguments(toy_data, tmp_path, "joint", "--max-update", 20)
    assert send_at(4, signal.SIGTERM, forked, command, program).returncode == 75
    forked(program, *command)
    assert updates(tmp_path) == 20
    assert "nothing left to train" in forked(program, *command).stdout


def test_signals_to_the_loading_workers_too_save_first(toy_data, forked, uninterrupted, tmp_path):
    """A cluster sends them to every process of a job."""
    command = arguments(toy_data, tmp_path, "workers")
    started = forked.start("fairseq-train", *command)
    started.wait_for('"num_updates": "3"')
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    for pid in (*map(int, children), started.pid):
        os.kill(pid, signal.SIGUSR1)
    assert started.wait().returncode == 75
    assert updates(tmp_path) >= 3


def test_a_finished_run_trains_nothing_more(toy_data, forked, uninterrupted):
    folder = uninterrupted("joint")
    before = learned(folder / "checkpoint_last.pt")
    again = forked("fairseq-train", *arguments(toy_data, folder, "joint"))
    assert "nothing left to train" in again.stdout
    assert difference(before, learned(folder / "checkpoint_last.pt")) is None
    assert updates(folder) == FINAL["joint"]


def waiting(data, save_dir, patience: int, *flags) -> list:
    """A run that gets no better: validations at every second update; the first is the best of all."""
    checks = ("--lr", 0, "--patience", patience, "--validate-interval-updates", 2, "--no-epoch-checkpoints")
    return training(data, save_dir, *checks, *flags, updates=40)


@pytest.fixture(scope="module")
def out_of_patience(toy_data, forked, tmp_path_factory):
    """The folder of a run that its patience of 3 has ended, with a checkpoint of every second update."""
    folder = tmp_path_factory.mktemp("patience")
    ended = forked("fairseq-train", *waiting(toy_data, folder, 3, "--save-interval-updates", 2))
    assert "early stop" in ended.stdout and updates(folder) == 2 + 3 * 2
    return folder


def test_patience_ends_a_resumed_run_where_it_ends_the_uninterrupted_one(
    toy_data, forked, out_of_patience, tmp_path
):
    command = waiting(toy_data, tmp_path, 3, "--restore-file", out_of_patience / "checkpoint_1_4.pt")
    forked("fairseq-train", *command)
    assert updates(tmp_path) == updates(out_of_patience)


def test_patience_goes_on_counting_after_a_signal(toy_data, forked, tmp_path):
    """Of 6 validations that are no better some were before the signal; nothing was saved but by it."""
    command = waiting(toy_data, tmp_path, 6)
    assert send_at(4, signal.SIGTERM, forked, command).returncode == 75
    assert 4 <= updates(tmp_path) < 2 + 6 * 2
    forked("fairseq-train", *command)
    assert updates(tmp_path) == 2 + 6 * 2


def test_a_run_that_its_patience_has_ended_trains_nothing_more(toy_data, forked, out_of_patience):
    before = (out_of_patience / "checkpoint_last.pt").read_bytes()
    again = forked("fairseq-train", *waiting(toy_data, out_of_patience, 3))
    assert "(--patience): nothing left to train" in again.stdout
    assert (out_of_patience / "checkpoint_last.pt").read_bytes() == before


def test_patience_counts_anew_from_another_start(toy_data, forked, out_of_patience, tmp_path):
    start = ("--finetune-from-model", out_of_patience / "checkpoint_1_4.pt")
    forked("fairseq-train", *waiting(toy_data, tmp_path, 3, *start))
    assert updates(tmp_path) == updates(out_of_patience)
