"""Offline data preparation: raw corpora in, one prepared folder out.

Readers (``readers/``) stream pairs of texts out of a corpus; ``trio`` turns the pairs of three
tasks into the folder that training reads.  Nothing here imports models, tasks or torch.
"""
