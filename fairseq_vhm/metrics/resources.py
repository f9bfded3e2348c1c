"""What metrics need besides outputs and references: models on disk, the sources.

Which metric needs what is said where it is registered (:mod:`fairseq_vhm.metrics.registry`).  Nothing is
downloaded, and all that can be refused is refused before anything is scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.encoders import BATCH_SIZE, SentenceEncoder, TokenEncoder
from fairseq_vhm.text.langid import (
    FastTextIdentifier,
    LanguageIdentifier,
    Py3LangidIdentifier,
    RememberingIdentifier,
    target_languages,
)

NEEDS: dict[str, Sequence[str]] = {}
"""Metric -> the flags that it cannot do without; filled as metrics are registered."""


@dataclass(frozen=True)
class Given:
    """The flags of ``vhm score`` and ``vhm compare`` that name a metric's resources."""

    src: Path | None = None
    encoder: Path | None = None
    encoder_layer: int | None = None
    labse: Path | None = None
    lid: Path | None = None
    device: str = "auto"
    batch_size: int = BATCH_SIZE
    cache: Path | None = None

    def lacking(self, metric: str) -> list[str]:
        """Flags that ``metric`` needs and that were not given."""
        return [f"--{name}" for name in NEEDS.get(metric, ()) if getattr(self, name) is None]


class Resources:
    """The resources of some metrics, opened and checked; a model's weights load when first used.

    Args:
        metrics: names of the metrics that will be computed.
        given: where their resources are.
        sources: a source for each output, for ``copy``.

    Raises:
        UserError: a flag is missing, or what it names cannot be used.
    """

    def __init__(
        self, metrics: Sequence[str], given: Given | None = None, sources: Sequence[str] | None = None
    ) -> None:
        self.given, self.sources = given or Given(), sources
        for metric in metrics:
            if flags := self.given.lacking(metric):
                raise UserError(f"--metrics {metric} needs {' and '.join(flags)}")
        opened = {name for metric in metrics for name in NEEDS.get(metric, ())}
        for name in ("encoder", "labse", "lid"):
            if name in opened:
                getattr(self, name)
        if "offtarget" in metrics:
            _ = self.identifier

    @cached_property
    def encoder(self) -> TokenEncoder:
        """Of BERTScore and MoverScore."""
        given = self.given
        assert given.encoder is not None, "refused by lacking()"
        return TokenEncoder(given.encoder, given.device, given.batch_size, given.encoder_layer)

    @cached_property
    def labse(self) -> SentenceEncoder:
        """Of LaSE."""
        given = self.given
        assert given.labse is not None, "refused by lacking()"
        return SentenceEncoder(given.labse, given.device, given.batch_size, given.cache)

    @cached_property
    def lid(self) -> LanguageIdentifier:
        """Of LaSE."""
        assert self.given.lid is not None, "refused by lacking()"
        return RememberingIdentifier(FastTextIdentifier(self.given.lid))

    @cached_property
    def identifier(self) -> LanguageIdentifier:
        """Of offtarget: that of ``--lid``, else one that needs no model file."""
        return RememberingIdentifier(Py3LangidIdentifier()) if self.given.lid is None else self.lid


def can_tell(lang: str, given: Given) -> bool:
    """Whether the identifier of offtarget knows ``lang``."""
    return bool(target_languages(lang, Resources((), given).identifier))
