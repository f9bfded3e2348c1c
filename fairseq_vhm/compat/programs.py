"""Which of fairseq's commands this process runs: as it is installed (``fairseq-train``), or by ``python -m``.

By ``python -m`` and ``torchrun -m`` it is the module ``__main__``; one of its own name, if there is one at
all, is a second copy that nobody runs.  Stays as long as what is mended depends on the command.
"""

import os
import sys
from pathlib import PurePath
from types import ModuleType

import fairseq_cli

TRAINING = "fairseq_cli.train"


def is_run_by_python(command: str) -> bool:
    """Whether Python was started with ``fairseq_cli/COMMAND.py``; not so in processes that it spawns."""
    main = sys.modules["__main__"]
    file = os.path.realpath(os.path.join(fairseq_cli.__path__[0], f"{command}.py"))
    return main.__name__ == "__main__" and os.path.realpath(getattr(main, "__file__", None) or "") == file


def is_running(command: str) -> bool:
    """Whether this process is that command, such as ``interactive``."""
    started_as = PurePath(sys.argv[0] if sys.argv else "").name
    return started_as == f"fairseq-{command}" or is_run_by_python(command)


def training() -> ModuleType | None:
    """The module of ``fairseq-train`` in a process that trains, whose functions are the ones that run."""
    return sys.modules["__main__"] if is_run_by_python("train") else sys.modules.get(TRAINING)
