"""A run of ``vhm prepare trio`` or ``crosssum``: from settings and input files to a folder and its manifest.

``OUT/manifest.json`` holds how the folder was made, and the hashes of what went in and what came out.  Its
``fingerprint`` is a hash of all that the result depends on, so that a repeated command sees that nothing is
left to do.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairseq_vhm.errors import unwritable
from fairseq_vhm.text.segment import MANIFEST_NAME
from preprocess.manifest import describe_files, tool_versions
from preprocess.progress import Progress
from preprocess.workspace import Workspace, finished, write_json

FINDINGS_NAME = "findings.txt"


@dataclass(frozen=True)
class Recipe:
    """How a folder is made.

    Args:
        settings: a dataclass; with the inputs' contents all that the result depends on.
        inputs: the files that are read.
        form: what kind of folder it is; the last part is its version, the manifest's ``format``.
        intermediate: folders of the workspace that are not kept.
        make: does the work and returns the manifest's account of it.
    """

    settings: Any
    inputs: Sequence[Path]
    form: tuple[str | int, ...]
    intermediate: tuple[str, ...]
    make: Callable[[Workspace], dict]

    def fingerprint(self, inputs: list[dict]) -> str:
        """Hash of everything that the result depends on."""
        contents = [entry["sha256"] for entry in inputs]
        made_from = json.dumps([*self.form, asdict(self.settings), contents], sort_keys=True)
        return hashlib.sha256(made_from.encode()).hexdigest()


def run(recipe: Recipe, out: Path, overwrite: bool, progress: Progress) -> tuple[dict, bool]:
    """Prepare ``out``; returns its manifest and whether anything had to be done.

    Raises:
        UserError: anything wrong with the inputs or ``out``.
    """
    out = Path(os.path.abspath(out))  # so that "." has a name
    progress.stage("hash the inputs")
    inputs = describe_files(recipe.inputs)
    fingerprint = recipe.fingerprint(inputs)
    work = Workspace(out, fingerprint, progress)
    with _writing(out), work.locked():
        if manifest := finished(out, fingerprint, overwrite):
            return manifest, False
        with work.building():
            made = recipe.make(work)
            return _publish(work, recipe, fingerprint, inputs, made), True


def _publish(work: Workspace, recipe: Recipe, fingerprint: str, inputs: list[dict], made: dict) -> dict:
    """Write the manifest and give the folder its name."""
    manifest = {
        "format": recipe.form[-1],
        "fingerprint": fingerprint,
        "settings": asdict(recipe.settings),
        **made,
        "inputs": inputs,
        "outputs": work.outputs(leave_out=recipe.intermediate),
        "versions": tool_versions(),
    }
    write_json(manifest, work.path(MANIFEST_NAME))
    work.publish(leave_out=recipe.intermediate)
    return manifest


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """What the system refuses while ``out`` is made, as one line with the remedy."""
    try:
        yield
    except OSError as error:
        goes_on = "repeat the command, which goes on where it stopped"
        raise unwritable(out, error, goes_on, at=error.filename) from error
