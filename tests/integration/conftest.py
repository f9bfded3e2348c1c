"""Checkpoints that the tests of fairseq's commands share."""

from pathlib import Path

import pytest
from commands import training


@pytest.fixture(scope="session")
def trained(toy_data, forked, tmp_path_factory) -> Path:
    """Folder of a VHM trained for 60 updates on the toy corpus, with checkpoints at 32 and at 60."""
    folder = tmp_path_factory.mktemp("trained")
    flags = ("--save-interval-updates", 32, "--no-epoch-checkpoints", "--kl-anneal-steps", 60)
    forked("fairseq-train", *training(toy_data, folder, *flags, updates=60))
    return folder
