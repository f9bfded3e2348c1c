"""Tasks; importing the package registers them with fairseq."""

from fairseq_vhm.tasks.cross_lingual_summarization import CrossLingualSummarizationTask

__all__ = ["CrossLingualSummarizationTask"]
