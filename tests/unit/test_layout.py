"""Weights of the decoder that lie column by column while it generates."""

import pytest
import torch
from tiny import make_batch, make_dictionary, make_model
from torch import nn

DICTIONARY = make_dictionary()
MODELS = {
    "output layer apart": {},
    "tied": {"share_all_embeddings": True},
    "a decoder a task": {"decoders": "task"},
}


@pytest.mark.parametrize("flags", MODELS.values(), ids=MODELS)
def test_they_are_the_same_weights_and_give_the_same_logits(flags):
    model, batch = make_model(DICTIONARY, **flags).eval(), make_batch(DICTIONARY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = model(**batch["net_input"])[0]
    model.make_generation_fast_()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    torch.testing.assert_close(model(**batch["net_input"])[0], expected)


@pytest.mark.parametrize("flags", MODELS.values(), ids=MODELS)
def test_linear_layers_of_the_decoder_alone_are_laid_out_and_no_embedding_is(flags):
    model = make_model(DICTIONARY, **flags)
    model.make_generation_fast_()
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear) and 1 not in layer.weight.shape:
            by_column = name.startswith("decoder.") and id(layer.weight) not in tables
            assert layer.weight.t().is_contiguous() == by_column, name
    embeddings = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    assert all(embedding.weight.is_contiguous() for embedding in embeddings)


def test_fairseqs_attention_leaves_them_as_they_are():
    model = make_model(DICTIONARY, attention="fairseq")
    model.make_generation_fast_()
    assert all(layer.weight.is_contiguous() for layer in model.modules() if isinstance(layer, nn.Linear))
