"""fairseq_vhm: cross-lingual summarization in fairseq (VHM, Liang et al., ACL 2022; CrossSum, ACL 2023).

Importing the package registers its models, tasks, criterion and optimizer, so that
``--user-dir fairseq_vhm`` and ``import fairseq_vhm`` are enough.  Only the ``vhm`` command, most of which
needs neither torch nor fairseq, starts without that and calls :func:`register` where it must.
"""

import sys
from pathlib import PurePath

__version__ = "0.1.0"


def register() -> None:
    """Register architectures, tasks, criterion and optimizer with fairseq; safe to call more than once."""
    from fairseq_vhm import compat

    compat.apply()
    from fairseq_vhm import criterions, models, optimizers, tasks  # noqa: F401


def __getattr__(name: str) -> type:
    if name == "VHMTransformerModel":
        from fairseq_vhm.models.vhm_transformer import VHMTransformerModel

        return VHMTransformerModel
    raise AttributeError(f"module 'fairseq_vhm' has no attribute '{name}'")


if PurePath(sys.argv[0] if sys.argv else "").name != "vhm":
    register()
