"""Tasks; importing the package registers them with fairseq."""

from fairseq_vhm.tasks.cross_lingual_summarization import CrossLingualSummarizationTask
from fairseq_vhm.tasks.many_to_many_summarization import ManyToManySummarizationTask

__all__ = ["CrossLingualSummarizationTask", "ManyToManySummarizationTask"]
