"""``--no-repeat-ngram-size`` does nothing in fairseq without its CUDA extension (the wheels have none).

``NGramRepeatBlock`` looks for the last tokens of a hypothesis at the end of the generator's buffer, where
there is padding until the last step; with size 1 it looks for nothing.  Delete when
``fairseq.ngram_repeat_block.NGramRepeatBlock._no_repeat_ngram`` reads ``tokens[:, : step + 1]``.
"""

import math
from typing import Any

from fairseq.ngram_repeat_block import NGramRepeatBlock
from torch import Tensor


def block_repeats(self: Any, tokens: Tensor, lprobs: Tensor, bsz: int, beam_size: int, step: int) -> Tensor:
    """Give probability 0 to each token that would write an n-gram again.

    The start token counts as written, but for size 1: it may be EOS, without which nothing ends.

    Args:
        tokens: (bsz x beam_size, longest) of which the first ``step + 1`` are written.
        lprobs: (bsz x beam_size, V), changed in place and returned.
    """
    size, written = self.no_repeat_ngram_size, tokens[:, : step + 1]
    if size == 1:
        written = written[:, 1:]
    if written.size(1) >= size:
        ngrams, last = written.unfold(1, size, 1), written[:, step + 2 - size :]
        again = ngrams[..., :-1].eq(last.unsqueeze(1)).all(dim=-1)
        rows, places = again.nonzero(as_tuple=True)
        lprobs[rows, ngrams[rows, places, -1]] = -math.inf
    return lprobs


def mend_ngrams() -> None:
    """Put it in place of fairseq's."""
    NGramRepeatBlock._no_repeat_ngram = block_repeats
