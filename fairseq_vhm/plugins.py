"""A user's own folder, imported before a ``vhm`` command as ``--user-dir`` of fairseq's commands is."""

import importlib
import os
import sys
from pathlib import Path

from fairseq_vhm.errors import UserError


def load(folder: Path) -> None:
    """Import the package in ``folder``, so that what it registers is known.

    Raises:
        UserError: it holds no package, or one of a name that another module has.
    """
    folder = Path(os.path.realpath(folder))
    if "." in folder.name:
        raise UserError(f"--user-dir {folder}: a dot in the name of a package leads into another; rename it")
    if not (folder / "__init__.py").is_file():
        raise UserError(f"--user-dir {folder}: holds no __init__.py; give the folder of a Python package")
    sys.path.insert(0, str(folder.parent))
    file = getattr(importlib.import_module(folder.name), "__file__", None)  # Python's own may have none
    if file is None or Path(file).resolve().parent != folder:
        raise UserError(f"--user-dir {folder}: '{folder.name}' is another module's name; rename it")
