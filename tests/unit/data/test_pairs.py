"""Pairs: cutting, tags, few-shot subsets, batches of one task, nothing lost."""

import shutil

import numpy as np
import pytest
import torch
from fairseq.data import ListDataset

from fairseq_vhm.data.loading import PairOptions, TaskFolder, load_dictionary, load_pairs, task_tag
from fairseq_vhm.data.pairs import Batching, CutDataset, MultiTaskPairs, TrainingPairs, few_shot_subset
from fairseq_vhm.data.plan import Turn
from fairseq_vhm.errors import UserError

TASKS = ("cls", "mt", "ms")


def texts(*lengths):
    items = [torch.arange(4, 4 + n) for n in lengths]
    for item in items:
        item[-1] = 2
    return ListDataset(items, sizes=np.array(lengths))


@pytest.mark.parametrize("tag", [None, 99])
def test_cut_texts_keep_their_start_and_their_eos_and_state_their_true_length(tag):
    cut = CutDataset(texts(3, 6, 9), length=6, tag=tag)
    assert cut.cut == (1 if tag is None else 2)
    for index in range(3):
        item = cut[index]
        assert len(item) == cut.sizes[index] <= 6
        assert item[-1] == 2
        assert item[0] == (4 if tag is None else 99)


@pytest.fixture(scope="module")
def folders(toy_data):
    return {task: TaskFolder.find(str(toy_data), task) for task in TASKS}


@pytest.fixture
def two_pairs(toy_data, tmp_path):
    """DATA whose CLS folder holds English to Chinese, and the other way round."""
    shutil.copytree(toy_data / "cls", tmp_path / "cls")
    for path in list((tmp_path / "cls").glob("*.en-zh.*")):
        shutil.copy(path, path.with_name(path.name.replace("en-zh", "zh-en")))
    return str(tmp_path)


def test_of_several_pairs_of_languages_one_must_be_named(two_pairs):
    with pytest.raises(UserError, match=r"cls: holds several pairs .*\(en-zh, zh-en\).*--source-lang"):
        TaskFolder.find(two_pairs, "cls")
    for given in ({"source": "zh"}, {"target": "en"}, {"source": "zh", "target": "en"}):
        folder = TaskFolder.find(two_pairs, "cls", **given)
        assert (folder.source, folder.target) == ("zh", "en")


def test_a_language_that_the_folder_does_not_hold_is_refused(toy_data):
    for given, named in (({"source": "de"}, "--source-lang de"), ({"target": "de"}, "--target-lang de")):
        with pytest.raises(UserError, match=f"cls: holds en-zh .*, none of {named}; drop the flag"):
            TaskFolder.find(str(toy_data), "cls", **given)


def test_languages_with_hyphens_are_read_off_the_files(tmp_path):
    (tmp_path / "cls").mkdir()
    for name in ("train.sr-latn-en.sr-latn.idx", "train.sr-latn-en.en.idx", "odd.idx", "train.en.idx"):
        (tmp_path / "cls" / name).touch()
    folder = TaskFolder.find(str(tmp_path), "cls")
    assert (folder.source, folder.target) == ("sr-latn", "en")


def test_a_folder_without_binaries_is_refused(tmp_path):
    (tmp_path / "cls").mkdir()
    with pytest.raises(UserError, match="cls: holds no SPLIT.SRC-TGT.SRC.idx file"):
        TaskFolder.find(str(tmp_path), "cls")
    with pytest.raises(UserError, match="mt: missing"):
        TaskFolder.find(str(tmp_path), "mt")


@pytest.fixture(scope="module")
def dictionary(folders):
    return load_dictionary(list(folders.values()))


def load(folders, dictionary, task="cls", split="train", **options):
    settings = PairOptions(**{"max_source": 64, "max_target": 64, "tag_place": "source", **options})
    return load_pairs(folders[task], split, dictionary, settings)


@pytest.mark.parametrize("task", TASKS)
def test_source_tag_stands_before_the_text_and_target_tag_starts_the_decoder(folders, dictionary, task):
    tag = dictionary.index(task_tag(task))
    at_source, at_target, without = (
        load(folders, dictionary, task, tag_place=place) for place in ("source", "target", "none")
    )
    plain = without[0]
    torch.testing.assert_close(at_source[0]["source"], torch.cat([torch.tensor([tag]), plain["source"]]))
    batch = at_target.collater([at_target[0]])
    assert batch["net_input"]["prev_output_tokens"][0, 0] == tag
    torch.testing.assert_close(batch["net_input"]["prev_output_tokens"][0, 1:], plain["target"][:-1])
    assert without.collater([plain])["net_input"]["prev_output_tokens"][0, 0] == dictionary.eos()


def test_a_batch_keeps_each_summary_with_its_pair_and_no_pairs_make_no_batch(folders, dictionary):
    """Summaries are their pairs' numbers, so that sorting by length shows; pair 2 has none."""
    def numbered(index):
        return None if index == 2 else torch.tensor([*[4 + index] * (index + 1), dictionary.eos()])

    folder, options = folders["cls"], PairOptions(max_source=64, max_target=64, tag_place="source")
    pairs = load_pairs(folder, "train", dictionary, options, summaries=numbered)
    batch = pairs.collater([pairs[index] for index in range(4)])
    net_input = batch["net_input"]
    rows = [batch["id"].tolist()[row] for row in net_input["summary_rows"]]
    assert sorted(rows) == [0, 1, 3]
    for index, summary in zip(rows, net_input["summary"].tolist(), strict=True):
        assert summary == [*numbered(index).tolist(), *[dictionary.pad()] * (3 - index)]
    assert "summary" not in pairs.collater([pairs[2]])["net_input"]
    assert pairs.collater([]) == {}


def test_smaller_few_shot_subsets_are_inside_larger_ones():
    subsets = [set(few_shot_subset(1000, f, seed=3)) for f in (0.001, 0.01, 0.1, 0.5)]
    assert [len(s) for s in subsets] == [1, 10, 100, 500]
    assert all(a < b for a, b in zip(subsets, subsets[1:], strict=False))
    assert few_shot_subset(1000, 1.0, seed=3) is None
    assert set(few_shot_subset(1000, 0.1, seed=4)) != subsets[2]


def test_few_shot_training_uses_the_subset_and_no_other_pair(folders, dictionary):
    pairs = load(folders, dictionary, fraction=0.2, fraction_seed=3)
    steps = TrainingPairs({"cls": pairs}).steps(Batching(40, None, 1, seed=1))
    used = np.concatenate(steps.mini_batches["cls"])
    assert sorted(used) == few_shot_subset(60, 0.2, 3).tolist()


@pytest.mark.parametrize("multiple", [1, 8])
def test_no_pair_is_lost_or_repeated_in_batching(folders, dictionary, multiple):
    parts = {task: load(folders, dictionary, task, split="test") for task in TASKS}
    everything = MultiTaskPairs(parts)
    batches = everything.batches(Batching(64, None, multiple, seed=1))
    assert sorted(np.concatenate(batches)) == list(range(3 * 13))


def test_a_validation_batch_is_of_one_task_and_names_it(folders, dictionary):
    everything = MultiTaskPairs({task: load(folders, dictionary, task, split="valid") for task in TASKS})
    seen = set()
    for batch in everything.batches(Batching(64, None, 1, seed=1)):
        sample = everything.collater([everything[int(i)] for i in batch])
        seen.add(sample["net_input"]["task"])
        assert sample["nsentences"] == len(batch)
    assert seen == set(TASKS)


def test_a_training_step_keeps_its_mini_batches_apart(folders, dictionary):
    parts = {task: load(folders, dictionary, task) for task in ("cls", "mt")}
    steps = TrainingPairs(parts).steps(Batching(40, None, 1, seed=1))
    sample = steps.collater([steps[Turn("cls", 0, 5)], steps[Turn("mt", 1, 6)]])
    tasks = [b["net_input"]["task"] for b in sample["mini_batches"]]
    assert tasks == ["cls", "mt"]
    assert [b["position"] for b in sample["mini_batches"]] == [5, 6]


def test_summaries_come_from_the_ms_pair_of_the_same_document():
    from fairseq_vhm.data.summaries import SummaryLookup

    documents, ms_documents = texts(5, 6, 7), texts(7, 5)
    lookup = SummaryLookup(documents, ms_documents, texts(2, 3))
    assert lookup.found == 2
    torch.testing.assert_close(lookup(0), torch.tensor([4, 5, 2]))
    assert lookup(1) is None
    torch.testing.assert_close(lookup(2), torch.tensor([4, 2]))
