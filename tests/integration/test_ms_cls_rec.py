"""MS-CLS-Rec through fairseq's commands: it trains, resumes, decodes, and refuses what leaves it out."""

import pytest
from commands import TEST_SIZE, decoding, difference, error_of, hypotheses, learned, logged, read, training
from test_distributed import RELATIVE, SGD, final, largest_deviation, two_ranks  # noqa: F401  (a fixture)

ARCH = "ms_cls_rec_transformer_tiny"
LOSSES = ("rec_mapping", "rec_cycle")
UPDATES, SAVED = 24, 10


def arguments(data, save_dir, *flags, **settings) -> list:
    return training(data, save_dir, "--tasks", "cls,ms", *flags, arch=ARCH, **settings)


@pytest.fixture(scope="module")
def trained(toy_data, forked, tmp_path_factory):
    """A run with a checkpoint in its middle, and its folder."""
    folder = tmp_path_factory.mktemp("rec")
    flags = ("--save-interval-updates", SAVED, "--no-epoch-checkpoints")
    return forked("fairseq-train", *arguments(toy_data, folder, *flags, updates=UPDATES)), folder


def test_training_lowers_the_losses_that_it_logs(trained):
    process, _ = trained
    updates, (validation, *_) = logged(process, "train_inner"), logged(process, "valid")
    assert all(name in update for update in updates for name in LOSSES)
    assert all(f"valid_{name}" in validation for name in LOSSES)
    assert updates[-1]["rec_mapping"] < 0.5 * updates[0]["rec_mapping"]
    assert updates[-1]["nll_loss"] < updates[0]["nll_loss"]
    assert updates[0]["rec_cycle"] == 0 < max(update["rec_cycle"] for update in updates)


def test_both_mappers_move_and_there_is_a_decoder_for_each_task_and_no_more(trained):
    parameters = read(trained[1] / "checkpoint_last.pt")["model"]
    for side in ("source", "target"):
        mapper = parameters[f"encoder.reconstruction.to_{side}.weight"]
        assert (mapper - mapper.new_ones(len(mapper)).diag()).abs().max() > 1e-3
    assert {name.split(".")[2] for name in parameters if name.startswith("decoder.")} == {"cls", "ms"}


def test_a_resumed_run_equals_the_uninterrupted_one(trained, toy_data, forked, tmp_path):
    (checkpoint,) = trained[1].glob(f"checkpoint_*_{SAVED}.pt")
    restore = ("--restore-file", checkpoint)
    forked("fairseq-train", *arguments(toy_data, tmp_path, *restore, updates=UPDATES))
    whole, resumed = (learned(folder / "checkpoint_last.pt") for folder in (trained[1], tmp_path))
    assert difference(whole, resumed) is None


@pytest.mark.parametrize("task", ["cls", "ms"])
def test_both_paths_generate(trained, toy_data, forked, task):
    checkpoint = trained[1] / "checkpoint_last.pt"
    process = forked(
        "fairseq-generate", *decoding(toy_data, checkpoint, "--eval-task", task, "--beam", 3, "--nbest", 3)
    )
    found = hypotheses(process)
    assert len(found) == TEST_SIZE and all(len(best) == 3 for best in found.values())


def test_updates_of_one_task_alone_train_it_too(toy_data, forked, tmp_path):
    flags = ("--task-schedule", "alternate", "--rec-adversarial-weight", 0.1, "--target-encoder", "own")
    updates = logged(forked("fairseq-train", *arguments(toy_data, tmp_path, *flags)), "train_inner")
    assert ["rec_adversarial" in update for update in updates] == [True, False] * 3


@pytest.mark.parametrize("ddp", ["legacy_ddp", "pytorch_ddp"])
def test_two_ranks_are_one_rank_with_twice_the_update_freq(toy_data, forked, two_ranks, tmp_path, ddp):  # noqa: F811
    flags = ("--tasks", "cls,ms", "--task-schedule", "alternate", "--rec-adversarial-weight", 0.1, *SGD)
    processes, ranks = two_ranks(tmp_path, "--arch", ARCH, *flags, ddp=ddp)
    accumulated = arguments(toy_data, tmp_path / "one", *flags, "--update-freq", 2, updates=8)
    one = forked("fairseq-train", *accumulated)
    assert difference(*map(final, ranks)) is None
    assert largest_deviation(final(tmp_path / "one")["model"], final(ranks[0])["model"]) < RELATIVE
    for of_two, of_one in zip(logged(processes[0], "train_inner"), logged(one, "train_inner"), strict=True):
        assert of_two.get("rec_mapping") == pytest.approx(of_one.get("rec_mapping"), abs=0.002)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--criterion", "label_smoothed_cross_entropy"], ["rec_mapping, rec_cycle", "--criterion elbo"]),
        (["--latents", "cls"], ["--latents cls", "ms_cls_rec_transformer"]),
        (["--rec-mapping-weight", "-1"], ["--rec-mapping-weight -1"]),
    ],
)
def test_flags_that_make_no_sense_are_refused_before_training(toy_data, forked, tmp_path, flags, expected):
    message = error_of(forked("fairseq-train", *arguments(toy_data, tmp_path / "run", *flags), fails=True))
    assert all(part in message for part in expected)
    assert not list((tmp_path / "run").glob("*"))
