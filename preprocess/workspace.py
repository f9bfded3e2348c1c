"""The folder that a run builds in, so that it can be interrupted, repeated and never half-visible.

A run builds in ``.NAME.partial`` beside its output ``NAME`` and marks every finished stage; a run
that is repeated goes on after the last mark, and the whole appears under its name with one rename.
What was built from other settings or inputs is thrown away.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import beside, indented, parse_json
from fairseq_vhm.text.segment import MANIFEST_NAME
from preprocess.manifest import hash_tree
from preprocess.progress import Progress

_FINGERPRINT = "fingerprint"
_STAGES = "stages"


def finished(out: Path, fingerprint: str, overwrite: bool) -> dict | None:
    """The manifest of ``out`` if it already is, whole, what a run with this fingerprint makes.

    Raises:
        UserError: ``out`` is something else and may not be replaced.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    manifest = _read_manifest(out)
    if manifest.get(_FINGERPRINT) == fingerprint:
        whole = all(os.path.isfile(out / name) for name in manifest["outputs"])
        return manifest if whole else None
    if not overwrite:
        raise UserError(
            f"{out}: was prepared from other settings or inputs; choose another folder,"
            " or replace it with --overwrite"
        )
    return None


def _read_manifest(out: Path) -> dict:
    try:
        manifest = parse_json((out / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("outputs"), dict):
        raise UserError(f"{out}: exists and was not made by `vhm prepare`; choose another folder")
    return manifest


class Workspace:
    """The partial folder of one run."""

    def __init__(self, out: Path, fingerprint: str, progress: Progress) -> None:
        self.out = out
        self.folder = out.parent / f".{out.name}.partial"
        self.progress = progress
        self._fingerprint = fingerprint

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the output for this run alone; waits for another run, and says so.

        Processes that a run starts inherit the lock (:attr:`lock`), so that what a killed run left
        behind cannot write into the folder of the next.
        """
        self.out.parent.mkdir(parents=True, exist_ok=True)
        path = self.out.parent / f".{self.out.name}.lock"
        self.lock = _lock(path, lambda: self.progress.stage(f"wait for another run on {self.out}"))
        try:
            yield
        finally:
            path.unlink()
            os.close(self.lock)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Go on with what an interrupted run left, or begin anew if that was another run.

        A mistake of the user's leaves nothing behind: to mend it is to make another run.
        """
        mark = self.folder / _FINGERPRINT
        if not mark.exists() or mark.read_text(encoding="utf-8") != self._fingerprint:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            mark.write_text(self._fingerprint, encoding="utf-8")
        try:
            yield
        except UserError:
            shutil.rmtree(self.folder)
            raise

    def path(self, *names: str) -> Path:
        """A path in the partial folder, whose parent exists."""
        path = self.folder.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def stage(self, name: str, work: Callable[[], dict], total: int | None = None) -> dict:
        """The result of ``work``, done now or found as an interrupted run left it.

        ``total`` is the number of texts that the work reports to :attr:`progress`, if known.
        """
        mark = self.path(_STAGES, f"{name}.json")
        if not mark.exists():
            self.progress.stage(name, total)
            write_json(work(), mark)
        return parse_json(mark.read_text(encoding="utf-8"))

    def outputs(self, leave_out: tuple[str, ...]) -> dict[str, str]:
        """Hash of every file that :meth:`publish` will keep, by its relative path."""
        return hash_tree(self.folder, ignore=(MANIFEST_NAME, _FINGERPRINT, _STAGES, *leave_out))

    def publish(self, leave_out: tuple[str, ...]) -> None:
        """Drop intermediate folders and give the rest its name in one step."""
        (self.folder / _FINGERPRINT).unlink()
        for name in (_STAGES, *leave_out):
            shutil.rmtree(self.folder / name)
        replaced = self.out.parent / f".{self.out.name}.replaced"
        shutil.rmtree(replaced, ignore_errors=True)
        if self.out.exists():
            os.replace(self.out, replaced)
        os.replace(self.folder, self.out)
        shutil.rmtree(replaced, ignore_errors=True)


def _lock(path: Path, on_wait: Callable[[], None]) -> int:
    """Descriptor of ``path`` with an exclusive lock on it; the holder may remove the file."""
    while True:
        held = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(held, fcntl.LOCK_EX)
        if path.exists() and os.path.samestat(path.stat(), os.fstat(held)):
            return held
        os.close(held)  # a run that has ended removed the file that was waited for


def write_json(value: dict, path: Path) -> None:
    """Write a JSON file whole or not at all.

    Raises:
        OSError: and no :class:`UserError`, at which :meth:`Workspace.building` drops what is finished.
    """
    with beside(path) as part:
        part.write_bytes(indented(value))
