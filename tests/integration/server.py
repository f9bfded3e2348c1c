"""Commands run through the fork server (``forkserver.py``), by tests and by ``benchmarks/faults.py``."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


@dataclass
class Started:
    """A command under way; :meth:`wait` gives what ``subprocess.run`` gives."""

    server: "ForkServer"
    argv: list[str]
    pid: int
    folder: Path

    def has_ended(self) -> bool:
        """Whether only its exit status is left."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    def wait_for(self, text: str) -> None:
        """Until its output has ``text``, or it ends."""
        output = self.folder / "stdout"
        while not (output.exists() and text in output.read_text(encoding="utf-8")) and not self.has_ended():
            time.sleep(0.002)

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
