"""``vhm prepare``: raw corpora to prepared folders."""

import os
from pathlib import Path
from typing import Annotated

import typer

from preprocess.trio import TrioSettings, prepare_trio

app = typer.Typer(no_args_is_help=True)

_Spec = Annotated[str | None, typer.Option(metavar="FORMAT:PATH")]


@app.callback()
def prepare() -> None:
    """Turn raw corpora into folders that fairseq-train reads."""


@app.command()
def trio(
    out: Annotated[Path, typer.Argument(help="folder to make")],
    source_lang: Annotated[str, typer.Option()],
    target_lang: Annotated[str, typer.Option()],
    cls: Annotated[str, typer.Option()],
    mt: str | None = None,
    ms: str | None = None,
    vocab_size: int = TrioSettings.vocab_size,
    workers: int = len(os.sched_getaffinity(0)),
    overwrite: bool = False,
) -> None:
    specs = {t: {"train": v} for t, v in (("cls", cls), ("mt", mt), ("ms", ms)) if v}
    s = TrioSettings(source_lang, target_lang, specs, vocab_size=vocab_size)
    m, done = prepare_trio(s, out, workers, overwrite, lambda n: typer.echo(n, err=True))
    print(m["tasks"]["cls"]["train"], done)
