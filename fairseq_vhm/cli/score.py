"""``vhm score``: outputs against references; see ``docs/metrics.md``."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.errors import UserError
from fairseq_vhm.files import check_folder, write_json
from fairseq_vhm.language_pairs.offtarget import LIMIT
from fairseq_vhm.language_pairs.results import MIN_PAIR_SIZE
from fairseq_vhm.metrics.averages import notes
from fairseq_vhm.metrics.display import as_json, print_table
from fairseq_vhm.metrics.evaluation import (
    METRICS,
    evaluate,
    findings,
    metric_names,
    possible_metrics,
)
from fairseq_vhm.metrics.outputs import read_pairs, read_sources
from fairseq_vhm.metrics.resources import Given, Resources
from fairseq_vhm.text.encoders import BATCH_SIZE

_MANY = "Pairs of languages"


def _of_pairs(text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=_MANY, **more)


def command(
    ctx: typer.Context,
    hyp: Annotated[Path, typer.Option(help="Outputs: lines or a fairseq-generate log.")],
    ref: options.References = None,
    lang: options.Language = None,
    corpus: Annotated[
        Path | None, _of_pairs("Folder of vhm prepare crosssum, in place of --ref: scores of each pair.")
    ] = None,
    split: Annotated[str, _of_pairs("Which split of --corpus.")] = "test",
    out: Annotated[Path | None, _of_pairs("Folder for the scores of each pair and of all.")] = None,
    min_pair_size: Annotated[
        int, _of_pairs("Examples that a pair needs to count in means.", min=1)
    ] = MIN_PAIR_SIZE,
    off_target_limit: Annotated[
        float, _of_pairs("Points of outputs in wrong languages, beyond references', to warn of.", min=0)
    ] = LIMIT,
    metrics: Annotated[
        str | None,
        typer.Option(help=f"Of {','.join(METRICS)}; else all that the given files allow."),
    ] = None,
    src: options.Sources = None,
    post_process: options.Joining = options.PostProcessing.none,
    swap_roles: options.Swapping = False,
    multi_ref: options.Combining = options.Several.best,
    official: options.Official = False,
    json: options.Json = None,
    encoder: options.Encoder = None,
    encoder_layer: options.EncoderLayer = None,
    labse: options.Labse = None,
    lid: options.Lid = None,
    device: options.Device = options.DeviceName.auto,
    batch_size: options.BatchSize = BATCH_SIZE,
    cache: options.Cache = None,
) -> None:
    """ROUGE and other scores of an output: against references, or of each pair of languages of a corpus."""
    given = Given(src, encoder, encoder_layer, labse, lid, device.value, batch_size, cache)
    if corpus is not None:
        _check_flags(ctx, without=_ONLY_FILES, beside="--corpus")
        if out is None:
            raise UserError("--corpus: give --out, a folder for the scores")
        how: dict[str, Any] = {"metrics": metrics, "post_process": post_process.value}
        how |= {"min_pair_size": min_pair_size, "limit": off_target_limit}
        _score_pairs(given, out, corpus=corpus, split=split, hyp=hyp, **how)
        return
    _check_flags(ctx, without=_ONLY_PAIRS, beside="--ref")
    if not ref or lang is None:
        raise UserError("give --ref and --lang, or --corpus to score pairs of languages")
    names = possible_metrics(lang, given) if metrics is None else metric_names(metrics)
    if json is not None:
        check_folder(json, "--json")
    resources = Resources(names, given)
    outputs, references = read_pairs(hyp, ref, lang, post_process.value)
    if src is not None:
        resources.sources = read_sources(src, len(references), ref[0])
    for finding in findings(outputs, references, lang):
        print(f"vhm: warning: {finding}", file=sys.stderr)
    if official:
        print("vhm: running ROUGE-1.5.5.pl, a minute for some thousand pairs", file=sys.stderr)
    scores = evaluate(
        outputs,
        references,
        lang,
        names,
        swap_roles,
        multi_ref.value,
        official,
        track=_track,
        resources=resources,
    )
    for note in notes(scores):
        print(f"vhm: warning: {note}", file=sys.stderr)
    print_table(scores, len(outputs), terminal=sys.stdout.isatty())
    if json is not None:
        write_json(json, as_json(scores, len(outputs)))


_ONLY_FILES = ("ref", "lang", "src", "swap_roles", "multi_ref", "official", "json")
_ONLY_PAIRS = ("split", "out", "min_pair_size", "off_target_limit")


def _check_flags(ctx: typer.Context, without: tuple[str, ...], beside: str) -> None:
    """Refuse flags that would do nothing."""
    for name in without:
        if ctx.get_parameter_source(name).name == "COMMANDLINE":
            raise UserError(f"--{name.replace('_', '-')}: does nothing beside {beside}; leave it out")


def _score_pairs(given: Given, out: Path, **settings: Any) -> None:
    from fairseq_vhm.language_pairs.evaluation import Settings, evaluate_split

    found = evaluate_split(Settings(out=out, **settings), given, _track)
    found.write()
    for remark in found.remarks:
        print(f"vhm: warning: {remark}", file=sys.stderr)
    if found.warning:
        print(f"vhm: {found.warning}", file=sys.stderr)
    for table in found.tables():
        print(f"{table.title}\n\n{table.plain()}\n")
    print(f"{out}: scores.SRC-TGT.json of {len(found.pairs)} pairs, scores.pairs.json, scores.pairs.md")


def _track(things: Iterable, what: str) -> Iterable:
    from tqdm import tqdm

    return tqdm(things, desc=what, leave=False, disable=None)
