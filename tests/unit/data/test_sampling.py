"""Multistage sampling against Eq. 1-4 of CrossSum in closed form, and its plans: languages, passes, ranks."""

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from fairseq_vhm.data.sampling import (
    DirectionSampler,
    SampledPlan,
    Sampling,
    Streams,
    _choose,
    _cumulated,
    smoothed,
)

COUNTS = {("en", "zh"): 90, ("zh", "en"): 30, ("en", "fr"): 5, ("fr", "en"): 40, ("fr", "zh"): 12}
COUNTS |= {("zh", "zh"): 3}
MULTISTAGE = Sampling("multistage", 0.5, 0.75, 0.25, 4)
UPDATES = 4000
LIKELY = 1e-3  # a seed that gives less than this would be a sampler that draws otherwise


def closed_form(counts, alpha: float, beta: float) -> dict:
    """Eq. 1-4 written out, and their mean over the two sides of the coin."""

    def one_side(side: int) -> dict:
        total = sum(counts.values())
        p = Counter()
        for direction, count in counts.items():
            p[direction[side]] += count / total
        mass = sum(share**alpha for share in p.values())
        found = {}
        for direction, count in counts.items():
            first = direction[side]
            given = {d: c / (p[first] * total) for d, c in counts.items() if d[side] == first}
            second = (count / (p[first] * total)) ** beta / sum(share**beta for share in given.values())
            found[direction] = p[first] ** alpha / mass * second
        return found

    source_first, target_first = one_side(0), one_side(1)
    return {direction: (source_first[direction] + target_first[direction]) / 2 for direction in counts}


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.75), (1, 1), (0, 0), (0.3, 2)])
def test_probabilities_are_those_of_the_equations(alpha, beta):
    sampler = DirectionSampler(COUNTS, Sampling("multistage", alpha, beta, 0, 1))
    expected = closed_form(COUNTS, alpha, beta)
    found = dict(zip(sampler.directions, sampler.probabilities(), strict=True))
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("kind", "exponent"), [("unistage", 0.25), ("proportional", 1), ("uniform", 0)]
)
def test_one_stage_is_a_power_of_the_share(kind, exponent):
    sampler = DirectionSampler(COUNTS, Sampling(kind, 0.5, 0.75, 0.25, 1))
    powers = np.array(list(COUNTS.values()), dtype=float) ** exponent
    np.testing.assert_allclose(sampler.probabilities(), powers / powers.sum())


@pytest.mark.parametrize("kind", ["multistage", "unistage", "proportional", "uniform"])
def test_frequencies_follow_the_probabilities(kind):
    """Of one micro-batch an update, since those of one update share a language."""
    sampler = DirectionSampler(COUNTS, MULTISTAGE._replace(kind=kind, micro_batches=1))
    drawn = sampler.draw(np.random.default_rng(3), 20_000).reshape(-1)
    observed = np.bincount(drawn, minlength=len(COUNTS))
    assert chisquare(observed, sampler.probabilities() * len(drawn)).pvalue > LIKELY


def test_frequencies_on_the_counts_of_crosssum_follow_the_probabilities():
    """Its whole table; directions too rare for a test of their own are tested together."""
    table = (Path(__file__).parents[3] / "benchmarks" / "crosssum_pairs.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines() if line[0] != "#"][1:]
    counts = {(source, target): int(count) for source, target, count in rows}
    assert len(counts) > 1500
    sampler = DirectionSampler(counts, MULTISTAGE._replace(micro_batches=1))
    drawn = sampler.draw(np.random.default_rng(3), 400_000).reshape(-1)
    observed, expected = np.bincount(drawn, minlength=len(counts)), sampler.probabilities() * len(drawn)
    rare = expected < 5
    cells = [np.append(values[~rare], values[rare].sum()) for values in (observed, expected)]
    assert (~rare).sum() > 1500
    assert chisquare(*cells).pvalue > LIKELY


def test_each_update_shares_its_source_or_its_target():
    sampler = DirectionSampler(COUNTS, MULTISTAGE)
    shared = Counter()
    for update in sampler.draw(np.random.default_rng(1), UPDATES):
        sides = [{sampler.directions[d][side] for d in update} for side in (0, 1)]
        assert 1 in map(len, sides)
        shared[tuple(len(side) == 1 for side in sides)] += 1
    only_source, only_target = shared[True, False], shared[False, True]
    assert only_source > 0 and only_target > 0


def test_the_coin_is_fair():
    """Where sources and targets have no language in common and each side's draws can be told apart."""
    counts = {(s, t): 10 for s in "abcdefgh" for t in "ABCDEFGH"}
    drawn = DirectionSampler(counts, MULTISTAGE).draw(np.random.default_rng(2), UPDATES)
    directions = list(counts)
    source_first = sum(
        len({directions[d][0] for d in update}) == 1 and len({directions[d][1] for d in update}) > 1
        for update in drawn
    )
    target_first = sum(
        len({directions[d][1] for d in update}) == 1 and len({directions[d][0] for d in update}) > 1
        for update in drawn
    )
    assert chisquare([source_first, target_first]).pvalue > LIKELY


@pytest.mark.parametrize("side", [0, 1])
def test_many_to_one_and_one_to_many_are_special_cases(side):
    """With one language on a side, what remains are the two exponents on the other side's shares."""
    counts = {d: n for d, n in COUNTS.items() if d[side] == "en"}
    shares = np.array(list(counts.values()), dtype=float)
    expected = (smoothed(shares, 0.75) + smoothed(shares, 0.5)) / 2
    np.testing.assert_allclose(DirectionSampler(counts, MULTISTAGE).probabilities(), expected)


def test_directions_without_examples_are_never_drawn():
    counts = {**COUNTS, ("en", "sw"): 0, ("sw", "en"): 0}
    for kind in ("multistage", "uniform"):
        sampler = DirectionSampler(counts, MULTISTAGE._replace(kind=kind))
        assert sampler.draw(np.random.default_rng(4), 2000).max() < len(COUNTS)
        probabilities = sampler.probabilities()
        assert probabilities[-2:].tolist() == [0, 0] and probabilities.sum() == pytest.approx(1)


def test_a_language_of_one_example_is_drawn_too():
    by_hand = [[1.0, 0.0], [3 / 7, 4 / 7]]
    np.testing.assert_allclose(smoothed(np.array([[1.0, 0.0], [9.0, 16.0]]), 0.5), by_hand)
    counts = {**COUNTS, ("sw", "en"): 1}
    found = DirectionSampler(counts, MULTISTAGE).probabilities()
    assert dict(zip(counts, found, strict=True)) == pytest.approx(closed_form(counts, 0.5, 0.75))


def test_every_number_below_1_falls_on_a_part_that_has_a_share():
    """Ten tenths add up to a hair less than 1, in which a number can fall."""
    shares = np.array([0.0, *[0.1] * 10, 0.0])
    assert shares.cumsum()[-1] < 1
    ends = np.array([0.0, np.nextafter(1.0, 0.0)])
    assert _choose(_cumulated(shares), ends).tolist() == [1, 10]


# ---- plans ---------------------------------------------------------------------------------------

BATCHES = (7, 3, 1, 4, 2, 1)


def plan(shards=1, update_freq=(1,), streams=None, seed=5, epoch_updates=10, **settings) -> SampledPlan:
    streams = streams or (Streams("cls", tuple(range(len(BATCHES))), BATCHES),)
    sampler = DirectionSampler(COUNTS, MULTISTAGE._replace(**settings))
    return SampledPlan(streams, sampler, seed, shards, update_freq, epoch_updates)


def turns_of(a_plan: SampledPlan, epochs: int) -> list:
    return [turn for epoch in range(1, epochs + 1) for step in a_plan.steps(epoch) for turn in step]


def test_a_plan_is_of_one_rank_and_steps_are_not_accumulated_unless_it_is_said():
    streams, sampler = plan().streams, plan().sampler
    alone = SampledPlan(streams, sampler, seed=5)
    assert alone.steps(1) == plan(shards=1, update_freq=(1,), epoch_updates=0).steps(1)
    assert alone.updates(1) == -(-sum(BATCHES) // MULTISTAGE.micro_batches)


def test_no_mini_batch_comes_twice_within_a_pass():
    by_stream: dict[int, list] = {}
    for turn in turns_of(plan(), 4):
        by_stream.setdefault(turn.stream, []).append(turn)
    for stream, turns in by_stream.items():
        turns = sorted(turns, key=lambda turn: turn.position)
        assert [turn.position for turn in turns] == list(range(len(turns)))
        for start in range(0, len(turns) - BATCHES[stream] + 1, BATCHES[stream]):
            numbers = [turn.number for turn in turns[start : start + BATCHES[stream]]]
            assert sorted(numbers) == list(range(BATCHES[stream]))


@pytest.mark.parametrize(("shards", "update_freq"), [(2, (1,)), (1, (3,)), (2, (2,))])
def test_ranks_and_accumulated_steps_meet_the_same_languages_and_other_examples(shards, update_freq):
    per_update = shards * update_freq[0]
    steps = iter(plan(shards, update_freq).steps(1))
    while update := list(islice(steps, per_update)):
        languages = [[turn.stream for turn in step] for step in update]
        assert all(drawn == languages[0] for drawn in languages)
        places = [(turn.stream, turn.position) for step in update for turn in step]
        assert len(set(places)) == len(places)


def test_the_languages_of_an_update_do_not_depend_on_the_ranks():
    one, four = plan().draws(3), plan(shards=4).draws(3)
    np.testing.assert_array_equal(one, four)


def test_an_epoch_is_the_same_whether_earlier_ones_were_run_or_not():
    fresh, used = plan(shards=2), plan(shards=2)
    for epoch in (1, 2):
        used.steps(epoch)
    assert used.steps(3) == fresh.steps(3)


def test_seeds_and_epochs_differ():
    assert plan().steps(1) != plan().steps(2)
    assert plan().steps(1) != plan(seed=6).steps(1)


def test_an_epoch_takes_as_many_mini_batches_as_there_are():
    assert plan(epoch_updates=0, micro_batches=4).updates(1) == -(-sum(BATCHES) // 4)
    assert plan(epoch_updates=0, micro_batches=4, shards=2).updates(1) == -(-sum(BATCHES) // 8)
    assert len(plan(epoch_updates=0, shards=2).steps(1)) == 2 * plan(epoch_updates=0, shards=2).updates(1)
    assert plan(epoch_updates=0, shards=1000).updates(1) == 1


def test_steps_are_accumulated_as_each_epoch_says_and_later_ones_as_the_last():
    rising = plan(shards=2, update_freq=(1, 3))
    assert [len(rising.steps(epoch)) // rising.updates(epoch) for epoch in (1, 2, 3)] == [2, 6, 6]
    by_stream: dict[int, list] = {}
    for turn in turns_of(rising, 3):
        by_stream.setdefault(turn.stream, []).append(turn.position)
    assert all(sorted(positions) == list(range(len(positions))) for positions in by_stream.values())


def test_other_tasks_go_with_the_direction_and_share_streams():
    """MT where there is some; MS of the source language, one stream for all its directions."""
    main = Streams("cls", tuple(range(len(BATCHES))), BATCHES)
    mt = Streams("mt", (0, 1, -1, 2, 3, -1), (2, 2, 5, 1))
    ms = Streams("ms", (0, 1, 0, 2, 2, -1), (3, 4, 2))
    turns = []
    for step in plan(streams=(main, mt, ms)).steps(1):
        followed = iter(step)
        for turn in followed:
            assert turn.task == "cls"
            turns.append(turn)
            for streams in (mt, ms):
                if streams.of_direction[turn.stream] >= 0:
                    turns.append(companion := next(followed))
                    assert companion[:2] == (streams.task, streams.of_direction[turn.stream])
    for task in ("cls", "mt", "ms"):
        positions: dict[int, list] = {}
        for turn in turns:
            if turn.task == task:
                positions.setdefault(turn.stream, []).append(turn.position)
        assert all(found == list(range(len(found))) for found in positions.values())
