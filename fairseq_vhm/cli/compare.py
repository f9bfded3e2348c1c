"""``vhm compare``: is one output better than another beyond chance; see ``docs/metrics.md``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.files import check_folder, write_json, write_text
from fairseq_vhm.metrics.averages import notes
from fairseq_vhm.metrics.comparison import (
    as_latex,
    comparison_json,
    differences_table,
    oddities,
    scores_table,
    signatures,
)
from fairseq_vhm.metrics.evaluation import METRICS, evaluate, metric_names
from fairseq_vhm.metrics.outputs import named_files, read_sources, read_systems
from fairseq_vhm.metrics.resources import Given, Resources
from fairseq_vhm.metrics.significance import (
    ALPHA,
    CORRECTION,
    RESAMPLES,
    SEED,
    Settings,
    check_systems,
    compare,
)
from fairseq_vhm.metrics.significance import Correction as CorrectionName
from fairseq_vhm.metrics.significance import Tests as TestsName
from fairseq_vhm.text.encoders import BATCH_SIZE

Tests = StrEnum("Tests", {name: name for name in get_args(TestsName)})
Correction = StrEnum("Correction", {name: name for name in get_args(CorrectionName)})


def command(
    hyp: Annotated[
        list[str], typer.Option(metavar="[NAME=]FILE", help="Outputs of a system; twice or more.")
    ],
    ref: options.References,
    lang: options.Language,
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare with this one; else with the first.")
    ] = None,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Compare the other systems with each other too.")
    ] = False,
    metrics: Annotated[str, typer.Option(help=f"Of {','.join(METRICS)}.")] = "rouge",
    test: Annotated[Tests, typer.Option(help="Paired bootstrap, paired t-test, or both.")] = Tests.both,
    correction: Annotated[
        Correction, typer.Option(help="Of p, for several comparisons of a metric.")
    ] = Correction(CORRECTION),
    resamples: Annotated[int, typer.Option(help="Of the bootstrap.")] = RESAMPLES,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = SEED,
    alpha: Annotated[float, typer.Option(help="Level of the marks; intervals hold 1 less it.")] = ALPHA,
    src: options.Sources = None,
    post_process: options.Joining = options.PostProcessing.none,
    swap_roles: options.Swapping = False,
    multi_ref: options.Combining = options.Several.best,
    official: options.Official = False,
    json: options.Json = None,
    latex: Annotated[Path | None, typer.Option(help="Write the tables to this file.")] = None,
    encoder: options.Encoder = None,
    encoder_layer: options.EncoderLayer = None,
    labse: options.Labse = None,
    lid: options.Lid = None,
    device: options.Device = options.DeviceName.auto,
    batch_size: options.BatchSize = BATCH_SIZE,
    cache: options.Cache = None,
) -> None:
    """Outputs of two or more systems: differences, their intervals, and paired tests of them."""
    from tqdm import tqdm

    def track(things: Any, what: str = "testing") -> Any:
        return tqdm(things, desc=what, leave=False, disable=None)

    settings = Settings(test.value, correction.value, resamples, seed, alpha)
    names = metric_names(metrics)
    given = Given(src, encoder, encoder_layer, labse, lid, device.value, batch_size, cache)
    for path, flag in ((json, "--json"), (latex, "--latex")):
        if path is not None:
            check_folder(path, flag)
    files = named_files(hyp, "--hyp")
    baseline = baseline or next(iter(files))
    check_systems(files, baseline)
    resources = Resources(names, given)
    outputs, references = read_systems(files, ref, lang, post_process.value)
    if src is not None:
        resources.sources = read_sources(src, len(references), ref[0])
    for oddity in oddities(outputs, references, lang):
        print(f"vhm: warning: {oddity}", file=sys.stderr)
    systems = {
        name: evaluate(
            texts,
            references,
            lang,
            names,
            swap_roles,
            multi_ref.value,
            official,
            track=lambda things, what, name=name: track(things, f"{what} of {name}"),
            resources=resources,
        )
        for name, texts in outputs.items()
    }
    for name, scores in systems.items():
        for note in notes(scores):
            print(f"vhm: warning: {name}: {note}", file=sys.stderr)
    comparisons = compare(systems, baseline, settings, all_pairs, track)
    tables = [
        scores_table(systems, comparisons, baseline, settings),
        differences_table(comparisons, settings),
    ]
    print("\n\n".join(table.plain() for table in tables))
    print("\n".join(signatures(comparisons)))
    if json is not None:
        write_json(json, comparison_json(systems, comparisons, baseline, settings))
    if latex is not None:
        write_text(latex, as_latex(tables, comparisons))
