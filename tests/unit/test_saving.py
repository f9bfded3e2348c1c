"""Files of checkpoints: whole under their names, whatever goes wrong in between."""

import os
from pathlib import Path

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_vhm.compat.fallback import others_of_the_run
from fairseq_vhm.compat.saving import copy_whole, write_whole
from fairseq_vhm.errors import UserError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_full_disk_leaves_the_checkpoint_that_was_there(tmp_path):
    path = tmp_path / "checkpoint_last.pt"
    path.write_text("before")
    (tmp_path / "checkpoint_last.pt.tmp").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"checkpoint_last.pt: cannot be written \(No space left on device\)"):
        checkpoint_utils.torch_persistent_save({"model": torch.ones(1000)}, str(path))
    assert path.read_text() == "before"
    assert names(tmp_path) == {"checkpoint_last.pt"}


def test_a_second_name_keeps_its_content_when_the_first_is_written_again(tmp_path):
    first, second = tmp_path / "checkpoint1.pt", tmp_path / "checkpoint_last.pt"
    for text in ("one", "two"):
        write_whole(str(first), lambda part, text=text: Path(part).write_text(text))
        if text == "one":
            copy_whole(str(first), str(second))
            copy_whole(str(first), str(second))  # two names of one file: a rename does nothing
    assert (first.read_text(), second.read_text()) == ("two", "one")
    assert names(tmp_path) == {first.name, second.name}


def test_what_a_killed_save_left_behind_is_cleared_away(tmp_path):
    for name in ("checkpoint_1_4.pt.tmp", "checkpoint_1_4.pt", "notes.tmp"):
        (tmp_path / name).write_text("")
    checkpoint_utils.verify_checkpoint_directory(str(tmp_path))
    assert names(tmp_path) == {"checkpoint_1_4.pt", "notes.tmp"}


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--save-dir .*file/run: .*Not a directory"):
        checkpoint_utils.verify_checkpoint_directory(str(tmp_path / "file" / "run"))


def test_only_checkpoints_that_the_run_saved_stand_in_for_its_last_the_latest_first(tmp_path):
    own = ["checkpoint_2_8.pt", "checkpoint1.pt", "checkpoint.best_loss_3.2.pt", "checkpoint_best.pt"]
    other = ["checkpoint_last.pt", "checkpoint_average.pt", "checkpoint_1_4-shard0.pt", "model.pt"]
    for number, name in enumerate([*reversed(own), *other]):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (number, number))
    assert [path.name for path in others_of_the_run(tmp_path / "checkpoint_last.pt")] == own
