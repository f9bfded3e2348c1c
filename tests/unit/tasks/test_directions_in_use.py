"""The directions of a corpus that ``--pairs`` names: all of them, and no other, in every split and task."""

import numpy as np
import pytest

from fairseq_vhm.data.corpus import Corpus
from fairseq_vhm.data.corpus_writer import CorpusWriter
from fairseq_vhm.errors import UserError


def directions(pairs) -> set[tuple[str, str]]:
    return {pairs.direction_of(number) for number in pairs.subset}


def write_pairs(folder, splits: dict[str, list[tuple[str, str]]]):
    """A corpus of two pairs a direction; French articles have no summary of their own."""
    with CorpusWriter(folder, "".join(f"w{n} 1\n" for n in range(9)), "sentencepiece") as writer:
        for split, named in splits.items():
            for source, target in named * 2:
                article = writer.add_article(source, np.array([5, 6, 7, 2]))
                summary = writer.add_summary(target, np.array([6, 2]), "w2")
                if source != "fr":
                    own = writer.add_summary(source, np.array([5, 2]), "w1")
                    writer.set_own(source, article, own)
                writer.add_pair(split, source, target, article, summary)
    return folder


@pytest.mark.parametrize("pairs", ["en-fr,fr-en", "en-fr, zh-*", "*"])
def test_training_and_validation_hold_the_directions_that_are_named(many_to_many, many_data, pairs):
    task = many_to_many(pairs=pairs, min_pair_size=1)
    known = Corpus.open(many_data).pairs("train").directions
    patterns = [pattern.strip().rstrip("*") for pattern in pairs.split(",")]
    wanted = {d for d in known if any("-".join(d).startswith(pattern) for pattern in patterns)}
    task.load_dataset("train", combine=False)
    task.load_dataset("valid", combine=None)
    assert directions(task.datasets["train"].parts["cls"]) == directions(task.datasets["valid"]) == wanted


@pytest.mark.parametrize("flags", [{"pairs": "en-fr,en-xx"}, {"pairs": "en-fr,zh-en", "source_lang": "en"}])
def test_training_on_fewer_directions_than_are_named_is_refused(many_to_many, flags):
    """A split that lacks one is validated and decoded all the same."""
    task = many_to_many(min_pair_size=1, **flags)
    absent = flags["pairs"].rpartition(",")[2]
    with pytest.raises(UserError, match=f"^--pairs {flags['pairs']}.*: 'train' has no direction '{absent}'"):
        task.load_dataset("train", combine=False)
    task.load_dataset("valid", combine=False)
    assert directions(task.datasets["valid"]) == {("en", "fr")}


def test_no_direction_at_all_is_refused_with_some_that_there_are(many_to_many):
    with pytest.raises(UserError, match="--pairs xx-yy: 'test' has no such direction; it has 6, such as en-"):
        many_to_many(pairs="xx-yy").load_dataset("test")


def test_a_validation_without_own_summaries_leaves_out_the_tasks_that_need_them(many_to_many, tmp_path):
    """Where those of training have them."""
    splits = {"train": [("en", "zh"), ("fr", "zh")], "valid": [("en", "zh"), ("fr", "zh")]}
    data = write_pairs(tmp_path / "DATA", splits)
    flags = {"tasks": "cls,mt,ms", "min_pair_size": 1}
    task = many_to_many(data, **flags)
    task.load_dataset("valid", combine=False)
    assert set(task.datasets["valid"].parts) == {"cls", "mt", "ms"}
    task = many_to_many(data, **flags, pairs="fr-zh")
    task.load_dataset("valid", combine=False)
    assert (task.datasets["valid"].task, directions(task.datasets["valid"])) == ("cls", {("fr", "zh")})
    with pytest.raises(UserError, match="^--tasks cls,mt,ms: no article of 'train' has a summary of its own"):
        task.load_dataset("train", combine=False)


def test_pairs_within_one_language_are_validated_alone(many_to_many):
    task = many_to_many(pairs="en-en")
    task.load_dataset("valid", combine=False)
    assert directions(task.datasets["valid"]) == {("en", "en")}
    assert task.datasets["valid"].task_of(("en", "en")) == "ms"


def test_a_validation_of_no_task_of_training_is_refused(many_to_many, tmp_path):
    data = write_pairs(tmp_path / "DATA", {"train": [("en", "zh")], "valid": [("en", "en")]})
    task = many_to_many(data)
    assert task.streams == ("cls",)
    with pytest.raises(UserError, match=r"^--pairs \*: 'valid' has pairs within one language alone"):
        task.load_dataset("valid", combine=False)
