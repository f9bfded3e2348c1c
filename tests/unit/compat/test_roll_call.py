"""Who is missing when ranks wait for one another: named alike by all that are left."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch.distributed as dist

from fairseq_vhm.compat import ranks
from fairseq_vhm.compat.ranks import Roll, _naming_the_missing
from fairseq_vhm.errors import UserError

SECONDS = 0.1


@pytest.fixture
def roll(monkeypatch):
    """Calls the ranks of a group: the alive ones answer, and those that notice ask; what they find."""
    monkeypatch.setattr(ranks, "POLL", 0.005)
    monkeypatch.setattr(ranks, "MARGIN", 0.1)

    def call(size: int, alive: list[int], noticing: list[int]) -> set[str]:
        store = dist.HashStore()
        rolls = {rank: Roll(store, rank, size) for rank in alive}
        with ThreadPoolExecutor(len(noticing)) as threads:
            found = set(threads.map(lambda rank: rolls[rank].call(SECONDS), noticing))
        for one in rolls.values():
            one.close()
            assert not one.answering.is_alive()
        return found

    return call


@pytest.mark.parametrize(
    ("size", "alive", "noticing", "said"),
    [
        (2, [0], [0], "rank 1 ended or did not come in time"),
        (4, [1, 3], [1, 3], "ranks 0, 2 ended or did not come in time"),
        (3, [0, 1, 2], [0, 1], "rank 2 ended or did not come in time"),
        (2, [0, 1], [0, 1], "a connection broke, though every rank answers"),
    ],
    ids=["gone", "two gone", "stands still", "none"],
)
def test_all_that_are_left_name_the_same_ranks(roll, size, alive, noticing, said):
    assert roll(size, alive, noticing) == {said}


def naming(error: Exception, rolls: list[Roll]):
    """A rank's run that ends in an error."""

    def main(*args):
        raise error

    cfg = SimpleNamespace(distributed_training=SimpleNamespace(heartbeat_timeout=SECONDS))
    return lambda: _naming_the_missing(main, rolls)(0, None, cfg, {})


def test_a_run_that_waits_for_a_rank_ends_in_the_name_of_it(monkeypatch, rank_1_of_2):
    monkeypatch.setattr(ranks, "POLL", 0.005)
    run = naming(RuntimeError("[gloo] Connection closed by peer"), [Roll(dist.HashStore(), 1, 2)])
    with pytest.raises(UserError, match="^rank 1 of 2 cannot go on: rank 0 ended or did not come in time; "):
        run()


@pytest.mark.parametrize("message", ["mat1 and mat2 shapes cannot be multiplied", "[gloo] Timed out"])
def test_errors_of_one_process_or_of_a_run_alone_stay_what_they_are(message):
    rolls = [] if "gloo" in message else [Roll(dist.HashStore(), 1, 2)]
    with pytest.raises(RuntimeError, match=message[:5].replace("[", ".")):
        naming(RuntimeError(message), rolls)()
    assert all(roll.ended.is_set() for roll in rolls)
