"""MLPT through fairseq's commands: pre-train, resume, fine-tune, generate; and what is refused."""

import shutil

import pytest
import torch
from commands import (
    TEST_SIZE,
    decoding,
    difference,
    error_of,
    hypotheses,
    learned,
    logged,
    read,
    training,
)
from test_distributed import RELATIVE, SGD, final, largest_deviation, two_ranks  # noqa: F401  (a fixture)

STREAMS = ("cls", "mt", "ms", "mlm", "dae", "cmlm")
PRETRAINING = ("--pretraining-tasks", "mlm,dae,cmlm", "--latents", "none")
EPOCH = 15  # updates; 400 texts
UPDATES = 2 * EPOCH + 4
SYMBOLS = 4  # <mask>, <mlm>, <dae>, <cmlm>


@pytest.fixture(scope="module")
def pretrained(toy_data, forked, tmp_path_factory):
    """A pre-training run of more than two epochs with checkpoints, and its folder."""
    folder = tmp_path_factory.mktemp("pretrained")
    flags = (*PRETRAINING, "--save-interval-updates", EPOCH - 1)
    return forked("fairseq-train", *training(toy_data, folder, *flags, updates=UPDATES)), folder


@pytest.fixture(scope="module")
def finetuned(pretrained, toy_data, forked, tmp_path_factory):
    """Fine-tuning on all tasks from the last checkpoint, and its folder."""
    folder = tmp_path_factory.mktemp("finetuned")
    flags = ("--latents", "none", "--finetune-from-model", pretrained[1] / "checkpoint_last.pt")
    return forked("fairseq-train", *training(toy_data, folder, *flags, updates=6)), folder


def rows(folder) -> int:
    return len(read(folder / "checkpoint_last.pt")["model"]["encoder.embed_tokens.weight"])


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_logs_its_loss_in_training_and_validation_and_learns(pretrained, stream):
    updates, validations = (logged(pretrained[0], kind) for kind in ("train_inner", "valid"))
    assert all(f"loss_{stream}" in update for update in updates)
    assert updates[-1][f"nll_loss_{stream}"] < updates[0][f"nll_loss_{stream}"]
    assert validations[-1][f"valid_nll_loss_{stream}"] < validations[0][f"valid_nll_loss_{stream}"]


@pytest.mark.parametrize(("place", "workers"), [(f"checkpoint_1_{EPOCH - 1}.pt", 2), ("checkpoint2.pt", 0)])
def test_a_resumed_run_equals_the_uninterrupted_one(pretrained, toy_data, forked, tmp_path, place, workers):
    restore = ("--restore-file", pretrained[1] / place, "--num-workers", workers)
    forked("fairseq-train", *training(toy_data, tmp_path, *PRETRAINING, *restore, updates=UPDATES))
    assert difference(learned(pretrained[1] / "checkpoint_last.pt"), final(tmp_path)) is None


def test_two_ranks_are_one_rank_with_twice_the_update_freq(toy_data, forked, two_ranks, tmp_path):  # noqa: F811
    flags = ("--pretraining-tasks", "mlm,dae", "--task-schedule", "alternate", *SGD)
    _, ranks = two_ranks(tmp_path, *flags)
    accumulated = training(toy_data, tmp_path / "one", *flags, "--update-freq", 2, updates=8)
    forked("fairseq-train", *accumulated)
    assert difference(*map(final, ranks)) is None
    assert largest_deviation(final(tmp_path / "one")["model"], final(ranks[0])["model"]) < RELATIVE


def test_fine_tuning_starts_where_pre_training_ended(pretrained, finetuned):
    before = logged(pretrained[0], "valid")[-1]["valid_nll_loss_cls"]
    first_updates = (logged(run[0], "train_inner")[0] for run in (pretrained, finetuned))
    from_scratch, started = (update["nll_loss_cls"] for update in first_updates)
    assert started < from_scratch - 0.5 and abs(started - before) < 0.7
    assert logged(finetuned[0], "train_inner")[0]["num_updates"] == 1


def test_fine_tuning_leaves_out_the_symbols_of_pre_training_and_keeps_all_others(pretrained, finetuned):
    assert rows(finetuned[1]) == rows(pretrained[1]) - SYMBOLS
    assert f"its last {SYMBOLS} symbols" in finetuned[0].stdout
    parameters = read(finetuned[1] / "checkpoint_last.pt")["model"]
    assert not any("pretraining" in name for name in parameters)


def test_restoring_with_resets_fine_tunes_too(pretrained, finetuned, toy_data, forked, tmp_path):
    resets = ("--reset-optimizer", "--reset-dataloader", "--reset-meters", "--reset-lr-scheduler")
    restore = ("--latents", "none", "--restore-file", pretrained[1] / "checkpoint_last.pt", *resets)
    forked("fairseq-train", *training(toy_data, tmp_path, *restore, updates=6))
    assert difference(final(finetuned[1]), final(tmp_path)) is None


def test_vhm_starts_from_a_pre_trained_model_with_latents_of_its_own(pretrained, toy_data, forked, tmp_path):
    flags = ("--init-from", pretrained[1] / "checkpoint_last.pt", "--kl-max-weight", 0)
    process = forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=1))
    trained, started = (read(folder / "checkpoint_last.pt")["model"] for folder in (pretrained[1], tmp_path))
    assert any("hierarchy" in name for name in started)
    name = "encoder.layers.0.fc1.weight"
    torch.testing.assert_close(started[name], trained[name], atol=0.004, rtol=0)  # one update at 0.003
    assert rows(tmp_path) == rows(pretrained[1]) - SYMBOLS and "initialised from" in process.stdout


@pytest.mark.parametrize("which", ["pretrained", "finetuned"])
def test_both_checkpoints_generate(request, toy_data, forked, which):
    checkpoint = request.getfixturevalue(which)[1] / "checkpoint_last.pt"
    process = forked("fairseq-generate", *decoding(toy_data, checkpoint, "--beam", 2))
    found = hypotheses(process)
    assert len(found) == TEST_SIZE
    assert not any("<mask>" in text for best in found.values() for _, text in best)


def test_latents_are_trained_beside_pre_training_and_hold_still_on_its_updates(toy_data, forked, tmp_path):
    flags = ("--pretraining-tasks", "dae", "--task-schedule", "alternate", "--kl-anneal-steps", 1)
    updates = logged(forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=8)), "train_inner")
    kls = [[task for task in ("cls", "mt", "ms") if f"kl_{task}" in update] for update in updates]
    assert kls == [["cls"], ["mt"], ["ms"], []] * 2


def test_a_validation_subset_of_one_stream_says_what_valid_says_of_it(toy_data, forked, tmp_path):
    flags = (*PRETRAINING, "--valid-subset", "valid,valid_mlm")
    process = forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=2))
    (together,), (alone,) = logged(process, "valid"), logged(process, "valid_mlm")
    assert alone["valid_mlm_loss_mlm"] == together["valid_loss_mlm"] == alone["valid_mlm_loss"]


REFUSED = {
    "unknown": (["--pretraining-tasks", "mlm,foo"], ["--pretraining-tasks mlm,foo", "mlm, dae, cmlm"]),
    "twice": (["--pretraining-tasks", "mlm,mlm"], ["twice"]),
    "texts of nothing": (["--pretraining-texts", "mt"], ["--pretraining-texts mt", "--pretraining-tasks"]),
    "unknown texts": (
        ["--pretraining-tasks", "mlm", "--pretraining-texts", "foo"],
        ["--pretraining-texts foo", "cls, mt, ms, mono"],
    ),
    "texts that few-shot leaves out": (
        ["--pretraining-tasks", "mlm", "--cls-fraction", "0.5"],
        ["--cls-fraction 0.5", "--pretraining-texts mt,ms"],
    ),
    "missing texts": (["--pretraining-tasks", "mlm", "--pretraining-texts", "mono"], ["mono: missing"]),
    "pairs that are not read": (
        ["--pretraining-tasks", "cmlm", "--tasks", "cls,ms", "--latents", "none"],
        ["cmlm", "--tasks cls,ms"],
    ),
    "nothing masked": (["--mlm-share", "0"], ["--mlm-share 0"]),
    "too much masked": (["--mlm-share", "0.9"], ["--mlm-share 0.9", "0.4"]),
    "span of nothing": (["--mlm-span", "0.5"], ["--mlm-span 0.5"]),
    "all dropped": (["--dae-drop", "1"], ["--dae-drop 1"]),
    "negative shuffle": (["--dae-shuffle", "-1"], ["--dae-shuffle -1"]),
    "decoders of tasks": (
        ["--pretraining-tasks", "dae", "--decoders", "task"],
        ["--pretraining-tasks dae", "--decoders task", "--decoders shared"],
    ),
    "ratio of an absent stream": (["--task-ratio", "mlm:2"], ["--task-ratio mlm:2"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_flags_that_make_no_sense_are_refused_before_training(toy_data, forked, tmp_path, case):
    flags, expected = REFUSED[case]
    message = error_of(forked("fairseq-train", *training(toy_data, tmp_path / "run", *flags), fails=True))
    assert all(part in message for part in expected), message
    assert not list((tmp_path / "run").glob("*"))


def test_going_on_without_the_pre_training_tasks_is_refused(pretrained, toy_data, forked, tmp_path):
    flags = ("--latents", "none", "--restore-file", pretrained[1] / "checkpoint_last.pt")
    message = error_of(forked("fairseq-train", *training(toy_data, tmp_path / "run", *flags), fails=True))
    assert "--pretraining-tasks" in message and "--finetune-from-model" in message


def test_monolingual_texts_of_another_dictionary_are_refused(toy_data, forked, tmp_path):
    data = shutil.copytree(toy_data, tmp_path / "DATA")
    shutil.copytree(data / "mt", data / "mono")
    (data / "mono" / "dict.zh.txt").write_text("other 1\n", encoding="utf-8")
    arguments = training(data, tmp_path / "run", *PRETRAINING)
    assert "mono/dict.zh.txt" in error_of(forked("fairseq-train", *arguments, fails=True))


def test_pre_training_does_not_touch_models_without_it(toy_data, forked, tmp_path):
    """Parameter counts and draws: the same run with and without this file's flags being there."""
    forked("fairseq-train", *training(toy_data, tmp_path, "--latents", "none", updates=1))
    parameters = read(tmp_path / "checkpoint_last.pt")["model"]
    words = sum(1 for _ in (toy_data / "cls" / "dict.en.txt").open(encoding="utf-8"))
    assert parameters["encoder.embed_tokens.weight"].shape == torch.Size([4 + words + 3, 32])
