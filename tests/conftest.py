"""Fixtures of all tests: a toy corpus, binarised once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Before torch is loaded, and inherited by the processes that tests start.  One thread each, as xdist has a
# process a core: threads that wait for each other's cores took eight times as long over small products.
os.environ["OMP_NUM_THREADS"] = "1"
# Hundreds of processes would else compile the plugin anew where the environment keeps Python from it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import fairseq_vhm  # noqa: E402, F401  (registers everything)

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS / "integration")]
REPOSITORY = TESTS.parent

SIZES = {
    "cls": {"train": 60, "valid": 12, "test": 13},
    "mt": {"train": 100, "valid": 12, "test": 13},
    "ms": {"train": 40, "valid": 12, "test": 13},
}


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory) -> Path:
    """DATA of the toy corpus (``tiny.write_corpus``), unequal in size over the tasks."""
    import tiny

    folder = tmp_path_factory.mktemp("toy")
    tiny.write_corpus(folder, SIZES)
    return tiny.binarise(folder, SIZES)


@pytest.fixture(scope="session")
def run():
    """Run a command of this environment as a user would: ``run("fairseq-train", ...)``.

    Returns the completed process; asserts on its exit status unless ``fails=True``.
    """

    def run_command(command: str, *arguments, fails: bool = False, stdin: str | None = None, **environment):
        program = Path(sys.executable).parent / command
        process = subprocess.run(
            [str(program), *map(str, arguments)],
            cwd=REPOSITORY,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=600,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        assert (process.returncode != 0) == fails, process.stdout[-2000:] + process.stderr[-4000:]
        return process

    return run_command


@pytest.fixture(scope="session")
def forked(tmp_path_factory):
    """Like ``run``, without the seconds that each import of fairseq takes; see ``integration/server.py``."""
    from server import ForkServer

    server = ForkServer(tmp_path_factory.mktemp("commands"))
    yield server
    server.close()
