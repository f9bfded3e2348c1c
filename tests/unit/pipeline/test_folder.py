"""The folder of a pipeline's run: what it takes over, refuses, forgets and says is done."""

import json
from collections import Counter

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.documents import Document
from fairseq_vhm.pipeline.folder import RunFolder

DOCUMENTS = [Document("A cat.", ("A cat.",)), Document("", ())]
SETTINGS = {"--beam": 4}


@pytest.fixture
def folder(tmp_path):
    """The folder of a run that has finished a chunk of a step."""
    folder = RunFolder(tmp_path / "out")
    with folder.locked():
        folder.claim(SETTINGS)
        folder.save_chunk("translate", 0, DOCUMENTS, Counter(sentences=1))
    return folder


def finished(folder, **report) -> RunFolder:
    folder.publish("translate", "texts.txt")
    folder.finish({"files": ["texts.txt"], "counts": {"sentences": 1}, **report})
    return folder


def test_a_run_goes_on_with_the_chunks_that_it_left(folder):
    with folder.locked():
        folder.claim(SETTINGS)
        assert folder.load_chunk("translate", 0) == (DOCUMENTS, Counter(sentences=1))
        assert folder.publish("translate", "texts.txt") == {"sentences": 1}
    assert (folder.out / "texts.txt").read_text() == "A cat.\n\n"


def test_beginning_anew_forgets_what_was_noted_and_finished_and_keeps_the_texts(folder):
    finished(folder)
    with folder.locked():
        folder.save_chunk("translate", 0, DOCUMENTS, Counter())
        folder.save_chunk("summarise", 0, DOCUMENTS, Counter())
        (folder.work / "stdin.txt").write_text("new documents")
        folder.claim({"--beam": 1}, overwrite=True)
        assert folder.report is None
        assert json.loads((folder.out / "settings.json").read_text()) == {"--beam": 1}
        assert not any(folder.has_chunk(step, 0) for step in ("translate", "summarise"))
        assert (folder.work / "stdin.txt").exists() and (folder.out / "texts.txt").exists()


def test_another_run_is_refused_with_what_differs_and_leaves_the_first_as_it_was(folder):
    with pytest.raises(UserError, match="was begun with another --beam, --fp16; choose"), folder.locked():
        folder.claim({"--beam": 1, "--fp16": True})
    assert folder.has_chunk("translate", 0)


def test_a_mistake_leaves_no_new_folder_behind(tmp_path):
    with pytest.raises(UserError, match="^no$"), RunFolder(tmp_path / "out").locked():
        raise UserError("no")
    assert not (tmp_path / "out").exists()


def test_a_disk_that_becomes_full_leaves_the_chunks_that_are_finished(tmp_path):
    run = RunFolder(tmp_path / "out")
    with pytest.raises(UserError, match="^no room$"), run.locked():
        run.save_chunk("translate", 0, [Document("a", ("a",))], Counter())
        raise UserError("no room")
    assert run.load_chunk("translate", 0)[0] == [Document("a", ("a",))]


def test_a_folder_at_work_is_refused_and_not_touched(folder):
    with folder.locked(), pytest.raises(UserError, match="another run is at work there"), folder.locked():
        pass
    assert folder.has_chunk("translate", 0)


def test_a_file_and_a_place_that_cannot_be_made_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    cannot = "cannot be written: Not a directory; choose another folder"
    for out, said in (("file", "was not made by `vhm pipeline`"), ("file/out", cannot)):
        with pytest.raises(UserError, match=said), RunFolder(tmp_path / out).locked():
            pass


def test_texts_that_cannot_be_written_are_one_line(folder):
    (folder.out / "texts.txt").mkdir()
    with pytest.raises(UserError, match="texts.txt: cannot be written: "):
        folder.publish("translate", "texts.txt")


def test_a_run_is_done_when_its_texts_are_there(folder):
    assert finished(folder).report == {"files": ["texts.txt"], "counts": {"sentences": 1}}
    (folder.out / "texts.txt").unlink()
    with pytest.raises(UserError, match="texts.txt: missing, though .*report.json says"):
        _ = folder.report


@pytest.mark.parametrize("report", [{"files": None}, {"files": [3]}, {"counts": {"x": "y"}}, {"counts": 3}])
def test_a_report_of_another_form_is_damaged(folder, report):
    with pytest.raises(UserError, match="report.json: damaged; begin anew with --overwrite"):
        _ = finished(folder, **report).report
