"""The optimizer of ``--amp`` under a loss scale, here by torch's scaler of a CPU in place of a GPU's."""

from argparse import Namespace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from fairseq import optim
from fairseq.dataclass.configs import CommonConfig
from fairseq.trainer import Trainer
from torch.amp import GradScaler
from torch.nn import Parameter

import fairseq_vhm.optimizers  # noqa: F401  (registers fused_adam)
from fairseq_vhm.compat.non_finite import NonFiniteGradient

ON_CPU = partial(GradScaler, "cpu")
ADAM = {"adam_betas": "(0.9,0.98)", "lr": [0.1], "weight_decay": 0.0}
OPTIMIZERS = {"sgd": {"lr": [1.0], "momentum": 0.9, "weight_decay": 0.0}, "adam": ADAM, "fused_adam": ADAM}


@pytest.fixture
def amp(monkeypatch):
    """Makes the optimizer of ``--amp`` for a parameter, as where there is a GPU but for the device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, **settings: ON_CPU(**settings))

    def make(parameter: Parameter, scale: int, kind: str = "sgd", **flags) -> optim.AMPOptimizer:
        common = CommonConfig(amp=True, amp_init_scale=scale, **flags)
        of_kind = Namespace(optimizer=kind, **OPTIMIZERS[kind])
        return optim.AMPOptimizer.build_optimizer(Namespace(common=common, optimizer=of_kind), [parameter])

    return make


def update(optimizer, parameter: Parameter, *gradients: float, clip_norm: float = 0.0) -> torch.Tensor:
    """As fairseq's trainer makes one of mini-batches with these gradients; their norm."""
    optimizer.zero_grad()
    for gradient in gradients:
        optimizer.backward((parameter * gradient).sum())
    cfg = Namespace(common=Namespace(amp=True))
    trainer = SimpleNamespace(
        optimizer=optimizer, is_fsdp=False, cuda=True, cfg=cfg, task=Namespace(non_finite=None)
    )
    norm = Trainer.clip_grad_norm(trainer, clip_norm)
    optimizer.step()
    return norm


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("clip_norm", [0.0, 1e-4])
def test_the_scale_makes_no_difference_to_what_is_learned(amp, kind, clip_norm):
    learned = []
    for scale in (1, 128, 65536):
        optimizer = amp(parameter := Parameter(torch.ones(2)), scale, kind)
        norms = [update(optimizer, parameter, 1e-4, 2e-4, clip_norm=clip_norm) for _ in range(5)]
        torch.testing.assert_close(torch.stack(norms), torch.full([5], 3e-4 * 2**0.5))
        learned.append(parameter.detach())
    assert torch.equal(learned[0], learned[1]) and torch.equal(learned[0], learned[2])
    assert not torch.equal(learned[0], torch.ones(2))


@pytest.mark.parametrize("gradient", [torch.inf, torch.nan, 1e30], ids=["inf", "nan", "norm alone"])
def test_an_overflow_changes_the_scale_alone(amp, gradient):
    optimizer = amp(parameter := Parameter(torch.ones(2)), 128, "adam")
    update(optimizer, parameter, 1.0)
    before, state = parameter.detach().clone(), optimizer.state_dict()["state"][0]["step"]
    assert not torch.isfinite(update(optimizer, parameter, 1.0, gradient))
    assert torch.equal(before, parameter) and optimizer.state_dict()["state"][0]["step"] == state
    assert optimizer.scaler.get_scale() == 64
    assert update(optimizer, parameter, 1.0) == 2**0.5
    assert not torch.equal(before, parameter)


def test_at_the_least_scale_an_update_that_is_not_finite_is_followed_by_others(amp):
    optimizer = amp(parameter := Parameter(torch.ones(2)), 4, min_loss_scale=2.0)
    for _ in range(2):
        with pytest.raises(NonFiniteGradient, match=r"Minimum loss scale reached \(2"):
            update(optimizer, parameter, torch.nan)
    assert optimizer.scaler.get_scale() == 4 and torch.equal(parameter, torch.ones(2))
    update(optimizer, parameter, 0.5)
    assert torch.equal(parameter, torch.full([2], 0.5))


def test_with_cpu_beside_a_gpu_nothing_is_scaled(amp):
    optimizer = amp(parameter := Parameter(torch.ones(2)), 128, cpu=True)
    with pytest.raises(NonFiniteGradient):
        update(optimizer, parameter, torch.nan)
    assert update(optimizer, parameter, 0.5) == 0.5 * 2**0.5 and parameter.tolist() == [0.5, 0.5]
    optimizer.backward((parameter * 0.5).sum())
    assert parameter.grad.tolist() == [1.0, 1.0]


def test_the_flags_of_amp_are_heard_and_a_checkpoint_has_what_they_began(amp):
    optimizer = amp(parameter := Parameter(torch.ones(2)), 1024, amp_scale_window=3)
    for _ in range(4):
        update(optimizer, parameter, 0.5)
    assert optimizer.scaler.get_scale() == 2048
    resumed = amp(parameter, 1024, amp_scale_window=3)
    resumed.load_state_dict(optimizer.state_dict())
    for _ in range(2):
        update(resumed, parameter, 0.5)
    assert resumed.scaler.get_scale() == 4096
    resumed.load_state_dict(optimizer.fp32_optimizer.state_dict())  # as of before, without a scale
    assert resumed.scaler.get_scale() == 4096
