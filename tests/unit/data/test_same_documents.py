"""``--same-documents``: the MS mini-batches hold the documents of the CLS mini-batches."""

import random
import shutil

import pytest
import tiny
from omegaconf import OmegaConf

from fairseq_vhm.errors import UserError
from fairseq_vhm.tasks.config import CrossLingualSummarizationConfig
from fairseq_vhm.tasks.cross_lingual_summarization import CrossLingualSummarizationTask

SIZES = {"cls": {"train": 30}, "mt": {"train": 20}, "ms": {"train": 35}}


@pytest.fixture(scope="module")
def shared_documents(tmp_path_factory):
    """DATA whose MS pairs are those of the CLS documents in another order, and five others."""
    folder = tmp_path_factory.mktemp("same")
    tiny.write_corpus(folder, SIZES)
    documents = (folder / "text/cls/train.en").read_text().splitlines()
    others = (folder / "text/ms/train.en").read_text().splitlines()[:5]
    mixed = [*documents, *others]
    random.Random(3).shuffle(mixed)
    (folder / "text/ms/train.en").write_text("\n".join(mixed) + "\n")
    summaries = (" ".join(text.split()[:3]) for text in mixed)
    (folder / "text/ms/train.en_sum").write_text("\n".join(summaries) + "\n")
    return tiny.binarise(folder, SIZES)


def steps_of(data, **settings):
    """The training steps of a task over ``data``, and the task."""
    flags = {"same_documents": True, "tasks": "cls,ms", "seed": 1, "train_subset": "train", **settings}
    config = OmegaConf.structured(CrossLingualSummarizationConfig)
    OmegaConf.set_struct(config, False)
    config = OmegaConf.merge(config, {"data": str(data), "update_freq": [1], "dataset_impl": None, **flags})
    task = CrossLingualSummarizationTask.setup_task(config)
    task.latent_sizes, task.summaries_wanted = {}, False
    task.load_dataset("train", combine=False)
    iterator = task.get_batch_iterator(task.datasets["train"], max_tokens=60, seed=1)
    return iterator.next_epoch_itr(shuffle=False), task


def documents(batch, task) -> set[str]:
    """The batch's documents as text, without the tag that names the task."""
    pad = task.dictionary.pad()
    return {
        task.dictionary.string(row[row != pad][1:]) for row in batch["net_input"]["src_tokens"]
    }


@pytest.mark.parametrize("schedule", ["joint", "alternate"])
def test_cls_and_ms_read_the_same_documents_in_every_turn(shared_documents, schedule):
    steps, task = steps_of(shared_documents, task_schedule=schedule)
    batches = [batch for step in steps for batch in step["mini_batches"]]
    by_task = {
        name: [b for b in batches if b["net_input"]["task"] == name] for name in ("cls", "ms")
    }
    assert len(by_task["cls"]) == len(by_task["ms"]) > 3
    for cls, ms in zip(by_task["cls"], by_task["ms"], strict=True):
        assert documents(cls, task) == documents(ms, task)
    seen = set().union(*(documents(batch, task) for batch in by_task["ms"]))
    assert seen == set(tiny_text(shared_documents))


def test_a_few_shot_share_takes_its_own_documents_to_ms(shared_documents):
    steps, task = steps_of(shared_documents, cls_fraction=0.2)
    batches = [batch for step in steps for batch in step["mini_batches"]]
    seen = {name: set() for name in ("cls", "ms")}
    for batch in batches:
        seen[batch["net_input"]["task"]] |= documents(batch, task)
    assert seen["cls"] == seen["ms"] and len(seen["cls"]) == 6


def test_a_cls_document_without_ms_summary_is_refused_with_counts(shared_documents, tmp_path):
    folder = shared_documents.parent
    shutil.copytree(folder / "text", tmp_path / "text")
    for language in ("en", "en_sum"):
        path = tmp_path / f"text/ms/train.{language}"
        path.write_text("\n".join(path.read_text().splitlines()[:30]) + "\n")
    data = tiny.binarise(tmp_path, SIZES)
    kept = set((tmp_path / "text/ms/train.en").read_text().splitlines())
    lacking = len([text for text in tiny_text(data) if text not in kept])
    with pytest.raises(UserError, match=f"--same-documents: {lacking} of 30 CLS documents"):
        steps_of(data)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"tasks": "cls,mt"}, "--tasks cls,mt"), ({"task_ratio": "cls:2,ms:1"}, "--task-ratio")],
)
def test_settings_that_make_no_sense_with_it_are_refused(shared_documents, settings, named):
    with pytest.raises(UserError, match=named):
        steps_of(shared_documents, **settings)


def tiny_text(data) -> list[str]:
    return (data.parent / "text/cls/train.en").read_text().splitlines()
