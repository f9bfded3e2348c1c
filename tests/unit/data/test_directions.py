"""Examples of many directions: start tokens go in with the lines and come off again, batches name them."""

import many
import numpy as np
import pytest
import torch

from fairseq_vhm.data.corpus import Corpus
from fairseq_vhm.data.directions import DirectionPairs, LineExamples, Marks, take_starts

PAD, EOS = 1, 2
STARTS = {"en": 60, "fr": 61, "zh": 62}


def marks(left: bool = True, **settings) -> Marks:
    flags = {"starts": STARTS, "pad": PAD, "eos": EOS, "max_source": 6, "max_target": 4, **settings}
    return Marks(left_pad_source=left, **flags)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("lengths", [(2, 4, 3), (3, 3, 3)])
def test_start_tokens_come_off_as_they_went_in_whichever_side_is_padded(left, lengths):
    lines = [torch.tensor([*range(10, 9 + length), EOS]) for length in lengths]
    tagged = marks(left, tags={"cls": 50})
    examples = LineExamples(lines, list(lengths), ["zh", "en", "fr"], ["cls"] * 3, tagged)
    batch = examples.collater([examples[number] for number in range(3)])
    tokens, starts = take_starts(batch["net_input"]["src_tokens"], PAD)
    order = batch["id"].tolist()
    assert starts.tolist() == [[62, 60, 61][number] for number in order]
    for row, number in zip(tokens, order, strict=True):
        assert row[row != PAD].tolist() == [50, *lines[number].tolist()]
    assert [examples.size(number) for number in range(3)] == [length + 2 for length in lengths]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return Corpus.open(many.write_toy_corpus(tmp_path_factory.mktemp("many") / "DATA"))


def test_no_examples_make_no_batch_and_some_are_as_long_as_their_sizes_say(corpus):
    pairs = DirectionPairs("cls", corpus, corpus.pairs("train"), marks())
    assert pairs.collater([]) == {}
    for number in range(0, len(pairs), 7):
        example = pairs[number]
        assert (len(example["source"]), len(example["target"])) == pairs.size(number)
        assert example["source"][-1] == example["target"][-1] == EOS
        assert example["prev_output_tokens"].tolist() == [example["start"], *example["target"].tolist()[:-1]]
        assert example["start"] == STARTS[pairs.direction_of(number)[1]]


def test_a_batch_names_the_start_of_each_of_its_rows(corpus):
    pairs = DirectionPairs("cls", corpus, corpus.pairs("train"), marks())
    numbers = np.flatnonzero(pairs.tasks_of(np.arange(len(pairs))) == "cls")[::40]
    batch = pairs.collater([pairs[int(number)] for number in numbers])
    expected = [STARTS[pairs.direction_of(number)[1]] for number in batch["id"].tolist()]
    assert batch["starts"].tolist() == expected == batch["net_input"]["prev_output_tokens"][:, 0].tolist()
    assert len(set(expected)) > 1


def test_batches_by_length_are_of_one_task_each_and_hold_all(corpus):
    """Of pairs within one language and others, as a split is generated for."""
    pairs = DirectionPairs("cls", corpus, corpus.pairs("test"), marks())
    batches = pairs.batch_by_size(pairs.ordered_indices(), max_sentences=64)
    tasks = [set(pairs.tasks_of(batch)) for batch in batches]
    assert sorted(map(len, tasks)) == [1, 1]
    assert sorted(np.concatenate(batches)) == list(range(len(pairs)))
    with pytest.raises(ValueError, match="one task at a time"):
        pairs.collater([pairs[int(batch[0])] for batch in batches])
