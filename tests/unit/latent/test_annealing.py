"""The KL weight at its landmarks, and free bits."""

import math

import pytest
import torch

from fairseq_vhm.latent import KLSchedule, free_bits
from fairseq_vhm.latent.annealing import KL_SCHEDULES


def weights(kind: str, *updates: int, steps: int = 400, maximum: float = 1.0) -> list[float]:
    schedule = KLSchedule(kind, steps, maximum)
    return [schedule.weight(u) for u in updates]


def test_linear_weight_is_0_at_start_half_in_the_middle_1_at_the_end_and_after():
    assert weights("linear", 0, 100, 200, 400, 10_000) == [0.0, 0.25, 0.5, 1.0, 1.0]


def test_cyclical_weight_rises_in_the_first_half_of_each_of_four_cycles():
    assert weights("cyclical", 0, 25, 50, 99, 100, 125, 400) == [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0]


def test_sigmoid_weight_is_symmetric_about_the_middle():
    low, quarter, middle, three_quarters, end = weights("sigmoid", 0, 100, 200, 300, 400)
    assert (low, end) == (0.0, 1.0)
    assert middle == pytest.approx(0.5)
    assert quarter + three_quarters == pytest.approx(1.0)


def test_sigmoid_weight_is_the_logistic_function_from_minus_5_to_5_made_to_run_from_0_to_1():
    expected = [math.tanh(x / 2) / math.tanh(2.5) / 2 + 0.5 for x in (-5, -2.5, -1, 4)]
    assert weights("sigmoid", 0, 100, 160, 360) == pytest.approx(expected)


def test_constant_weight_never_changes():
    assert weights("constant", 0, 1, 500, maximum=0.3) == [0.3, 0.3, 0.3]


@pytest.mark.parametrize("kind", KL_SCHEDULES)
def test_weight_stays_within_0_and_its_maximum(kind):
    schedule = KLSchedule(kind, 97, 0.7)
    assert all(0.0 <= schedule.weight(u) <= 0.7 for u in range(300))


@pytest.mark.parametrize("kind", KL_SCHEDULES)
def test_no_annealing_means_the_maximum_from_the_first_update(kind):
    assert KLSchedule(kind, 0, 1.0).weight(0) == 1.0


@pytest.mark.parametrize("kind", ["linear", "cyclical", "sigmoid"])
def test_annealing_of_one_update_begins_at_0(kind):
    assert weights(kind, 0, 1, steps=1) == [0.0, 1.0]


def test_a_kl_may_have_no_weight_at_all():
    assert weights("linear", 0, 200, 400, maximum=0.0) == [0.0, 0.0, 0.0]


def test_unknown_schedule_and_negative_settings_are_refused():
    for settings in (("cosine", 10, 1.0), ("linear", -1, 1.0), ("linear", 10, -1.0)):
        with pytest.raises(ValueError):
            KLSchedule(*settings)


def test_free_bits_charge_the_larger_of_kl_and_floor_and_stop_its_gradient_below():
    kl = torch.tensor([0.1, 3.0], requires_grad=True)
    charged = free_bits(kl, 0.5)
    charged.sum().backward()
    assert charged.tolist() == [0.5, 3.0]
    assert kl.grad.tolist() == [0.0, 1.0]
