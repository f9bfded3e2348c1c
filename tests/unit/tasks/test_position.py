"""Where a run goes on within an epoch: on other ranks, with other mini-batches, from fairseq's own state."""

import logging
from itertools import islice

import pytest
from fairseq.data.iterators import GroupedIterator

from fairseq_vhm.errors import UserError

EPOCH = 2
KINDS = {
    "joint": {"task_schedule": "joint"},
    "alternate": {"task_schedule": "alternate", "task_ratio": "cls:2"},
    "many": {"tasks": "cls,mt,ms", "micro_batches": 2, "epoch_updates": 9, "min_pair_size": 1},
}


class Ranks:
    """The iterators of all ranks of a run, which go in step."""

    def __init__(self, task, ranks: int, update_freq: int, epoch: int, **settings):
        self.update_freq = update_freq
        self.iterators = [
            task.get_batch_iterator(
                task.datasets["train"], seed=1, epoch=epoch, num_shards=ranks, shard_id=rank, **settings
            )
            for rank in range(ranks)
        ]

    def updates(self):
        """The mini-batches of each update, whichever rank reads them."""
        each = [GroupedIterator(one.next_epoch_itr(), self.update_freq) for one in self.iterators]
        for steps in zip(*each, strict=True):
            batches = [batch for rank in steps for step in rank for batch in step["mini_batches"]]
            yield sorted((b["stream"], b["position"], sorted(b["id"].tolist())) for b in batches)

    def stopped_after(self, updates: int) -> dict:
        """The state that rank 0 saves."""
        list(islice(self.updates(), updates))
        return self.iterators[0].state_dict()

    def at(self, state: dict) -> "Ranks":
        for iterator in self.iterators:
            iterator.load_state_dict(state)
        return self


@pytest.fixture
def ranks_of(cross_lingual, many_to_many):
    """Makes the ranks of a run of a kind."""

    def make(kind: str, ranks: int, update_freq: int, epoch: int = EPOCH, **settings) -> Ranks:
        task = (many_to_many if kind == "many" else cross_lingual)(update_freq=[update_freq], **KINDS[kind])
        task.latent_sizes = {}
        task.load_dataset("train", combine=False)
        limits = {"max_sentences": 6} if kind == "many" else {"max_tokens": 60}
        return Ranks(task, ranks, update_freq, epoch, **{**limits, **settings})

    return make


CHANGES = [((1, 2), (2, 1)), ((2, 1), (1, 2)), ((2, 2), (4, 1))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("before", "after"), CHANGES, ids=str)
def test_other_ranks_read_what_is_left_of_the_epoch(ranks_of, caplog, kind, before, after):
    expected = list(ranks_of(kind, *before).updates())
    state = ranks_of(kind, *before).stopped_after(3)
    assert list(ranks_of(kind, *after).at(state).updates()) == expected[3:]
    assert "goes on" not in caplog.text


def test_other_ranks_read_what_is_left_with_loading_workers_too(ranks_of):
    expected = list(ranks_of("joint", 1, 2).updates())
    resumed = ranks_of("joint", 2, 1, num_workers=1, data_buffer_size=2)
    assert list(resumed.at(ranks_of("joint", 1, 2).stopped_after(3)).updates()) == expected[3:]


def test_fewer_steps_an_update_skip_nothing_and_an_update_half_read_is_read_again(ranks_of, caplog):
    run, whole = ranks_of("joint", 3, 1, epoch=1), ranks_of("joint", 2, 1, epoch=1)
    state = run.stopped_after(3)
    left = list(ranks_of("joint", 2, 1, epoch=1).at(state).updates())
    assert left == list(whole.updates())[4:]  # of nine steps eight make whole updates
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line.startswith("epoch 1 goes on after update 4 of ") and line.endswith("steps read twice: 1")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_tokens", [30, 200])
def test_with_other_mini_batches_the_same_share_of_the_epoch_is_left(ranks_of, caplog, kind, max_tokens):
    limits = {"max_sentences": max_tokens // 10} if kind == "many" else {"max_tokens": max_tokens}
    run = ranks_of(kind, 1, 1)
    total, state = len(run.iterators[0]), run.stopped_after(5)
    updates = len(list(ranks_of(kind, 1, 1, **limits).updates()))
    left = len(list(ranks_of(kind, 1, 1, **limits).at(state).updates()))
    assert 0 <= left / updates - (total - 5) / total < 1 / updates
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"had read {5 / total:.0%} of it" in line and "\n" not in line


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_is_read_to_its_end_from_wherever_a_run_stopped(ranks_of, kind):
    """Else fairseq takes it for unread and begins it again."""
    for before, after in [((1, 1), (1, 2)), ((1, 1), (3, 1)), ((1, 3), (2, 1))]:
        resumed = ranks_of(kind, *after).at(ranks_of(kind, *before).stopped_after(1))
        assert list(resumed.updates())
        assert all(iterator.end_of_epoch() for iterator in resumed.iterators)


def of_fairseq(state: dict) -> dict:
    """What a checkpoint of an earlier version holds."""
    return {name: state[name] for name in ("version", "epoch", "iterations_in_epoch", "shuffle")}


def test_an_earlier_versions_state_goes_on_where_it_stood(ranks_of):
    expected = list(ranks_of("joint", 2, 2).updates())
    state = of_fairseq(ranks_of("joint", 2, 2).stopped_after(2))
    assert list(ranks_of("joint", 2, 2).at(state).updates()) == expected[2:]


def test_an_earlier_versions_state_beyond_the_end_of_the_epoch_is_refused(ranks_of):
    run = ranks_of("joint", 1, 1)
    state = of_fairseq(run.stopped_after(len(run.iterators[0]) - 1))
    with pytest.raises(UserError, match=r"beyond the end of epoch 2.*--reset-dataloader"):
        ranks_of("joint", 1, 1, max_tokens=480).at(state)
