"""The source-language summary of a CLS pair, found where the MS data hold the same document."""

from typing import Any

import numpy as np
from torch import Tensor

from fairseq_vhm.errors import UserError


class SummaryLookup:
    """CLS pair -> the MS target of the same document, ``None`` where there is none.

    Args:
        documents: the CLS sources as binarised (no tag, not cut).
        ms_documents: those of the MS data, likewise.
        summaries: its targets, as they are to be read.
    """

    def __init__(self, documents: Any, ms_documents: Any, summaries: Any) -> None:
        known = {hash(ms_documents[i].numpy().tobytes()): i for i in range(len(ms_documents))}
        keys = (hash(documents[i].numpy().tobytes()) for i in range(len(documents)))
        self.match = np.fromiter((known.get(key, -1) for key in keys), np.int64, len(documents))
        self.summaries = summaries
        self.found = int((self.match >= 0).sum())

    def check(self) -> None:
        """Refuse MS data that have none of the documents.

        Raises:
            UserError: names the flags and the remedy.
        """
        if not self.found:
            raise UserError(
                "no CLS document has a summary in the MS data, which --cls-local-target summary, "
                "--same-documents and --share-document-encoding need; leave the flag out, or prepare MS from "
                "the documents of CLS"
            )

    def __call__(self, index: int) -> Tensor | None:
        match = int(self.match[index])
        return None if match < 0 else self.summaries[match]
