"""``vhm score``: outputs against references; see ``docs/metrics.md``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.files import check_folder, write_json
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


def command(
    hyp: Annotated[Path, typer.Option(help="Outputs: lines or a fairseq-generate log.")],
    ref: options.References,
    lang: options.Language,
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
    """ROUGE and other scores of an output against one or more references."""
    from tqdm import tqdm

    given = Given(src, encoder, encoder_layer, labse, lid, device.value, batch_size, cache)
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
        track=lambda things, what: tqdm(things, desc=what, leave=False, disable=None),
        resources=resources,
    )
    for note in notes(scores):
        print(f"vhm: warning: {note}", file=sys.stderr)
    print_table(scores, len(outputs), terminal=sys.stdout.isatty())
    if json is not None:
        write_json(json, as_json(scores, len(outputs)))
