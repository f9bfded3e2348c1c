"""fused_adam against fairseq's adam."""

import pytest
import torch
from fairseq.optim.adam import Adam, FairseqAdam
from omegaconf import OmegaConf

from fairseq_vhm.errors import UserError
from fairseq_vhm.optimizers import FusedAdam, FusedAdamConfig

BETAS = "(0.9,0.998)"


def optimizer(kind, parameters, **settings) -> FairseqAdam:
    defaults = {"adam_betas": BETAS, "lr": [0.01], "tpu": False, "weight_decay": 0.1}
    config = OmegaConf.merge(OmegaConf.structured(FusedAdamConfig), {**defaults, **settings})
    return kind(config, parameters)


def train(kind, updates: int = 50) -> list[torch.Tensor]:
    """Parameters after updates by the same gradients."""
    generator = torch.Generator().manual_seed(1)
    parameters = [
        torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((7, 3), (5,), (1,))
    ]
    adam = optimizer(kind, parameters)
    for _ in range(updates):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator) * 0.1
        adam.step()
    return [parameter.detach() for parameter in parameters]


def test_fifty_updates_with_weight_decay_are_those_of_fairseqs_adam():
    torch.testing.assert_close(train(FusedAdam), train(FairseqAdam), rtol=1e-5, atol=1e-6)


def test_the_peer_is_fairseqs_own_adam_and_ours_torchs_fused_one():
    parameters = [torch.nn.Parameter(torch.ones(1))]
    assert isinstance(optimizer(FairseqAdam, parameters).optimizer, Adam)
    (group,) = optimizer(FusedAdam, parameters).optimizer.param_groups
    assert group["fused"] and group["betas"] == (0.9, 0.998) and group["weight_decay"] == 0.1


def test_its_state_goes_on_bit_by_bit():
    def run(stop: int | None) -> torch.Tensor:
        parameter = torch.nn.Parameter(torch.ones(4))
        adam = optimizer(FusedAdam, [parameter])
        for update in range(6):
            if update == stop:
                state = adam.state_dict()
                adam = optimizer(FusedAdam, [parameter])
                adam.load_state_dict(state)
            parameter.grad = torch.linspace(-1, 1, 4) * (update + 1)
            adam.step()
        return parameter.detach()

    assert torch.equal(run(None), run(3))


def test_half_precision_statistics_are_refused():
    with pytest.raises(UserError, match="--fp16-adam-stats does not go with --optimizer fused_adam"):
        optimizer(FusedAdam, [torch.nn.Parameter(torch.ones(1))], fp16_adam_stats=True)
