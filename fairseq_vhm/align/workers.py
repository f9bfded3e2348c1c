"""Who works: this process, or those of a Ray cluster; a task may be done twice, for all write whole files."""

import importlib.util
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, TypeVar

from fairseq_vhm.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

LOCAL, AUTO = "local", "auto"
SECONDS = 5
_NO_CLUSTER = "--ray {}: no cluster answers there; give HOST:PORT of one, auto for this machine's, or local"
RETRIES = 3
QUEUED = 2
"""Tasks handed out for each CPU of the cluster, so that no worker waits and few tasks are in memory."""


class Workers(Protocol):
    """Does tasks."""

    def map(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], gpu: bool = False
    ) -> Iterator[Result]:
        """Results as they come, in any order; ``gpu``: each task needs one."""


class ThisProcess:
    """One task after another, here."""

    def map(self, function: Callable, tasks: Iterable, gpu: bool = False) -> Iterator:
        return map(function, tasks)


class RayWorkers:
    """The CPUs, and for ``gpu`` the GPUs, of the cluster that ``ray.init`` has joined."""

    def __init__(self, cpus: int) -> None:
        self._window = QUEUED * cpus

    def map(self, function: Callable, tasks: Iterable, gpu: bool = False) -> Iterator:
        """A task whose worker dies is given to another, ``RETRIES`` times.

        Raises:
            UserError: what a task raised as one, or that its workers died.
        """
        import ray

        remote: Any = ray.remote(num_gpus=int(gpu), max_retries=RETRIES)(_do)
        waiting = iter(tasks)
        running = [remote.remote(function, task) for task in islice(waiting, self._window)]
        while running:
            done, running = ray.wait(running)
            running += [remote.remote(function, task) for task in islice(waiting, len(done))]
            for reference in done:
                yield _result(reference)


@contextmanager
def open_workers(address: str | None) -> Iterator[Workers]:
    """This process where ``address`` is ``None``; else the Ray cluster there, or one made here for ``local``.

    Raises:
        UserError: ray is not installed, or nothing answers at ``address``.
    """
    if address is None:
        yield ThisProcess()
        return
    require("ray", "ray", "--ray")
    check_address(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    where: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {"address": address}
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(_NO_CLUSTER.format(address)) from error
    try:
        yield RayWorkers(max(1, int(ray.cluster_resources().get("CPU", 1))))
    finally:
        ray.shutdown()


def check_address(address: str) -> None:
    """Knock at ``HOST:PORT`` or ``ray://HOST:PORT``, where Ray itself would wait for minutes.

    Raises:
        UserError: nothing answers there.
    """
    if address in (LOCAL, AUTO):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(_NO_CLUSTER.format(address)) from error


def require(package: str, extra: str, what: str) -> None:
    """Raises UserError: ``package`` is not installed; ``what`` needs it, ``extra`` brings it."""
    if importlib.util.find_spec(package) is None:
        name = {"faiss": "faiss-cpu", "sentence_transformers": "sentence-transformers"}.get(package, package)
        raise UserError(f"{what} needs {name}: pip install 'fairseq-vhm[{extra}]'")


def _do(function: Callable[[Task], Result], task: Task) -> Result:
    return function(task)


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, UserError) else error from None
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--ray: a task's worker died {RETRIES + 1} times; perhaps too little memory ({reason})"
        ) from error
