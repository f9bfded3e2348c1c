"""What a run leaves and where: its folder, its files, the recall that it states."""

import json
from dataclasses import replace
from pathlib import Path

import aligned
import numpy as np
import pytest
from aligned import Page

from fairseq_vhm.align.folder import REPORT, check_out
from fairseq_vhm.align.output import write_texts
from fairseq_vhm.align.run import Request, align
from fairseq_vhm.align.search import Neighbours
from fairseq_vhm.align.settings import Embedding, Pairing
from fairseq_vhm.align.similarity import BINS, Similarity
from fairseq_vhm.errors import UserError

STORY, OTHER = np.eye(2)


def pages():
    for language in ("en", "fr"):
        yield Page(language, "a", STORY)
        yield Page(language, "b", OTHER, split="test")


def test_own_summaries_are_written_unless_they_are_not_wanted(aligning, tmp_path):
    _, report = aligning(pages())
    for own, names in ((True, {"en-en", "en-fr", "fr-en", "fr-fr"}), (False, {"en-fr", "fr-en"})):
        folder = tmp_path / str(own)
        folder.mkdir()
        write_texts(folder, report.nodes, report.pairs, report.assignment, own, aligned.QUIET)
        expected = {f"{name}_{split}.jsonl" for name in names for split in ("train", "test")}
        assert {path.name for path in (folder / "pairs").iterdir()} == expected


def test_a_folder_may_be_given_by_its_dot(model, tmp_path, monkeypatch):
    data = aligned.write(tmp_path / "data", pages())
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    align(Request((data,), model, Path("."), embedding=Embedding("cpu"), form="index"), aligned.QUIET)
    assert (tmp_path / "out" / "pairs.tsv").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out", "out.cache"}


def test_another_run_of_other_settings_is_refused_before_any_work(tmp_path):
    check_out(tmp_path, overwrite=False, settings={"precision": "float16"})
    report = {"format": "vhm align 1", "settings": {"precision": "float32"}}
    (tmp_path / REPORT).write_text(json.dumps(report))
    check_out(tmp_path, overwrite=False, settings={"precision": "float32"})
    check_out(tmp_path, overwrite=True, settings={"precision": "float16"})
    with pytest.raises(UserError, match="is there already; choose another folder, or replace it with"):
        check_out(tmp_path, overwrite=False, settings={"precision": "float16"})
    (tmp_path / REPORT).write_text("[]")
    with pytest.raises(UserError, match="was not made by vhm align"):
        check_out(tmp_path, overwrite=True, settings={"precision": "float32"})


@pytest.mark.parametrize(("flag", "value"), [("form", "xml"), ("on_error", "go")])
def test_a_choice_that_there_is_not_is_refused(flag, value):
    request = Request((Path("data"),), Path("labse"), Path("out"))
    with pytest.raises(UserError, match=f"--{flag.replace('_', '-')} {value}: choose from"):
        replace(request, **{flag: value})


def answer(cosine, target, sample=(), exact=()):
    columns = np.array(target, np.int32), np.array(cosine, np.float32)
    return Neighbours(*columns, np.array(sample, np.int64), np.array(exact, np.float32))


def test_recall_is_the_share_of_sampled_queries_whose_nearest_was_found():
    """Of four sampled queries two have their nearest one; of the three over 0.7, one."""
    similarity = Similarity(Pairing(threshold=0.7))
    assert similarity.recall() is None and similarity.notes() == []
    similarity.take(answer([0.9, 0.5, 0.2], [1, 0, 2], sample=[0, 1, 2], exact=[0.9, 0.8, 0.2]))
    similarity.take(answer([-1.0], [-1], sample=[0], exact=[0.75]))
    assert similarity.recall() == {"all": 2 / 4, "over_threshold": 1 / 3}
    assert similarity.notes() == [
        "Nearest summaries that IVF found: 50.00 % of 4 queries (all), 33.33 % of 3 queries (over threshold)."
    ]


def test_recall_over_the_threshold_is_not_stated_where_no_query_is_over_it():
    similarity = Similarity(Pairing(threshold=0.7))
    similarity.take(answer([0.5], [0], sample=[0], exact=[0.5]))
    assert similarity.recall() == {"all": 1.0}


def test_the_histogram_counts_nearest_summaries_and_not_those_that_have_none():
    similarity = Similarity(Pairing())
    similarity.take(answer([0.905, -1.0, 0.911], [1, -1, 0]))
    filled = np.flatnonzero(similarity.counts)
    assert (BINS[filled].tolist(), similarity.counts[filled].tolist()) == ([0.9], [2])
