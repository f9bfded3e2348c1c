"""What the project reads: a valid case of each format, and the function that reads it as its command does.

``READERS`` has them by name, in the order of ``ROOMS``.  A reader is given the folder of a case, reads all of
it, and writes, where it writes, into that folder alone.
"""

from importlib import import_module

from fuzzing.cases import READERS

ROOMS = (
    *("prepare", "training", "align", "scores", "human_eval"),
    *("report", "convert", "pipeline", "examples", "models"),
)
for room in ROOMS:
    import_module(f"fuzzing.{room}")

__all__ = ["READERS"]
