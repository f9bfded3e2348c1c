"""``--bag-of-words-weight`` through fairseq's commands: trained, logged, resumed, decoded, on two ranks."""

import pytest
from commands import TEST_SIZE, decoding, difference, hypotheses, learned, logged, training
from test_distributed import RELATIVE, SGD, final, largest_deviation, two_ranks  # noqa: F401  (a fixture)

FLAGS = ("--bag-of-words-weight", 1, "--kl-anneal-steps", 30)
UPDATES, SAVED = 24, 10


@pytest.fixture(scope="module")
def trained(toy_data, forked, tmp_path_factory):
    """Folder of a run with a checkpoint in its middle."""
    folder = tmp_path_factory.mktemp("words")
    flags = (*FLAGS, "--save-interval-updates", SAVED, "--no-epoch-checkpoints")
    forked("fairseq-train", *training(toy_data, folder, *flags, updates=UPDATES))
    return folder


def test_training_lowers_the_loss_on_the_validation_set(toy_data, forked, tmp_path):
    flags = (*FLAGS, "--validate-interval-updates", 10, "--no-save")
    process = forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=UPDATES))
    losses = [validation["valid_bag_of_words"] for validation in logged(process, "valid")]
    assert losses[-1] < losses[0] - 0.3
    assert all("bag_of_words" in update for update in logged(process, "train_inner"))


def test_a_resumed_run_equals_the_uninterrupted_one_and_decodes(trained, toy_data, forked, tmp_path):
    (checkpoint,) = trained.glob(f"checkpoint_*_{SAVED}.pt")
    resumed = training(toy_data, tmp_path, *FLAGS, "--restore-file", checkpoint, updates=UPDATES)
    forked("fairseq-train", *resumed)
    last = [folder / "checkpoint_last.pt" for folder in (trained, tmp_path)]
    assert difference(*map(learned, last)) is None
    assert len(hypotheses(forked("fairseq-generate", *decoding(toy_data, last[0])))) == TEST_SIZE


@pytest.mark.parametrize("ddp", ["legacy_ddp", "pytorch_ddp"])
def test_two_ranks_are_one_rank_with_twice_the_update_freq(toy_data, forked, two_ranks, tmp_path, ddp):  # noqa: F811
    flags = (*FLAGS, "--task-schedule", "alternate", *SGD)
    _, ranks = two_ranks(tmp_path, *flags, ddp=ddp)
    forked("fairseq-train", *training(toy_data, tmp_path / "one", *flags, "--update-freq", 2, updates=8))
    assert difference(*map(final, ranks)) is None
    assert largest_deviation(final(tmp_path / "one")["model"], final(ranks[0])["model"]) < RELATIVE
