"""A checkpoint is half-written while fairseq copies it onto a second name, such as ``checkpoint_last.pt``.

``fairseq.checkpoint_utils`` writes the first file of a save beside its name and renames it, but copies the
others onto theirs: killed in that copy, a run has destroyed what it would resume from.  When writing fails it
writes again behind the bytes that are there, and a full disk ends in a stack trace.  Delete when
``torch_persistent_save`` begins anew, and ``save_checkpoint`` renames copies too.
"""

import functools
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from fairseq_vhm.errors import UserError

PART = ".tmp"  # fairseq's own


def write_whole(path: str, write: Callable[[str], None]) -> None:
    """Let ``write`` write a file beside ``path``, which takes the name when all of it is on disk.

    :mod:`fairseq_vhm.files` does the same for other files; here the file beside has the name that fairseq
    gives it, so that what a killed run left of a checkpoint is found and removed by the next.

    Raises:
        UserError: there is no room, or no right to write; the file that was there is still there.
    """
    part = path + PART
    try:
        write(part)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); the checkpoints that were saved before are "
            "whole: mend that and repeat the command, which goes on from the last"
        ) from error
    finally:
        with suppress(OSError):
            os.remove(part)  # after a failure; or a second name of the very file that was there


def copy_whole(source: str, target: str, overwrite: bool = False) -> bool:
    """Give a saved checkpoint a second name: without its bytes once more, where the disk can do that."""

    def link_or_copy(part: str) -> None:
        with suppress(FileNotFoundError):
            os.remove(part)
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)

    write_whole(target, link_or_copy)
    return True


class _WholeCopies(PathManager):
    """fairseq's access to files, for its checkpoints."""

    copy = staticmethod(copy_whole)


def save_state(obj: object, path: str | Path) -> None:
    """``torch.save`` through a file of Python's, so that an error says what the system said.

    Raises:
        OSError: there is no room, or no right to write; torch makes a ``RuntimeError`` of it.
    """
    try:
        with open(path, "wb") as file:
            torch.save(obj, file)
    except RuntimeError as error:
        raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def _saving_whole(save: Callable) -> Callable:
    @functools.wraps(save)
    def save_whole(obj: object, filename: str, async_write: bool = False) -> None:
        write_whole(filename, lambda part: save_state(obj, part))

    save_whole.saves_whole = True  # type: ignore[attr-defined]  # says that it is in place
    return save_whole


def _verifying_clearly(verify: Callable) -> Callable:
    @functools.wraps(verify)
    def verify_and_tidy(save_dir: str) -> None:
        try:
            verify(save_dir)
        except OSError as error:
            raise UserError(
                f"--save-dir {save_dir}: checkpoints cannot be written there ({error.strerror}); give another"
            ) from error
        for part in Path(save_dir).glob(f"checkpoint*.pt{PART}"):  # of a run that was killed
            part.unlink()

    return verify_and_tidy


def save_whole() -> None:
    """Let every checkpoint appear under its name in one step; safe to call more than once."""
    if hasattr(checkpoint_utils.torch_persistent_save, "saves_whole"):
        return
    checkpoint_utils.torch_persistent_save = _saving_whole(checkpoint_utils.torch_persistent_save)
    checkpoint_utils.verify_checkpoint_directory = _verifying_clearly(
        checkpoint_utils.verify_checkpoint_directory
    )
    checkpoint_utils.PathManager = _WholeCopies
