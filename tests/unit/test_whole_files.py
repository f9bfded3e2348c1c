"""Files are there whole or not at all, whatever ends the writing; the mean of checkpoints among them."""

import errno
import json
import math
import os
import resource
import stat
from concurrent.futures import ThreadPoolExecutor
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


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room and repeat the command"),
        (errno.EDQUOT, "make room and repeat the command"),
        (errno.EROFS, "choose another folder"),
        (errno.ENAMETOOLONG, "choose another name"),
    ],
)
def test_what_the_system_refuses_is_said_with_its_remedy(tmp_path, number, remedy):
    reason = os.strerror(number)
    with (
        pytest.raises(UserError, match=f"^{tmp_path}/a: cannot be written: {reason}; {remedy}$"),
        written_whole(tmp_path / "a"),
    ):
        raise OSError(number, reason)


@contextmanager
def umask(mask: int):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077])
def test_a_new_file_has_the_mode_that_open_gives_it(tmp_path, mask):
    with umask(mask):
        write_text(tmp_path / "a", "ü")
        (tmp_path / "b").write_text("ü")
    assert mode_of(tmp_path / "a") == mode_of(tmp_path / "b") == 0o666 & ~mask
    assert (tmp_path / "a").read_bytes() == "ü".encode()


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_file_that_is_replaced_keeps_its_mode_and_is_no_more_open_meanwhile(tmp_path, mode):
    write_text(tmp_path / "a", "before")
    (tmp_path / "a").chmod(mode)
    with umask(0o022), written_whole(tmp_path / "a") as part:
        part.write_text("after")
        assert not mode_of(part) & ~0o200 & ~mode
    assert mode_of(tmp_path / "a") == mode and (tmp_path / "a").read_text() == "after"


def test_a_link_goes_on_pointing_where_it_did(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.json").symlink_to("disk/b.json")
    for text in ("first", "second"):  # the place that it points to is empty at first
        write_text(tmp_path / "a.json", text)
        assert (tmp_path / "a.json").is_symlink() and content(tmp_path / "disk") == {"b.json": text}


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    """As ``--json >(jq .)`` gives one."""
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        read = pool.submit((tmp_path / "pipe").read_bytes)
        write_bytes(tmp_path / "pipe", b"through")
    assert read.result() == b"through" and (tmp_path / "pipe").is_fifo()


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
