"""Files are there whole or not at all, whatever ends the writing; the mean of checkpoints among them."""

import json
import math
import os
import resource
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from fairseq_vhm.checkpoints import average
from fairseq_vhm.compat.saving import copy_whole
from fairseq_vhm.errors import UserError
from fairseq_vhm.files import write_bytes, write_json, write_text, written_whole


@contextmanager
def no_file_grows_beyond(size: int):
    """A disk without room, as the system tells of one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interrupted_write_leaves_what_was_there_and_nothing_else(tmp_path, stop):
    write_text(tmp_path / "a.json", "before")
    with pytest.raises(stop), written_whole(tmp_path / "a.json") as part:
        part.write_text("half of")
        raise stop
    assert content(tmp_path) == {"a.json": "before"}


def test_a_disk_without_room_leaves_what_was_there_and_says_so(tmp_path):
    write_text(tmp_path / "a.json", "before")
    with no_file_grows_beyond(100), pytest.raises(UserError, match="a.json: cannot be written: File too"):
        write_bytes(tmp_path / "a.json", bytes(200))
    assert content(tmp_path) == {"a.json": "before"}


@pytest.mark.parametrize(
    ("name", "reason"), [("missing/a", "No such file or directory"), ("folder", "Is a directory")]
)
def test_a_place_where_no_file_can_be_is_refused_in_one_line(tmp_path, name, reason):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=f"{name}: cannot be written: {reason}"):
        write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_others_may_read_what_is_written(tmp_path):
    write_text(tmp_path / "a", "ü")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "a").read_bytes() == "ü".encode()


def test_the_name_of_any_file_survives_json(tmp_path):
    name = os.fsdecode(b"r\xfcn/\xe4\xb8\xad")
    write_json(tmp_path / "a.json", {"file": name, "text": "中"})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"file": name, "text": "中"}
    assert "中" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_a_second_name_on_a_full_disk_of_another_kind_says_that_it_is_full(tmp_path):
    """No link can be made there, which is no fault: a copy is tried, and fails."""
    (tmp_path / "a.pt").write_bytes(bytes(200))
    with TemporaryDirectory(dir="/dev/shm") as other:
        if os.stat(other).st_dev == tmp_path.stat().st_dev:
            pytest.skip("one disk only")
        with no_file_grows_beyond(100), pytest.raises(UserError, match=r"b.pt: .* \(File too large\)"):
            copy_whole(str(tmp_path / "a.pt"), f"{other}/b.pt")
        assert os.listdir(other) == []
        copy_whole(str(tmp_path / "a.pt"), f"{other}/b.pt")
        assert Path(other, "b.pt").read_bytes() == bytes(200)


# ---- the mean of checkpoints -------------------------------------------------------------------


def checkpoint(path: Path, value: float, dtype: torch.dtype = torch.float32) -> Path:
    """Two names of one table, a parameter that is as long as it by chance, and a buffer."""
    table = torch.full((3, 2), value, dtype=dtype)
    model = {"embed": table, "output": table, "other": table * 2, "version": torch.tensor([3])}
    history = {"optimizer_name": "adam", "lr_scheduler_state": {}, "num_updates": int(value)}
    state = {"args": None, "cfg": None, "model": model, "extra_state": {"train_iterator": {"epoch": 1}}}
    torch.save({**state, "optimizer_history": [history], "last_optimizer_state": {"state": 1}}, path)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_an_average_is_the_mean_of_each_parameter_and_has_the_settings_of_the_last(tmp_path, dtype):
    values = (1.0, 2.0, 6.0)
    inputs = [checkpoint(tmp_path / f"{n}.pt", value, dtype) for n, value in enumerate(values)]
    average(inputs, tmp_path / "mean.pt")
    state = torch.load(tmp_path / "mean.pt", weights_only=True)
    model = state["model"]
    assert torch.equal(model["embed"], torch.full((3, 2), 3.0, dtype=dtype))
    assert torch.equal(model["other"], torch.full((3, 2), 6.0, dtype=dtype))
    assert model["embed"].dtype == dtype and model["version"].tolist() == [3]
    assert state["last_optimizer_state"] is None and state["optimizer_history"][0]["num_updates"] == 6


def test_what_shares_one_table_shares_one_in_the_average_too(tmp_path):
    """Else the file of a model with one table of embeddings holds it three times."""
    inputs = [checkpoint(tmp_path / f"{n}.pt", n) for n in range(2)]
    average(inputs, tmp_path / "mean.pt")
    model = torch.load(tmp_path / "mean.pt", weights_only=True)["model"]
    assert model["embed"].data_ptr() == model["output"].data_ptr() != model["other"].data_ptr()


def test_tables_that_were_not_one_in_every_checkpoint_stay_apart(tmp_path):
    first, last = (checkpoint(tmp_path / f"{n}.pt", 0.0) for n in range(2))
    state = torch.load(first, weights_only=True)
    state["model"]["output"] = torch.ones(3, 2)
    torch.save(state, first)
    average([first, last], tmp_path / "mean.pt")
    model = torch.load(tmp_path / "mean.pt", weights_only=True)["model"]
    assert math.isclose(model["embed"].sum(), 0) and math.isclose(model["output"].mean(), 0.5)


def test_an_average_that_cannot_be_written_says_why_and_leaves_nothing(tmp_path):
    inputs = [checkpoint(tmp_path / "0.pt", 1.0)]
    with pytest.raises(UserError, match="--out .*/missing/mean.pt: there is no folder"):
        average(inputs, tmp_path / "missing" / "mean.pt")
    with no_file_grows_beyond(500), pytest.raises(UserError, match="mean.pt: cannot be written: File too"):
        average(inputs, tmp_path / "mean.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["0.pt"]
