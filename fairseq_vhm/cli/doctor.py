"""``vhm doctor``: what is installed here, and what is missing; what a run needs; see ``docs/plan.md``."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli.commands import is_given
from fairseq_vhm.cli.options import option
from fairseq_vhm.cli.terminal import present
from fairseq_vhm.doctor import as_json, as_text, examine, healthy
from fairseq_vhm.planning.devices import DEFAULT, DEVICES, UTILISATION

_PLAN = "Plan"
CONTEXT = {"ignore_unknown_options": True}  # those of fairseq-train
GPUS = (1, 8)
MEASURED = 3


def command(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA] [FLAGS]",
            help="With --plan: prepared data, or TASK=NUMBER or TASK=SOURCE,TARGET (aligned files) for cls,"
            " mt and ms; then flags of fairseq-train.",
        ),
    ] = None,
    plan: Annotated[
        bool, option("Disk, memory and time that a training run needs.", "--plan", panel=_PLAN)
    ] = False,
    pairs: Annotated[
        list[str] | None, option("Pairs of tasks without DATA: cls=1.7M,mt=2.1M.", "--pairs", panel=_PLAN)
    ] = None,
    lengths: Annotated[
        list[str] | None, option("Mean tokens of these, EOS included: cls=100:20,mt=30:30.", panel=_PLAN)
    ] = None,
    vocab_size: Annotated[
        int | None, option("Symbols of the dictionary without DATA, tags included.", min=16, panel=_PLAN)
    ] = None,
    spm: Annotated[
        Path | None, option("Count the pieces of this SentencePiece model in files.", "--spm", panel=_PLAN)
    ] = None,
    gpu: Annotated[
        list[str] | None,
        option("GPU to give the time for; may be repeated.", values=DEVICES, panel=_PLAN),
    ] = None,
    gpus: Annotated[
        list[int] | None, option("How many of them; may be repeated.", min=1, panel=_PLAN)
    ] = None,
    utilisation: Annotated[
        float, option("Share of a GPU's published rate that training reaches.", panel=_PLAN)
    ] = UTILISATION,
    measured_updates: Annotated[
        int, option("Updates of DATA measured on this CPU; 0: none.", min=0, panel=_PLAN)
    ] = MEASURED,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """What is installed here, and what is missing; exit status 1 if a required part is.

    With --plan: what a training run needs, given the flags that fairseq-train will get.

    Examples:
        vhm doctor
        vhm doctor --json
        vhm doctor --plan DATA --arch vhm_transformer --max-tokens 4096 --max-update 800000
        vhm doctor --plan --pairs cls=1.7M,mt=2.1M,ms=1.7M --lengths cls=100:20,mt=30:30,ms=100:20 \\
            --vocab-size 69090 --max-tokens 4096 --max-update 800000 --gpu a100
    """
    if not plan:
        _refuse_options_of_plans(ctx)
        checks = list(examine())
        present(as_json(checks), as_text(checks), json, quiet, in_files=False)
        raise typer.Exit(0 if healthy(checks) else 1)
    names = gpu or [DEFAULT]
    sizes = (pairs or [], lengths or [], vocab_size, spm)
    _plan(words or [], (*sizes, names, gpus or list(GPUS), utilisation, measured_updates), quiet, json)


def _refuse_options_of_plans(ctx: typer.Context) -> None:
    for name in ctx.params:
        if name not in ("plan", "quiet", "json") and is_given(ctx, name):
            given = " ".join(ctx.params["words"]) if name == "words" else f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{given}: goes with --plan only")


def _plan(words: list[str], settings: tuple, quiet: bool, json: Path | None) -> None:
    import fairseq_vhm

    fairseq_vhm.register()
    logging.disable(logging.INFO)
    from fairseq_vhm.planning.plan import make_plan
    from fairseq_vhm.planning.request import Settings, wanted_of
    from fairseq_vhm.planning.run import WrongFlags
    from preprocess.progress import show_progress

    try:
        with show_progress(quiet) as progress:
            progress.stage("reading")
            wanted = wanted_of(words, Settings(*settings))
            progress.stage("counting")
            made = make_plan(wanted)
    except WrongFlags as error:
        raise typer.BadParameter(str(error)) from error
    tables = "\n\n".join(table.plain() for table in made.tables())
    present(made.as_json(), "\n".join([tables, "", *made.remarks()]), json, quiet, in_files=False)
