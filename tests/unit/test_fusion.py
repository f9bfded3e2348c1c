"""Eq. 8 against its matrix form, and what the tasks share of it."""

import pytest
import torch

from fairseq_vhm.modules.fusion import PROJECTIONS, LatentFusion

WIDTH, INPUTS = 6, {"cls": 3, "mt": 3, "ms": 3}
STATES, Z = torch.randn(2, 4, WIDTH, dtype=torch.double), torch.randn(2, 3, dtype=torch.double)


def fusion(sharing: str, activation: str = "tanh", start: str = "xavier", inputs=None) -> LatentFusion:
    """With biases other than 0, so that they can be missed."""
    made = LatentFusion(WIDTH, inputs or INPUTS, sharing, activation, start).double()
    for projection in made.projections.values():
        torch.nn.init.normal_(projection.bias)
    return made


def w_p(made: LatentFusion, task: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole matrix [W_h; W_z] of a task and its bias."""
    projection = made.projections[task if made.sharing == "task" else "shared"]
    own = [made.of_latents[task].weight] if made.sharing == "states" else []
    return torch.cat([projection.weight, *own], dim=1), projection.bias


@pytest.mark.parametrize("sharing", PROJECTIONS)
@pytest.mark.parametrize("task", INPUTS)
def test_features_are_eq_8_of_states_and_latent_joined(sharing, task):
    made = fusion(sharing)
    weight, bias = w_p(made, task)
    joined = torch.cat([STATES, Z[:, None].expand(-1, STATES.size(1), -1)], dim=-1)
    torch.testing.assert_close(made(STATES, Z, task), torch.tanh(joined @ weight.T + bias))


@pytest.mark.parametrize(
    ("sharing", "of_states", "of_latent"),
    [("task", False, False), ("states", True, False), ("shared", True, True)],
)
def test_tasks_share_what_the_setting_says(sharing, of_states, of_latent):
    made = fusion(sharing, "none")
    zero = torch.zeros_like(Z)
    same = torch.equal(made(STATES, zero, "cls"), made(STATES, zero, "mt"))
    latent = [made(STATES, Z, task) - made(STATES, zero, task) for task in ("cls", "mt")]
    assert same == of_states
    assert torch.allclose(*latent) == of_latent


@pytest.mark.parametrize("sharing", PROJECTIONS)
def test_from_the_identity_the_states_pass_unchanged_whatever_the_latent(sharing):
    made = LatentFusion(WIDTH, INPUTS, sharing, "none", "identity").double()
    torch.testing.assert_close(made(STATES, Z, "ms"), STATES)


@pytest.mark.parametrize("sharing", PROJECTIONS)
def test_a_task_without_latents_meets_what_all_tasks_share(sharing):
    made, expected = fusion(sharing, inputs={"cls": 3, "ms": 3}), STATES
    if sharing == "states":
        w_h = made.projections["shared"]
        expected = torch.tanh(STATES @ w_h.weight.T + w_h.bias)
    torch.testing.assert_close(made(STATES, None, "mt"), expected)


def test_shared_states_take_latents_of_any_width():
    """CLS of Table 5's rows 4 and 5 joins several latents."""
    made = fusion("states", inputs={"cls": 9, "mt": 3})
    assert made(STATES, Z.repeat(1, 3), "cls").shape == made(STATES, Z, "mt").shape
