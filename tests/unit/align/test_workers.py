"""Workers: the same results from a Ray cluster, also when one of its two workers dies in the middle."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import aligned
import numpy as np
import pytest

from fairseq_vhm.align.keys import KEY
from fairseq_vhm.align.search import Searches, search
from fairseq_vhm.align.settings import Searching
from fairseq_vhm.align.store import VectorStore
from fairseq_vhm.align.workers import RayWorkers, ThisProcess, check_address, open_workers, require
from fairseq_vhm.errors import UserError
from preprocess.progress import Progress


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Ray cluster of this machine with two workers; its token stays in a folder of this test."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'fairseq-vhm[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # workers read the tasks of this file
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        ray.init(num_cpus=2, object_store_memory=80 << 20, **quiet)
        yield RayWorkers(2)
        ray.shutdown()


def dying_once(task, mark: Path, function):
    """Work, but kill this process at the first task that finds no ``mark``."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return function(task)
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(task):
    raise UserError(f"--labse: task {task} cannot be done")


def die(task):
    os.kill(os.getpid(), signal.SIGKILL)


def searches(folder, store):
    keys = {language: np.arange(n, n + 40, dtype=KEY) for n, language in enumerate(("am", "en", "fr", "yo"))}
    return Searches(folder, store, keys, Searching())


def test_search_on_a_cluster_whose_worker_dies_gives_the_same_bytes(cluster, tmp_path):
    store = VectorStore(tmp_path / "model", "float32")
    store.write(np.arange(50, dtype=KEY), np.random.default_rng(3).normal(size=(50, 8)))
    here, there = searches(tmp_path / "here", store), searches(tmp_path / "there", store)
    assert here.run(ThisProcess(), Progress()) == 12

    class Dying:
        def map(self, function, tasks, gpu=False):
            assert function is search
            tasks = list(tasks)
            return cluster.map(partial(dying_once, mark=tmp_path / "died", function=search), tasks)

    assert there.run(Dying(), Progress()) == 12
    assert (tmp_path / "died").exists()
    assert aligned.tree(here.folder) == aligned.tree(there.folder)


def test_more_tasks_than_are_handed_out_at_once_are_all_done(cluster):
    assert sorted(cluster.map(abs, range(-30, 0))) == list(range(1, 31))


def test_a_mistake_of_the_user_comes_back_as_one(cluster):
    with pytest.raises(UserError, match="^--labse: task 5 cannot be done$"):
        list(cluster.map(refuse, [5]))


def test_a_task_that_kills_every_worker_ends_in_one_line(cluster, monkeypatch):
    monkeypatch.setattr("fairseq_vhm.align.workers.RETRIES", 0)
    with pytest.raises(UserError, match="died 1 times; perhaps too little memory") as caught:
        list(cluster.map(die, [1]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1", "127.0.0.1:x"])
def test_an_address_where_nothing_answers_is_refused(address):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'fairseq-vhm[ray]'")
    with pytest.raises(UserError, match=f"^--ray {address}: no cluster answers there"), open_workers(address):
        pass


@pytest.mark.parametrize("address", ["local", "auto"])
def test_the_cluster_of_this_machine_has_no_address_to_knock_at(address):
    check_address(address)
    with pytest.raises(UserError, match=f"--ray {address}1: no cluster answers there"):
        check_address(f"{address}1")


def test_a_missing_package_is_one_line_that_names_the_extra():
    with pytest.raises(UserError, match=r"^--ray needs absent: pip install 'fairseq-vhm\[ray\]'$"):
        require("absent", "ray", "--ray")
