"""Checkpoints: they hold all settings, and a file that is none, or more than that, is refused."""

import os
import pickle
import shutil

import pytest
import torch
from commands import TEST_SIZE, decoding, error_of, hypotheses, logged, read, training

from fairseq_vhm.errors import UserError
from fairseq_vhm.models import VHMTransformerModel

LOADERS = ("restore-file", "checkpoint_last", "finetune", "generate", "interactive", "validate", "average")


class Malicious:
    """Pickles as a call that creates a file."""

    def __init__(self, touched):
        self.touched = touched

    def __reduce__(self):
        return os.system, (f"touch {self.touched}",)


def attempt(loader: str, forked, data, checkpoint, folder):
    """Give ``checkpoint`` to one of the commands that load one; it must fail."""
    if loader == "average":
        return forked("vhm", "average", checkpoint, checkpoint, "-o", folder / "mean.pt", fails=True)
    if loader in ("generate", "interactive", "validate"):
        arguments = decoding(data, checkpoint, "--max-tokens", 100)
        return forked(f"fairseq-{loader}", *arguments, stdin="w1 w2\n", fails=True)
    flags = {
        "restore-file": ["--restore-file", checkpoint],
        "finetune": ["--finetune-from-model", checkpoint],
    }
    run = folder / "run"
    if loader == "checkpoint_last":
        run.mkdir()
        (run / "checkpoint_last.pt").write_bytes(checkpoint.read_bytes())
    return forked("fairseq-train", *training(data, run, *flags.get(loader, [])), fails=True)


def message_of(loader: str, process) -> str:
    if loader != "average":
        return error_of(process)
    (line,) = process.stderr.strip().splitlines()
    assert line.startswith("vhm: error: ")
    return line


@pytest.mark.parametrize("form", ["zip", "pickle"])
@pytest.mark.parametrize("loader", LOADERS)
def test_a_checkpoint_that_runs_a_program_is_refused_in_one_line(
    toy_data, forked, trained, tmp_path, loader, form
):
    touched, checkpoint = tmp_path / "touched", tmp_path / "evil.pt"
    state = {**read(trained / "checkpoint_last.pt"), "extra": Malicious(touched)}
    if form == "zip":
        torch.save(state, checkpoint)
    else:
        checkpoint.write_bytes(pickle.dumps({"extra": Malicious(touched)}, protocol=2))
    message = message_of(loader, attempt(loader, forked, toy_data, checkpoint, tmp_path))
    assert "refused" in message
    assert ("checkpoint_last.pt" if loader == "checkpoint_last" else "evil.pt") in message
    assert not touched.exists()


def test_a_checkpoint_that_runs_a_program_is_refused_in_python(toy_data, trained, tmp_path):
    touched = tmp_path / "touched"
    state = {**read(trained / "checkpoint_last.pt"), "extra": Malicious(touched)}
    torch.save(state, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="evil.pt: refused"):
        VHMTransformerModel.from_pretrained(str(tmp_path), "evil.pt", data_name_or_path=str(toy_data))
    assert not touched.exists()


def test_the_malicious_checkpoint_would_run_its_program(tmp_path):
    """What the tests above refuse does harm where it is loaded without torch's allow-list."""
    torch.save({"extra": Malicious(tmp_path / "touched")}, tmp_path / "evil.pt")
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert (tmp_path / "touched").exists()


@pytest.mark.parametrize("kept", [0, 10, 5000, -100], ids=["empty", "start", "beginning", "all but the end"])
@pytest.mark.parametrize("loader", ["checkpoint_last", "generate", "average"])
def test_a_checkpoint_cut_short_is_refused_in_one_line(toy_data, forked, trained, tmp_path, loader, kept):
    checkpoint = tmp_path / "cut.pt"
    checkpoint.write_bytes((trained / "checkpoint_last.pt").read_bytes()[:kept])
    message = message_of(loader, attempt(loader, forked, toy_data, checkpoint, tmp_path))
    assert ("checkpoint_last.pt" if loader == "checkpoint_last" else "cut.pt") in message
    assert "cut short" in message


def test_bytes_that_changed_in_a_checkpoint_are_noticed(toy_data, forked, trained, tmp_path):
    """torch writes check sums and does not compare them: it would generate with other parameters."""
    content = bytearray((trained / "checkpoint_last.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.pt").write_bytes(content)
    message = message_of("generate", attempt("generate", forked, toy_data, tmp_path / "changed.pt", tmp_path))
    assert "changed.pt: cut short or not a checkpoint" in message


def test_training_goes_on_from_the_checkpoint_before_a_damaged_last_one(toy_data, forked, trained, tmp_path):
    (before,) = trained.glob("checkpoint_*_32.pt")
    shutil.copy(before, tmp_path)
    (tmp_path / "checkpoint_last.pt").write_bytes((trained / "checkpoint_last.pt").read_bytes()[:-100])
    process = forked("fairseq-train", *training(toy_data, tmp_path, updates=33))
    (warning,) = [line for line in process.stdout.splitlines() if "| WARNING | fairseq_vhm" in line]
    assert "checkpoint_last.pt: cut short or not a checkpoint" in warning
    assert warning.endswith(f"; going on from {before.name}")
    assert [line["num_updates"] for line in logged(process, "train_inner")] == [33]


OTHER_FLAGS = {
    "a model's width": ("--latent-dim", 12),
    "a model without latents": ("--latents", "none", "--criterion", "label_smoothed_cross_entropy"),
    "optimizer": ("--optimizer", "sgd"),
    "precision": ("--bf16",),
    "schedule": ("--lr-scheduler", "reduce_lr_on_plateau"),
    "averaged parameters": ("--store-ema",),
}


@pytest.mark.parametrize("flags", OTHER_FLAGS.values(), ids=OTHER_FLAGS)
def test_a_run_is_not_gone_on_with_by_other_flags_and_these_are_named(
    toy_data, forked, trained, tmp_path, flags
):
    shutil.copy(trained / "checkpoint_last.pt", tmp_path)
    process = forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=33), fails=True)
    message = error_of(process)
    assert "checkpoint_last.pt: of another " in message
    assert f"{flags[0]} {flags[1] if flags[1:] else True}, was " in message


def test_a_damaged_last_checkpoint_does_not_hide_which_flags_differ(toy_data, forked, trained, tmp_path):
    (before,) = trained.glob("checkpoint_*_32.pt")
    shutil.copy(before, tmp_path)
    (tmp_path / "checkpoint_last.pt").write_bytes((trained / "checkpoint_last.pt").read_bytes()[:-100])
    process = forked("fairseq-train", *training(toy_data, tmp_path, "--optimizer", "sgd"), fails=True)
    assert f"{before.name}: of another training (--optimizer sgd, was adam)" in error_of(process)


@pytest.mark.parametrize("flag", ["--restore-file", "--finetune-from-model"])
def test_no_other_checkpoint_takes_the_place_of_a_damaged_one_that_was_named(
    toy_data, forked, trained, tmp_path, flag
):
    (before,) = trained.glob("checkpoint_*_32.pt")
    shutil.copy(before, tmp_path)
    last = tmp_path / "checkpoint_last.pt"
    last.write_bytes((trained / "checkpoint_last.pt").read_bytes()[:-100])
    process = forked("fairseq-train", *training(toy_data, tmp_path / "run", flag, last), fails=True)
    assert error_of(process).startswith(f"{last}: cut short")


@pytest.mark.parametrize("loader", ["generate", "average"])
def test_a_text_in_place_of_a_checkpoint_is_refused_in_one_line(toy_data, forked, tmp_path, loader):
    (tmp_path / "notes.pt").write_text("no checkpoint at all\n")
    message = message_of(loader, attempt(loader, forked, toy_data, tmp_path / "notes.pt", tmp_path))
    assert "notes.pt" in message


@pytest.mark.parametrize("loader", ["restore-file", "generate", "interactive", "validate", "average"])
def test_a_missing_checkpoint_is_refused_in_one_line(toy_data, forked, tmp_path, loader):
    message = message_of(loader, attempt(loader, forked, toy_data, tmp_path / "nowhere.pt", tmp_path))
    assert "nowhere.pt" in message


def test_a_refused_average_writes_nothing(forked, trained, toy_data, tmp_path):
    whole, checkpoint = trained / "checkpoint_last.pt", tmp_path / "cut.pt"
    checkpoint.write_bytes(whole.read_bytes()[:-100])
    forked("vhm", "average", whole, checkpoint, "-o", tmp_path / "mean.pt", fails=True)
    assert [path.name for path in tmp_path.iterdir()] == ["cut.pt"]


SETTINGS = {
    "latents": "mt,cls",
    "latent_dim": 12,
    "latent_mlp_layers": 1,
    "latent_head": "tied",
    "latent_pooling": "words",
    "latent_activation": "none",
    "share_encoder_decoder_embeddings": False,
    "encoder_layers": 1,
    "max_source_positions": 30,
}


def test_all_settings_are_saved_and_generation_needs_no_model_flags(toy_data, forked, tmp_path):
    flags = [
        f"--no-{name.replace('_', '-')}" if value is False else f"--{name.replace('_', '-')}={value}"
        for name, value in SETTINGS.items()
    ]
    forked("fairseq-train", *training(toy_data, tmp_path, *flags, "--task-tag", "target", updates=2))
    checkpoint = tmp_path / "checkpoint_last.pt"
    saved = read(checkpoint)["cfg"]["model"]
    assert {name: getattr(saved, name) for name in SETTINGS} == SETTINGS
    assert saved.task_tag == "target"
    process = forked("fairseq-generate", *decoding(toy_data, checkpoint))
    assert len(hypotheses(process)) == TEST_SIZE


def test_the_defaults_in_force_are_saved_too(trained):
    saved = read(trained / "checkpoint_last.pt")["cfg"]
    assert saved["model"].latents == "mt,ms,cls"
    assert saved["model"].task_tag == "source"
    assert saved["criterion"]["kl_schedule"] == "linear"
    assert saved["task"]["task_schedule"] == "joint"


def test_a_checkpoint_is_averaged_with_its_own_kind_alone(toy_data, forked, trained, tmp_path):
    forked("fairseq-train", *training(toy_data, tmp_path, "--latents", "cls", updates=1))
    members = [trained / "checkpoint_last.pt", tmp_path / "checkpoint_last.pt"]
    process = forked("vhm", "average", *members, "-o", tmp_path / "mean.pt", fails=True)
    message = message_of("average", process)
    assert str(members[1]) in message
    assert not (tmp_path / "mean.pt").exists()
