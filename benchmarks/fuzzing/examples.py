"""The reader of ``examples/run.py``: rows, lists, scales."""

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path

from fuzzing.cases import drain, reader


def script(path: Path):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


examples_run = script(Path(__file__).parents[2] / "examples" / "run.py")


@reader(
    "row, scale, list",
    "examples/run.py",
    {
        "row.yaml": b"train:\n  arch: vhm_transformer\n  latents: none\nneeds:\n  RUN/a: vhm x RUN/a\n",
        "list.yaml": b"rows: [row.yaml]\nfractions: [0.5, 1.0]\nseeds: [1, 2]\n",
        "scale.yaml": b"source: en\ntarget: zh\ntrain: {lr: 0.1}\ngenerate: {beam: 4}\nscore: {lang: TGT}\n",
    },
)
def read_rows_and_scale(folder: Path) -> None:
    given = Namespace(
        scale=folder / "scale.yaml", rows=[folder / "list.yaml"], data=folder, out=folder / "out"
    )
    given.fractions = given.seeds = None
    try:
        for job in examples_run.jobs_of(given):
            drain(examples_run.commands(job))
    except SystemExit as error:
        if not str(error).startswith("run.py: "):
            raise
