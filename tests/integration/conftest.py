"""Fixtures of the tests that run fairseq's commands: ``forked`` and trained checkpoints to share."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from commands import REPOSITORY, training  # noqa: E402  (found by the line above)


@dataclass
class Started:
    """A command under way; :meth:`wait` gives what ``subprocess.run`` gives."""

    server: "ForkServer"
    argv: list[str]
    pid: int
    folder: Path

    def wait(self) -> subprocess.CompletedProcess:
        status = self.server.ask(wait=self.pid)
        texts = [(self.folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(self.argv, status, *texts)


class ForkServer:
    """Runs installed commands in forks of one process that has imported fairseq (``forkserver.py``).

    ``server("fairseq-train", ...)`` has the interface of the fixture ``run``; ``server.start`` does not
    wait for the command to end.
    """

    def __init__(self, folder: Path):
        self.folder, self.started = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "forkserver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def ask(self, **request) -> int:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(
        self,
        command: str,
        *arguments,
        stdin: str | bytes | None = None,
        cwd: Path = REPOSITORY,
        **environment,
    ) -> Started:
        self.started += 1
        folder = self.folder / str(self.started)
        folder.mkdir()
        source = Path(os.devnull)
        if stdin is not None:
            source = folder / "stdin"
            source.write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
        argv = [str(Path(sys.executable).parent / command), *map(str, arguments)]
        files = {name: str(folder / name) for name in ("stdout", "stderr")}
        pid = self.ask(argv=argv, cwd=str(cwd), environment=environment, stdin=str(source), **files)
        return Started(self, argv, pid, folder)

    def __call__(self, command: str, *arguments, fails: bool = False, **settings):
        process = self.start(command, *arguments, **settings).wait()
        assert (process.returncode != 0) == fails, process.stdout[-2000:] + process.stderr[-4000:]
        return process

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="session")
def forked(tmp_path_factory):
    """Like ``run``, without the seconds that each import of fairseq takes; see :class:`ForkServer`."""
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
