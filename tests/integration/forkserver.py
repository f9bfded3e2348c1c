"""A process that has imported fairseq once and forks into fairseq's installed commands.

A command started so runs its own script, arguments, working directory, files and exit as ever; only the
import of torch and fairseq (seconds a command) is shared.  The plugin is not imported here: each command
does that itself, through ``--user-dir``.

Requests are lines of JSON on stdin: ``{"argv": [...], "cwd": ..., "stdin": path, "stdout": path,
"stderr": path, "environment": {...}}`` is answered with the pid, ``{"wait": pid}`` with the exit status.
"""

import gc
import json
import logging
import os
import runpy
import signal
import sys

import torch._dynamo  # noqa: F401  (torch's optimizers import it)
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

TIMEOUT = 300  # seconds


def warm_up() -> None:
    """Read a command's settings once, since hydra's grammar builds its tables in the first use.

    What there is then is kept from the garbage collector, which else would search it again in each fork.
    """
    parser = options.get_generation_parser(interactive=True)
    arguments = options.parse_args_and_arch(parser, ["data", "--path", "checkpoint"])
    convert_namespace_to_omegaconf(arguments)
    gc.collect()
    gc.freeze()


def serve() -> dict:
    """Answer requests; returns only in a forked child, with the request that it is to carry out."""
    requests, replies = os.fdopen(os.dup(0), "rb", buffering=0), os.dup(1)
    for line in requests:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                return request
        os.write(replies, f"{answer}\n".encode())
    sys.exit()


def become(request: dict) -> None:
    """Take on the working directory, environment, files and arguments of the command."""
    signal.alarm(TIMEOUT)
    logging.getLogger().handlers.clear()  # of the imports above; a command sets up its own
    os.chdir(request["cwd"])
    os.environ.update(request["environment"])
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, name, mode in ((0, "stdin", os.O_RDONLY), (1, "stdout", written), (2, "stderr", written)):
        os.dup2(os.open(request[name], mode), number)
    sys.argv = request["argv"]
    sys.path[0] = os.path.dirname(sys.argv[0])


warm_up()
become(serve())
runpy.run_path(sys.argv[0], run_name="__main__")
