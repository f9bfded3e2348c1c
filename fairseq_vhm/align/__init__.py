"""Aligned articles across languages, from their summaries (Bhattacharjee et al., ACL 2023, section 3).

``run.py`` is the chain: read the articles, embed their summaries, search every language for the nearest
summaries of every other, pair, group, split, write, report.  Each stage has its file.
"""
