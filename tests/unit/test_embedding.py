"""One gradient of an embedding for all lookups of a mini-batch, against torch's own."""

import gc
import weakref

import pytest
import torch
from tiny import make_batch, make_dictionary, make_model
from torch import nn

from fairseq_vhm.modules.embedding import Embedding, one_gradient, use_one_gradient
from fairseq_vhm.names import TASKS

PAD, SYMBOLS, WIDTH = 1, 11, 4
DICTIONARY = make_dictionary()


def make_tables(padding: int | None = PAD) -> tuple[nn.Embedding, nn.Module]:
    """torch's table, and the same numbers in ours."""
    torch.manual_seed(1)
    plain = nn.Embedding(SYMBOLS, WIDTH, padding_idx=padding)
    ours = nn.Sequential(nn.Embedding(SYMBOLS, WIDTH, padding_idx=padding))
    ours[0].load_state_dict(plain.state_dict())
    use_one_gradient(ours)
    return plain, ours[0]


def texts(count: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(SYMBOLS, (2, 5), generator=generator) for _ in range(count)]


def loss_of(table: nn.Embedding, tokens: list[torch.Tensor], tied: bool) -> torch.Tensor:
    loss = sum(((k + 1) * table(one)).sin().sum() for k, one in enumerate(tokens))
    return loss + table.weight.cos().sum() if tied else loss


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("mini_batches", [1, 2])
@pytest.mark.parametrize("padding", [PAD, None])
def test_the_gradient_is_the_sum_of_the_lookups(tied, mini_batches, padding):
    plain, ours = make_tables(padding)
    for _ in range(mini_batches):
        loss_of(plain, texts(), tied).backward()
        with one_gradient(ours):
            loss = loss_of(ours, texts(), tied)
        loss.backward()
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)
    assert ours.weight.grad[PAD].any() == (padding is None)  # it is zero, and so is its cosine's slope


def test_outside_of_it_without_gradient_and_frozen_it_is_torchs():
    plain, ours = make_tables()
    tokens = texts(1)[0]
    assert ours(tokens).grad_fn.name().startswith("EmbeddingBackward")
    with one_gradient(ours), torch.no_grad():
        assert not ours(tokens).requires_grad
    ours.weight.requires_grad_(False)
    with one_gradient(ours):
        assert torch.equal(ours(tokens), plain(tokens))
        assert not ours(tokens).requires_grad


def test_a_backward_pass_that_failed_leaves_nothing_behind():
    plain, ours = make_tables()
    with pytest.raises(ZeroDivisionError), one_gradient(ours):
        ours(texts(1)[0])
        raise ZeroDivisionError
    assert ours.gathering is None
    loss_of(plain, texts(), tied=False).backward()
    with one_gradient(ours):
        loss = loss_of(ours, texts(), tied=False)
    loss.backward()
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)


def test_a_mini_batch_is_freed_without_the_garbage_collector():
    _, ours = make_tables()
    gc.disable()
    try:
        with one_gradient(ours):
            gathering = weakref.ref(ours.gathering)
            loss = loss_of(ours, texts(), tied=False)
        loss.backward()
        del loss
        assert gathering() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("flags", [{}, {"share_encoder_decoder_embeddings": False}, {"decoders": "task"}])
def test_the_models_gradients_are_the_same(task, flags):
    found = []
    for gradient in ("one", "each"):
        torch.manual_seed(3)
        model = make_model(DICTIONARY, embedding_gradient=gradient, dropout=0.0, **flags).train()
        batch = make_batch(DICTIONARY, task)
        torch.manual_seed(4)
        out, _ = model(**batch["net_input"], target=batch["target"])
        out.float().sin().sum().backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        assert isinstance(model.encoder.embed_tokens, Embedding) == (gradient == "one")
    torch.testing.assert_close(*found)
