"""Warnings at start-up that no user of this plugin can act on.

Each entry says whose it is; an entry can go when that project no longer prints it.
"""

import logging
import warnings
from typing import Any

_FILTERS: list[dict[str, Any]] = [
    # fairseq-fixed: torch.cuda.amp.* in place of torch.amp.*
    {"message": r".*torch\.cuda\.amp\..*", "category": FutureWarning},
    # torch's DataLoader without a GPU, with fairseq's fixed pin_memory=True
    {"message": r".*'pin_memory' argument is set as true.*", "category": UserWarning},
    # hydra 1.3 about the config files inside fairseq
    {"module": r"hydra\..*", "category": UserWarning},
    {"message": r"\s*'config' is validated against ConfigStore", "category": UserWarning},
    # torch: fairseq passes a bool padding mask beside a float causal mask
    {"message": r".*mismatched.*mask.*", "category": UserWarning},
    {"message": r".*nested tensors is in prototype stage.*", "category": UserWarning},
]


def silence() -> None:
    """Add the filters in front of those that there are."""
    for entry in _FILTERS:
        warnings.filterwarnings("ignore", **entry)
    # fairseq: "Please install tensorboardX" although torch's own TensorBoard writer is used
    logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)
    # torch: that it ends the other ranks after one, which says why itself
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    # hydra: two lines of its own when fairseq-generate begins, whose logging is not set up yet
    logging.getLogger("hydra.core.utils").setLevel(logging.INFO)
