"""Faults put into real runs of the commands; ``benchmarks/faults.py`` is the command that does it."""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[2] / "tests"
sys.path += [str(_TESTS / "integration"), str(_TESTS)]  # the fork server and the toy corpora are the tests'
