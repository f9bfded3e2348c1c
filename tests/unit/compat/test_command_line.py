"""Which of the settings that fairseq parses are a run's that begins here."""

import sys

import pytest
from fairseq import options

from fairseq_vhm.errors import UserError

FLAGS = ["DATA", "--arch", "vhm_transformer_tiny", "--distributed-world-size", "1"]


@pytest.fixture(autouse=True)
def under_torchrun(monkeypatch):
    for name, value in {"RANK": 3, "WORLD_SIZE": 4, "LOCAL_RANK": 1, "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, str(value))


@pytest.fixture
def started(monkeypatch):
    """What fairseq-train reads off its own command line."""

    def read(*flags):
        monkeypatch.setattr(sys, "argv", ["fairseq-train", *FLAGS, *flags])
        return options.parse_args_and_arch(options.get_training_parser())

    return read


def test_a_command_line_is_the_rank_that_torchrun_started_and_looks_for_unused_parameters(started):
    args = started()
    assert (args.distributed_rank, args.distributed_world_size) == (3, 4)
    assert args.find_unused_parameters


def test_strings_are_read_as_they_stand():
    args = options.parse_args_and_arch(options.get_training_parser(), [*FLAGS, "--restore-file", "none.pt"])
    assert (args.distributed_rank, args.distributed_world_size) == (0, 1)
    assert args.distributed_init_method is None and args.restore_file == "none.pt"


def test_a_command_line_of_fairseqs_own_architecture_is_checked_too(started):
    with pytest.raises(UserError, match="^--restore-file none.pt: missing"):
        started("--arch", "transformer_tiny", "--restore-file", "none.pt")
