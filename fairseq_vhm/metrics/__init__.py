"""Scores of summaries: strings in, :class:`~fairseq_vhm.metrics.base.Score` out.

Nothing here imports fairseq or torch, and the scorers read no files: only ``outputs`` does.
"""
