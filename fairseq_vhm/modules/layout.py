"""How weights lie in memory."""

from torch import nn


def lay_out_for_few_rows(decoder: nn.Module) -> None:
    """Keep the weights of a decoder's linear layers on a CPU column by column.

    A step of beam search multiplies few rows by large matrices; torch's product first copies a matrix that
    lies row by row, which costs up to as much again (``benchmarks/parts.py``).  Shapes, names and
    values stay; a weight that is an embedding's too is left as the embedding needs it.
    """
    tables = {id(module.weight) for module in decoder.modules() if isinstance(module, nn.Embedding)}
    for layer in (module for module in decoder.modules() if isinstance(module, nn.Linear)):
        if layer.weight.device.type == "cpu" and id(layer.weight) not in tables:
            layer.weight.data = layer.weight.data.t().contiguous().t()
