"""The output folder of a run: chunks that are finished, what they were made from, and the texts at the end.

``OUT/settings.json`` says what a run is made of; another one is refused.  ``OUT/work/STEP/NUMBER.json``
is a chunk that a step has finished, written whole or not at all, so that a run killed at any time goes on.
``OUT/report.json`` is written last: with it the run is done.
"""

import fcntl
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import parse_json, write_json, written_whole
from fairseq_vhm.pipeline.documents import Document

_DAMAGED = "damaged; begin anew with --overwrite"
_SETTINGS, _REPORT, _LOCK, _WORK = "settings.json", "report.json", ".lock", "work"


def hash_file(path: Path) -> str:
    """SHA-256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(value: object) -> str:
    """A text that can be written."""
    if not isinstance(value, str):
        raise TypeError("no text")
    value.encode("utf-8")
    return value


def _document(kept: dict) -> Document:
    return Document(_text(kept["text"]), tuple(map(_text, kept["sentences"])))


class RunFolder:
    """``OUT`` of one run."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.work = out / _WORK

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this run alone; a mistake of the user's leaves no new folder behind,
        but for one in which a chunk is finished: a disk may have become full meanwhile.

        Raises:
            UserError: another run holds it, or it holds files that are no run's.
        """
        is_new = not self.out.exists()
        self._check_ours()
        lock = self._lock()
        try:
            yield
        except UserError:
            if is_new and not any(self.work.glob("*/*.json")):
                shutil.rmtree(self.out)
            raise
        finally:
            os.close(lock)

    def _lock(self) -> int:
        """Descriptor of the lock, which ends with the process that holds it."""
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.out / _LOCK, os.O_CREAT | os.O_RDWR, 0o666)
        except OSError as error:
            raise unwritable(f"--out {self.out}", error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise UserError(f"--out {self.out}: another run is at work there") from error
        return lock

    def _check_ours(self) -> None:
        if not self.out.exists():
            return
        names = {path.name for path in self.out.iterdir()} if self.out.is_dir() else {""}
        if names - {_LOCK, _WORK} and _SETTINGS not in names:
            raise UserError(
                f"--out {self.out}: exists and was not made by `vhm pipeline`; choose another folder"
            )

    def _forget(self) -> None:
        """Drop what an earlier run noted and finished; its texts stay until this run replaces them."""
        for name in (_REPORT, _SETTINGS):
            (self.out / name).unlink(missing_ok=True)
        for chunks in filter(Path.is_dir, self.work.iterdir()):
            shutil.rmtree(chunks)

    def claim(self, settings: dict, overwrite: bool = False) -> None:
        """Note what this run is made of, or hold it against what was noted.

        Args:
            overwrite: begin anew instead.

        Raises:
            UserError: the folder's run was made of something else; names what differs.
        """
        path = self.out / _SETTINGS
        if overwrite:
            self._forget()
        if not path.exists():
            write_json(path, settings)
            return
        try:
            noted = parse_json(path.read_text(encoding="utf-8"))
            noted = dict(noted)
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}: damaged; choose another folder, or give --overwrite") from error
        differ = [key for key in {**noted, **settings} if noted.get(key) != settings.get(key)]
        if differ:
            raise UserError(
                f"--out {self.out}: was begun with another {', '.join(differ)}; choose another folder, "
                "repeat the command as it was, or begin anew with --overwrite"
            )

    @property
    def report(self) -> dict | None:
        """The report of a run that is done, its texts being there.

        Raises:
            UserError: it is damaged, or a file of texts is gone.
        """
        path = self.out / _REPORT
        if not path.exists():
            return None
        try:
            report = dict(parse_json(path.read_text(encoding="utf-8")))
            report["counts"] = {str(name): int(count) for name, count in dict(report["counts"]).items()}
            files = [self.out / _text(name) for name in report["files"]]
        except (OSError, ValueError, LookupError, TypeError, OverflowError) as error:
            raise UserError(f"{path}: {_DAMAGED}") from error
        if gone := [file for file in files if not file.is_file()]:
            raise UserError(f"{gone[0]}: missing, though {path} says that it was written; give --overwrite")
        return report

    def has_chunk(self, step: str, number: int) -> bool:
        """Whether a step has finished a chunk."""
        return self._chunk(step, number).exists()

    def save_chunk(self, step: str, number: int, documents: list[Document], counts: Counter) -> None:
        """Keep a finished chunk and what was counted in it."""
        path = self._chunk(step, number)
        path.parent.mkdir(exist_ok=True)
        write_json(path, {"documents": [asdict(d) for d in documents], "counts": counts})

    def load_chunk(self, step: str, number: int) -> tuple[list[Document], Counter]:
        """Inverse of :meth:`save_chunk`.

        Raises:
            UserError: the chunk is not there, or damaged.
        """
        path = self._chunk(step, number)
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
            documents = [_document(one) for one in content["documents"]]
            counts = {str(name): int(count) for name, count in dict(content["counts"]).items()}
        except (OSError, ValueError, LookupError, TypeError, OverflowError) as error:
            raise UserError(f"{path}: {_DAMAGED}") from error
        return documents, Counter(counts)

    def count_chunks(self, step: str) -> int:
        """Number of chunks that a step has finished."""
        return len(list((self.work / step).glob("*.json")))

    def publish(self, step: str, name: str) -> Counter:
        """Write all texts of a step to ``OUT/NAME``, one a line; what its chunks counted, summed up.

        Raises:
            UserError: a chunk is damaged, or the texts cannot be written.
        """
        total: Counter = Counter()
        with written_whole(self.out / name) as part, part.open("w", encoding="utf-8", newline="\n") as file:
            for number in range(self.count_chunks(step)):
                documents, counts = self.load_chunk(step, number)
                total.update(counts)
                file.writelines(document.text + "\n" for document in documents)
        return total

    def finish(self, report: dict) -> None:
        """Write the report, with which the run is done, and drop the chunks."""
        write_json(self.out / _REPORT, report)
        self.tidy()

    def tidy(self) -> None:
        """Drop what a run that is done needs no more."""
        shutil.rmtree(self.work)

    def _chunk(self, step: str, number: int) -> Path:
        return self.work / step / f"{number:06d}.json"
