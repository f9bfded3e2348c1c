"""Fine-tuning from a checkpoint of ``--pretraining-tasks``, whose dictionary has more symbols at its end."""

import logging

from torch import Tensor

logger = logging.getLogger(__name__)

PRETRAINING_SYMBOLS = "pretraining_symbols"
"""Buffer of the encoder that says how many of the last symbols only pre-training has."""


def without_pretraining_symbols(
    trained: dict[str, Tensor], wanted: dict[str, Tensor]
) -> dict[str, Tensor]:
    """A pre-trained model's parameters, less the rows that a model without pre-training tasks lacks.

    Args:
        trained: as the checkpoint holds them; returned as they are unless their encoder has the buffer.
        wanted: the parameters that the model has.
    """
    buffer, table = f"encoder.{PRETRAINING_SYMBOLS}", "encoder.embed_tokens.weight"
    if buffer not in trained or buffer in wanted:
        return trained
    rows, more = len(trained[table]), int(trained[buffer])
    logger.info(f"pre-trained model: its last {more} symbols (mask, tags of pre-training) are left out")

    def fitted(name: str, value: Tensor) -> Tensor:
        has_row_for_each = value.dim() > 0 and len(value) == rows and name in wanted
        return value[: rows - more] if has_row_for_each and len(wanted[name]) == rows - more else value

    return {name: fitted(name, value) for name, value in trained.items() if name != buffer}
