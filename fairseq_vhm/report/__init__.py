"""``vhm report``: from a folder of runs to the tables and figures of a paper, and a page to read in.

What comes in is read in :mod:`.runs` (which folders are runs), :mod:`.checkpoint` (settings and
size), :mod:`.logs` (curves and time), :mod:`.texts` (test sets and outputs) and :mod:`.scoring`.
:mod:`.systems` says which runs are one system and what it is called; :mod:`.tables`,
:mod:`.figures`, :mod:`.pairs` and :mod:`.reader` make what goes out, :mod:`.build` all of it.
"""
