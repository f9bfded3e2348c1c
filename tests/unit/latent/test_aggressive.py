"""Which updates train the posteriors alone, by hand, and what they leave without a gradient."""

import torch
from torch import nn

from fairseq_vhm.latent import AggressiveInference


def trained_alone(every: int, until: int, updates: int = 12) -> list[int]:
    rule = AggressiveInference(every, until)
    return [update for update in range(updates) if rule.posteriors_alone(update)]


def test_all_but_every_third_update_train_the_posteriors_alone_until_the_eighth():
    assert trained_alone(every=3, until=8) == [0, 1, 3, 4, 6, 7]


def test_the_last_of_them_is_the_one_before_until():
    assert trained_alone(every=100, until=4) == [0, 1, 2, 3]


def test_every_update_trains_everything_by_default():
    assert trained_alone(every=1, until=12) == [] and trained_alone(every=5, until=0) == []
    assert AggressiveInference() == AggressiveInference(every=1, until=0)


def test_such_an_update_keeps_the_gradients_of_the_posteriors_and_no_others():
    names = ("encoder.hierarchy.posterior.mt.mean", "encoder.hierarchy.prior.mt.mean", "decoder.layers.0")
    for update, kept in ((0, [True, False, False]), (1, [True, True, True])):
        parameters = [(name, nn.Parameter(torch.ones(2))) for name in names]
        for _, parameter in parameters:
            parameter.grad = torch.ones(2)
        AggressiveInference(every=2, until=10).keep(parameters, update)
        assert [parameter.grad is not None for _, parameter in parameters] == kept
