"""fairseq drops the last batch of a data set whose size is no multiple of 8, without a word.

``--required-batch-size-multiple`` (8 by default) promises batches of fewer sentences than N or of a
multiple of N; ``fairseq.data.data_utils.batch_by_size`` throws a last batch of another size away, so that
``fairseq-generate`` on 618 documents writes 616 summaries and every score is of another test set than it
says.  Delete when that function returns all of its indices.
"""

import functools
from typing import Any

import numpy as np
from fairseq.data import data_utils


def _keeping_the_rest(batch_by_size: Any) -> Any:
    @functools.wraps(batch_by_size)
    def batch_all_by_size(indices: np.ndarray, num_tokens_fn: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(indices, np.ndarray):
            indices = np.fromiter(indices, dtype=np.int64, count=-1)
        batches = batch_by_size(indices, num_tokens_fn, *args, **kwargs)
        kept = sum(len(batch) for batch in batches)
        if kwargs.get("fixed_shapes") is not None or kept == len(indices):
            return batches
        return [*batches, indices[kept:]]

    batch_all_by_size.keeps_the_rest = True  # type: ignore[attr-defined]  # a mark
    return batch_all_by_size


def keep_the_rest() -> None:
    """Give back the last batch; it is under the limits, as fairseq made it before it dropped it."""
    if not hasattr(data_utils.batch_by_size, "keeps_the_rest"):
        data_utils.batch_by_size = _keeping_the_rest(data_utils.batch_by_size)
