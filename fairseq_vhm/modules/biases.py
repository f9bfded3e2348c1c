"""The biases of the paper's Transformer, which its parameter counts (Tables 2, 3) give away.

From one table to the other the vocabulary grows by 39,610 symbols and the model by 40.60M parameters:
1,025 a symbol, hence two tables of width 512 and an output bias.  What remains, 44.08M, is a
Transformer Base whose feed-forward layers and query, key and value projections have no bias, as in the
released code; fairseq's has 58,368 parameters more there and no output bias.
"""

from typing import Any

import torch
from torch import nn

WITHOUT_BIAS = ("q_proj", "k_proj", "v_proj", "fc1", "fc2")
BIASES = ("paper", "fairseq")


def drop_biases(transformer: nn.Module) -> None:
    """Hold the biases of attention inputs and feed-forward layers at zero, as no parameters.

    A zero buffer takes the place of each, since fairseq's fast attention path joins the three.
    """
    for name, layer in transformer.named_modules():
        if name.rpartition(".")[2] in WITHOUT_BIAS:
            zero = torch.zeros_like(layer.bias.data)
            del layer.bias
            layer.register_buffer("bias", zero, persistent=False)


def add_output_bias(decoder: nn.Module) -> None:
    """Give the output projection a bias, zero at the start."""
    projection: Any = decoder.output_projection
    projection.bias = nn.Parameter(torch.zeros(projection.out_features))
