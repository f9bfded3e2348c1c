"""Fixtures of the tests that run fairseq's commands: ``forked`` and trained checkpoints to share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from commands import training  # noqa: E402  (found by the line above)
from server import ForkServer  # noqa: E402


@pytest.fixture(scope="session")
def forked(tmp_path_factory):
    """Like ``run``, without the seconds that each import of fairseq takes; see ``server.py``."""
    server = ForkServer(tmp_path_factory.mktemp("commands"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def trained(toy_data, forked, tmp_path_factory) -> Path:
    """Folder of a VHM trained for 60 updates on the toy corpus, with checkpoints at 32 and at 60."""
    folder = tmp_path_factory.mktemp("trained")
    flags = ("--save-interval-updates", 32, "--no-epoch-checkpoints", "--kl-anneal-steps", 60)
    forked("fairseq-train", *training(toy_data, folder, *flags, updates=60))
    return folder
