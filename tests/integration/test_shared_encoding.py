"""``--share-document-encoding``: what CLS and MS read in common is encoded once, and nothing else changes."""

import shutil
from pathlib import Path

import pytest
import tiny
import torch
from commands import difference, error_of, learned, logged, training
from ranks import SGD, largest_deviation, train_in_two

UPDATES = 8
SIZES = {task: {"train": 60, "valid": 12, "test": 13} for task in ("cls", "mt", "ms")}
ONCE = ("--share-document-encoding", "--task-tag", "target")
TWICE = ("--same-documents", "--task-tag", "target")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The toy corpus, whose MS pairs begin with the documents of CLS."""
    folder = tmp_path_factory.mktemp("documents")
    tiny.write_corpus(folder, SIZES)
    for split in SIZES["cls"]:
        shutil.copy(folder / f"text/cls/{split}.en", folder / f"text/ms/{split}.en")
        documents = (folder / f"text/ms/{split}.en").read_text().splitlines()
        summaries = "".join(" ".join(text.split()[:3]) + "\n" for text in documents)
        (folder / f"text/ms/{split}.en_sum").write_text(summaries)
    return tiny.binarise(folder, SIZES)


@pytest.fixture(scope="module")
def train(data, forked):
    def command(folder, *flags, **settings):
        arguments = training(data, folder, *SGD, *flags, updates=settings.pop("updates", UPDATES))
        return forked("fairseq-train", *arguments, **settings)

    return command


def final(folder: Path) -> dict:
    return learned(folder / "checkpoint_last.pt")


@pytest.mark.parametrize("decoders", ["shared", "task"])
def test_a_run_without_noise_learns_what_two_passes_learn(train, tmp_path, decoders):
    flags = ("--latents", "none", "--dropout", 0, "--decoders", decoders)
    logs = {}
    for name, way in (("once", ONCE), ("twice", TWICE)):
        logs[name] = logged(train(tmp_path / name, *way, *flags), "train_inner")
    once, twice = (final(tmp_path / name)["model"] for name in logs)
    assert largest_deviation(twice, once) < 1e-5
    for one, two in zip(*logs.values(), strict=True):
        for key in ("loss", "loss_cls", "loss_mt", "loss_ms", "wpb", "bsz"):
            assert one[key] == pytest.approx(two[key], abs=0.002), key


@pytest.mark.parametrize("settings", [{}, {"latent_projection": "states"}], ids=str)
def test_one_call_has_the_outputs_and_gradients_of_two(settings):
    dictionary = tiny.make_dictionary()
    cls, ms = (tiny.make_batch(dictionary, task) for task in ("cls", "ms"))
    ms["net_input"]["src_tokens"] = cls["net_input"]["src_tokens"]
    ms["target"] = ms["target"].flip(1)
    one, two = (tiny.make_model(dictionary, **settings) for _ in range(2))
    torch.manual_seed(3)
    partner = {**ms["net_input"], "target": ms["target"]}
    out, extra = one(**cls["net_input"], target=cls["target"], partner=partner)
    together = out, extra["partner"][0]
    torch.manual_seed(3)
    apart = tuple(two(**batch["net_input"], target=batch["target"])[0] for batch in (cls, ms))
    torch.testing.assert_close(together, apart)
    for logits in (together, apart):
        sum(part.log_softmax(-1)[..., 7].sum() for part in logits).backward()
    for (name, mine), theirs in zip(one.named_parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, msg=name)


def test_vhm_trains_validates_and_resumes_in_mid_epoch(train, tmp_path):
    train(tmp_path / "whole", *ONCE, "--save-interval-updates", 5)
    (checkpoint,) = (tmp_path / "whole").glob("checkpoint_*_5.pt")
    train(tmp_path / "resumed", *ONCE, "--restore-file", checkpoint)
    assert difference(final(tmp_path / "whole"), final(tmp_path / "resumed")) is None


@pytest.mark.parametrize("ddp", ["legacy_ddp", "pytorch_ddp"])
def test_two_ranks_are_one_rank_with_twice_the_update_freq(data, forked, train, tmp_path, ddp):
    def arguments_of(save_dir):
        return training(data, save_dir, *ONCE, *SGD, updates=UPDATES)

    _, ranks = train_in_two(forked, tmp_path, arguments_of, ddp)
    train(tmp_path / "one", *ONCE, "--update-freq", 2)
    assert difference(*map(final, ranks)) is None
    assert largest_deviation(final(tmp_path / "one")["model"], final(ranks[0])["model"]) < 1e-6


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--share-document-encoding"], "give --task-tag target"),
        ([*ONCE, "--task-schedule", "alternate"], "give --task-schedule joint"),
        ([*ONCE, "--tasks", "cls,mt", "--latents", "mt,cls"], "joins CLS and MS"),
        ([*ONCE, "--task-ratio", "cls:2"], "one --task-ratio"),
        ([*ONCE, "--arch", "ms_cls_rec_transformer_tiny", "--tasks", "cls,ms"], "this --arch shows"),
        (
            [*ONCE, "--latents", "none", "--criterion", "label_smoothed_cross_entropy"],
            "needs --criterion elbo",
        ),
    ],
)
def test_what_does_not_go_with_it_is_refused_before_training(train, tmp_path, flags, named):
    assert named in error_of(train(tmp_path, *flags, fails=True))
    assert not list(tmp_path.rglob("*.pt"))


def test_documents_that_ms_lacks_are_refused(toy_data, forked, tmp_path):
    message = error_of(forked("fairseq-train", *training(toy_data, tmp_path, *ONCE), fails=True))
    assert "no CLS document has a summary in the MS data" in message
    assert "--share-document-encoding need; leave the flag out" in message


