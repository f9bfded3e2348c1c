"""``vhm score``: outputs against references; see ``docs/metrics.md``."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli import score_options as scores
from fairseq_vhm.cli.commands import is_given
from fairseq_vhm.cli.options import option
from fairseq_vhm.cli.terminal import present, remark, warn
from fairseq_vhm.errors import UserError
from fairseq_vhm.language_pairs.offtarget import LIMIT
from fairseq_vhm.language_pairs.results import MIN_PAIR_SIZE
from fairseq_vhm.metrics.averages import notes
from fairseq_vhm.metrics.display import as_json, print_table
from fairseq_vhm.metrics.evaluation import evaluate, metric_names, possible_metrics
from fairseq_vhm.metrics.log_references import other_references
from fairseq_vhm.metrics.oddities import findings
from fairseq_vhm.metrics.outputs import read_pairs, read_sources
from fairseq_vhm.metrics.resources import Given, Resources
from fairseq_vhm.text.encoders import BATCH_SIZE
from preprocess.progress import show_progress

_MANY = "Pairs of languages"


def command(
    ctx: typer.Context,
    hyp: Annotated[Path, option("Outputs: lines or a fairseq-generate log.")],
    ref: Annotated[list[Path] | None, scores.REFERENCES] = None,
    lang: Annotated[str | None, scores.LANGUAGE] = None,
    corpus: Annotated[
        Path | None,
        option("Folder of vhm prepare crosssum, in place of --ref: scores of each pair.", panel=_MANY),
    ] = None,
    split: Annotated[str, option("Which split of --corpus.", panel=_MANY)] = "test",
    out: Annotated[
        Path | None, option("Folder for the scores of each pair and of all.", "--out", panel=_MANY)
    ] = None,
    min_pair_size: Annotated[
        int, option("Examples that a pair needs to count in means.", min=1, panel=_MANY)
    ] = MIN_PAIR_SIZE,
    off_target_limit: Annotated[
        float,
        option("Points of outputs in wrong languages, beyond references', to warn of.", min=0, panel=_MANY),
    ] = LIMIT,
    metrics: Annotated[str | None, scores.metrics("all that the given files allow")] = None,
    src: scores.Sources = None,
    post_process: scores.Joining = "none",
    swap_roles: scores.Swapping = False,
    multi_ref: scores.Combining = "best",
    official: scores.Official = False,
    encoder: scores.Encoder = None,
    encoder_layer: scores.EncoderLayer = None,
    labse: scores.Labse = None,
    lid: scores.Lid = None,
    device: scores.Device = "auto",
    batch_size: scores.BatchSize = BATCH_SIZE,
    cache: scores.Cache = None,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """ROUGE and other scores of an output: against references, or of each pair of languages of a corpus.

    Examples:
        vhm score --hyp test.log --ref DATA/text/cls.test.zh --lang zh
        vhm score --hyp output.txt --ref ref.txt --lang en --metrics rouge,bleu --json scores.json
        vhm score --hyp test.log --corpus DATA --out scores --labse LaBSE --lid lid.176.bin
    """
    given = Given(src, encoder, encoder_layer, labse, lid, device, batch_size, cache)
    if corpus is not None:
        _check_flags(ctx, without=_ONLY_FILES, beside="--corpus")
        if out is None:
            raise UserError("--corpus: give --out, a folder for the scores")
        how: dict[str, Any] = {"metrics": metrics, "post_process": post_process}
        how |= {"min_pair_size": min_pair_size, "limit": off_target_limit}
        _score_pairs(given, out, quiet, json, corpus=corpus, split=split, hyp=hyp, **how)
        return
    _check_flags(ctx, without=_ONLY_PAIRS, beside="--ref")
    if not ref or lang is None:
        raise UserError("give --ref and --lang, or --corpus to score pairs of languages")
    names = possible_metrics(lang, given) if metrics is None else metric_names(metrics)
    resources = Resources(names, given)
    outputs, references = read_pairs(hyp, ref, lang, post_process)
    if src is not None:
        resources.sources = read_sources(src, len(references), ref[0])
    for finding in (*other_references(hyp, references), *findings(outputs, references, lang)):
        warn(finding)
    if official:
        remark("running ROUGE-1.5.5.pl, a minute for some thousand pairs", quiet)
    with show_progress(quiet) as progress:
        scored = evaluate(
            outputs,
            references,
            lang,
            names,
            swap_roles,
            multi_ref,
            official,
            track=progress.track,
            resources=resources,
        )
    for note in notes(scored):
        warn(note)
    show = partial(print_table, scored, len(outputs), terminal=sys.stdout.isatty())
    present(as_json(scored, len(outputs)), show, json, quiet, in_files=False)


_ONLY_FILES = ("ref", "lang", "src", "swap_roles", "multi_ref", "official")
_ONLY_PAIRS = ("split", "out", "min_pair_size", "off_target_limit")


def _check_flags(ctx: typer.Context, without: tuple[str, ...], beside: str) -> None:
    """Refuse flags that would do nothing."""
    for name in without:
        if is_given(ctx, name):
            raise UserError(f"--{name.replace('_', '-')}: does nothing beside {beside}; leave it out")


def _score_pairs(given: Given, out: Path, quiet: bool, json: Path | None, **settings: Any) -> None:
    from fairseq_vhm.language_pairs.evaluation import Settings, evaluate_split

    with show_progress(quiet) as progress:
        found = evaluate_split(Settings(out=out, **settings), given, progress.track)
    found.write()
    for note in found.remarks:
        warn(note)
    if found.warning:
        warn(found.warning)
    shown = [f"{table.title}\n\n{table.plain()}\n" for table in found.tables()]
    files = f"scores.SRC-TGT.json of {len(found.pairs)} pairs, scores.pairs.json, scores.pairs.md"
    present(found.as_json(), "\n".join([*shown, f"{out}: {files}"]), json, quiet)
