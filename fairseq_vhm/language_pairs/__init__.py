"""Scores of a model of many languages, pair by pair (CrossSum; Bhattacharjee et al., ACL 2023, section 5).

:mod:`.examples` joins outputs with the references of a corpus, :mod:`.scoring` scores each pair, and
:mod:`.offtarget`, :mod:`.means` and :mod:`.tables` say what holds over all of them; :mod:`.files` writes it.
"""
