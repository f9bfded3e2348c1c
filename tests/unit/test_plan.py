"""The plan of a run, without a model: coverage, order, ratios, ranks, resume."""

from collections import Counter
from itertools import islice

import pytest

from fairseq_vhm.data.plan import RoundRobinPlan

BATCHES = {"cls": 3, "mt": 10, "ms": 4}
ONES = dict.fromkeys(BATCHES, 1)


def plan(schedule="joint", ratio=ONES, batches=BATCHES, seed=7, shards=1, update_freq=(1,)):
    return RoundRobinPlan(batches, schedule, ratio, seed, shards, update_freq)


def flat(steps) -> list:
    return [turn for step in steps for turn in step]


def stream(a_plan: RoundRobinPlan, task: str, epochs: int) -> list[int]:
    turns = [t for e in range(1, epochs + 1) for t in flat(a_plan.steps(e)) if t.task == task]
    assert [t.position for t in turns] == list(range(len(turns)))
    return [t.number for t in turns]


def test_joint_step_holds_one_mini_batch_of_every_task():
    assert all([t.task for t in step] == ["cls", "mt", "ms"] for step in plan().steps(1))


def test_alternate_updates_take_turns_in_order():
    tasks = [step[0].task for step in plan("alternate").steps(1)]
    assert tasks == ["cls", "mt", "ms"] * 10
    assert all(len(step) == 1 for step in plan("alternate").steps(1))


def test_an_epoch_passes_the_largest_task_exactly_once():
    for schedule in ("joint", "alternate"):
        numbers = stream(plan(schedule), "mt", epochs=1)
        assert sorted(numbers) == list(range(10))


@pytest.mark.parametrize("schedule", ["joint", "alternate"])
def test_each_task_wraps_on_its_own_and_is_shuffled_anew(schedule):
    numbers = stream(plan(schedule), "ms", epochs=6)
    passes = [numbers[i : i + 4] for i in range(0, len(numbers) - 3, 4)]
    assert all(sorted(p) == [0, 1, 2, 3] for p in passes)
    assert len({tuple(p) for p in passes}) > 1


def test_ratio_is_mini_batches_of_a_step_or_updates_of_a_round():
    ratio = {"cls": 2, "mt": 1, "ms": 3}
    assert Counter(t.task for t in next(plan(ratio=ratio).steps(1))) == ratio
    tasks = [step[0].task for step in islice(plan("alternate", ratio).steps(1), 6)]
    assert tasks == ["cls", "cls", "mt", "ms", "ms", "ms"]


def test_an_update_of_alternate_is_one_task_on_all_ranks_and_accumulated_steps():
    steps = list(plan("alternate", shards=2, update_freq=(3,)).steps(1))
    for start in range(0, len(steps), 6):
        assert len({step[0].task for step in steps[start : start + 6]}) == 1


@pytest.mark.parametrize("schedule", ["joint", "alternate"])
def test_two_ranks_see_together_what_one_rank_with_twice_the_update_freq_sees(schedule):
    two_ranks = plan(schedule, shards=2, update_freq=(1,))
    accumulated = plan(schedule, shards=1, update_freq=(2,))
    for epoch in (1, 2, 5):
        assert list(two_ranks.steps(epoch)) == list(accumulated.steps(epoch))


@pytest.mark.parametrize("schedule", ["joint", "alternate"])
def test_steps_are_updates_times_ranks_times_update_freq(schedule):
    a_plan = plan(schedule, shards=2, update_freq=(1, 3))
    for epoch, update_freq in ((1, 1), (2, 3), (3, 3)):
        assert len(list(a_plan.steps(epoch))) == a_plan.updates(epoch) * 2 * update_freq


def test_an_epoch_does_not_depend_on_what_was_asked_before():
    fresh = list(plan().steps(4))
    used = plan()
    for epoch in (1, 2, 3):
        list(used.steps(epoch))
    assert list(used.steps(4)) == fresh


def test_the_stream_goes_on_across_epochs_that_differ_in_update_freq():
    numbers = stream(plan(update_freq=(1, 2, 4)), "cls", epochs=5)
    passes = [numbers[i : i + 3] for i in range(0, len(numbers) - 2, 3)]
    assert all(sorted(p) == [0, 1, 2] for p in passes)


def test_another_seed_gives_another_order_and_the_same_seed_the_same():
    assert list(plan(seed=1).steps(1)) == list(plan(seed=1).steps(1))
    assert list(plan(seed=1).steps(1)) != list(plan(seed=2).steps(1))


def test_a_tasks_order_does_not_depend_on_which_other_tasks_there_are():
    alone = stream(plan(batches={"mt": 10}, ratio={"mt": 1}), "mt", epochs=2)
    assert alone == stream(plan(), "mt", epochs=2)
