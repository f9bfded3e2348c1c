"""Models; importing the package registers them with fairseq."""

from fairseq_vhm.models import architectures  # noqa: F401
from fairseq_vhm.models.vhm_transformer import VHMTransformerModel

__all__ = ["VHMTransformerModel"]
