"""One encoder, a decoder for each task: MS-CLS and MT-CLS of Zhu et al. (2019, NCLS), section 3.2."""

from collections.abc import Mapping
from typing import Any

from fairseq.models import FairseqIncrementalDecoder
from torch import Tensor, nn


class TaskDecoders(FairseqIncrementalDecoder):
    """Hands each batch to the decoder of its task, which ``encoder_out["task"]`` names.

    Beam search meets an ordinary decoder: incremental states are kept by each decoder's own modules.
    """

    def __init__(self, decoders: Mapping[str, FairseqIncrementalDecoder]):
        first = next(iter(decoders.values()))
        super().__init__(first.dictionary)
        self.decoders: Any = nn.ModuleDict(decoders)

    def forward(self, prev_output_tokens: Tensor, encoder_out: dict, **options: Any) -> Any:
        """As the decoder of the batch's task."""
        return self._of(encoder_out)(prev_output_tokens, encoder_out=encoder_out, **options)

    def extract_features(self, prev_output_tokens: Tensor, encoder_out: dict, **options: Any) -> Any:
        """As the decoder of the batch's task."""
        return self._of(encoder_out).extract_features(prev_output_tokens, encoder_out, **options)

    def max_positions(self) -> int:
        """The most tokens that every decoder takes."""
        return min(decoder.max_positions() for decoder in self.decoders.values())

    def _of(self, encoder_out: dict) -> FairseqIncrementalDecoder:
        return self.decoders[encoder_out["task"][0]]
