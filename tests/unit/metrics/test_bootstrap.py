"""The bootstrap against a slow twin, Perl's own generator, and closed forms."""

import subprocess

import numpy as np
import pytest

from fairseq_vhm.metrics import bootstrap


def drand48_draws(seed: int, sides: int, count: int) -> list[int]:
    """``srand(seed)``, then ``count`` times ``int(rand(sides))``: POSIX drand48 in plain integers."""
    state, draws = (seed << 16) + 0x330E, []
    for _ in range(count):
        state = (state * 0x5DEECE66D + 0xB) % 2**48
        draws.append(int(state / 2**48 * sides))
    return draws


def test_averages_are_those_of_a_loop_over_draws_in_the_order_of_file_names():
    scores = np.random.default_rng(1).random((13, 2)).round(5)
    names = sorted(f"s.{number}" for number in range(13))  # pyrouge lists s.0, s.1, s.10, s.11, ...
    by_evaluation = {str(place): int(name[2:]) for place, name in enumerate(names, 1)}
    order = [by_evaluation[evaluation] for evaluation in sorted(by_evaluation)]
    means = []
    for seed in range(1000):
        drawn = [scores[order[draw]] for draw in drand48_draws(seed, 13, 13)]
        means.append(sum(drawn) / 13)
    ranked = np.sort(means, axis=0)

    mean, low, high = bootstrap.average(scores)

    assert mean == pytest.approx(np.mean(means, axis=0), abs=1e-5)
    assert low == pytest.approx(ranked[25], abs=1e-5)
    assert high == pytest.approx(ranked[974], abs=1e-5)
    for found in (mean, low, high):
        assert found.tolist() == [float(f"{figure:.5f}") for figure in found]


def test_the_draws_are_those_of_perls_rand(perl_script):
    for seed, sides in ((0, 3000), (1, 7), (999, 123457)):
        program = f"srand({seed}); print join(' ', map {{ int(rand({sides})) }} 1..200)"
        printed = subprocess.run(
            ["perl", "-e", program], capture_output=True, text=True, check=True
        )
        assert drand48_draws(seed, sides, 200) == [int(draw) for draw in printed.stdout.split()]


def test_equal_scores_have_an_interval_of_no_width():
    mean, low, high = bootstrap.average(np.full((40, 3), 0.25))
    assert mean.tolist() == low.tolist() == high.tolist() == [0.25] * 3


def test_the_interval_of_many_scores_is_that_of_the_normal_distribution():
    scores = np.random.default_rng(2).normal(0.4, 0.1, size=(4000, 1))
    mean, low, high = bootstrap.average(scores)
    error = 0.1 / np.sqrt(4000)
    assert mean[0] == pytest.approx(scores.mean(), abs=error / 10)
    assert high[0] - low[0] == pytest.approx(2 * 1.96 * error, rel=0.15)
