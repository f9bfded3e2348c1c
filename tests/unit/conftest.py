"""Fixtures of the unit tests: one rank of several, without the others."""

import pytest
import torch.distributed as dist
from torch.testing._internal.distributed import fake_pg  # noqa: F401  (registers "fake")


@pytest.fixture
def rank_1_of_2():
    """This process as rank 1 of a group of two by torch's own stand-in, in which nobody is waited for."""
    dist.init_process_group("fake", rank=1, world_size=2, store=dist.HashStore())
    yield
    dist.destroy_process_group()
