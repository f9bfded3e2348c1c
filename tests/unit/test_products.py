"""``--matmul-precision``: what a training update computes in less than float32, and what it does not."""

import pytest
import torch
from test_attention import FAST, operations
from tiny import make_batch, make_dictionary, make_model

from fairseq_vhm.modules.attention import SHORT_IN_MEDIUM
from fairseq_vhm.tasks.config import MATMUL_PRECISIONS
from fairseq_vhm.tasks.training import float32_products

DICTIONARY = make_dictionary()
BFLOAT16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Whether this processor has products of bfloat16 that torch would take."""


def gradients_in(precision: str, seed: int) -> torch.Tensor:
    """All gradients of one mini-batch with the same draws."""
    model = make_model(DICTIONARY, dropout=0.1, encoder_embed_dim=64, decoder_embed_dim=64, **FAST).train()
    batch = make_batch(DICTIONARY, lengths=[(9, 6)] * 4, seed=seed)
    torch.manual_seed(seed)
    with float32_products(precision):
        out, _ = model(**batch["net_input"], target=batch["target"])
        out.log_softmax(-1).square().mean().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gradients_in_medium_are_those_in_highest_to_bfloat16(seed):
    """Which has eight bits of mantissa: 0.4 % a number; sums of products err by less."""
    exact, medium = gradients_in("highest", seed), gradients_in("medium", seed)
    assert medium.dtype == torch.float32
    error = (medium - exact).norm() / exact.norm()
    assert (1e-6 < error < 0.02) if BFLOAT16 else error == 0


@pytest.mark.parametrize("precision", MATMUL_PRECISIONS)
def test_what_was_asked_for_elsewhere_is_asked_for_again_also_after_an_error(precision):
    before = torch.get_float32_matmul_precision()
    with pytest.raises(ZeroDivisionError), float32_products(precision):
        assert torch.get_float32_matmul_precision() == precision
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == before == "highest"


@pytest.mark.parametrize(
    ("precision", "length", "training", "products"),
    [
        ("medium", 9, True, True),
        ("medium", SHORT_IN_MEDIUM, True, True),
        ("medium", SHORT_IN_MEDIUM + 1, True, False),
        ("medium", 9, False, False),
        ("high", 9, True, False),
    ],
)
def test_training_on_short_texts_in_medium_attends_by_plain_products(precision, length, training, products):
    model = make_model(**FAST, max_source_positions=SHORT_IN_MEDIUM + 1)
    batch = make_batch(make_dictionary(), lengths=[(length - 2, 5)] * 2)
    assert batch["net_input"]["src_tokens"].size(1) == length
    with torch.set_grad_enabled(training), float32_products(precision):
        names = operations(model, batch)
    assert bool([name for name in names if "flash_attention" in name]) != products
