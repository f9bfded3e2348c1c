"""``vhm compare``: is one output better than another beyond chance; see ``docs/metrics.md``."""

from collections.abc import Callable
from typing import Annotated

from fairseq_vhm.cli import options
from fairseq_vhm.cli import score_options as scores
from fairseq_vhm.cli.options import option
from fairseq_vhm.cli.terminal import present, warn
from fairseq_vhm.files import check_folder, write_text
from fairseq_vhm.metrics.averages import notes
from fairseq_vhm.metrics.comparison import (
    as_latex,
    comparison_json,
    differences_table,
    oddities,
    scores_table,
    signatures,
)
from fairseq_vhm.metrics.evaluation import evaluate, metric_names
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
from fairseq_vhm.text.encoders import BATCH_SIZE
from preprocess.progress import Progress, show_progress


def command(
    hyp: Annotated[list[str], option("Outputs of a system; twice or more.", metavar="[NAME=]FILE")],
    ref: scores.References,
    lang: scores.Language,
    baseline: Annotated[
        str | None, option("Compare with this one; else with the first.", metavar="NAME")
    ] = None,
    all_pairs: Annotated[
        bool, option("Compare the other systems with each other too.", "--all-pairs")
    ] = False,
    metrics: Annotated[str, scores.metrics("rouge")] = "rouge",
    test: scores.Testing = "both",
    correction: scores.Correcting = CORRECTION,
    resamples: Annotated[int, option("Of the bootstrap.")] = RESAMPLES,
    seed: options.Seed = SEED,
    alpha: scores.Alpha = ALPHA,
    src: scores.Sources = None,
    post_process: scores.Joining = "none",
    swap_roles: scores.Swapping = False,
    multi_ref: scores.Combining = "best",
    official: scores.Official = False,
    latex: options.Latex = None,
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
    """Outputs of two or more systems: differences, their intervals, and paired tests of them.

    Examples:
        vhm compare --hyp VHM=vhm.log --hyp MT-MS-CLS=base.log --ref test.zh --lang zh
        vhm compare --hyp a.txt --hyp b.txt --ref ref.txt --lang en --metrics rouge,bleu --latex table.tex
    """
    settings = Settings(test, correction, resamples, seed, alpha)
    names = metric_names(metrics)
    given = Given(src, encoder, encoder_layer, labse, lid, device, batch_size, cache)
    if latex is not None:
        check_folder(latex, "--latex")
    files = named_files(hyp, "--hyp")
    baseline = baseline or next(iter(files))
    check_systems(files, baseline)
    resources = Resources(names, given)
    outputs, references = read_systems(files, ref, lang, post_process)
    if src is not None:
        resources.sources = read_sources(src, len(references), ref[0])
    for oddity in oddities(outputs, references, lang):
        warn(oddity)
    with show_progress(quiet) as progress:
        systems = {
            name: evaluate(
                texts,
                references,
                lang,
                names,
                swap_roles,
                multi_ref,
                official,
                track=_tracking(progress, name),
                resources=resources,
            )
            for name, texts in outputs.items()
        }
        comparisons = compare(
            systems, baseline, settings, all_pairs, lambda things: progress.track(things, "testing")
        )
    for name, scored in systems.items():
        for note in notes(scored):
            warn(f"{name}: {note}")
    tables = [
        scores_table(systems, comparisons, baseline, settings),
        differences_table(comparisons, settings),
    ]
    shown = "\n\n".join(table.plain() for table in tables)
    document = comparison_json(systems, comparisons, baseline, settings)
    present(document, "\n".join([shown, *signatures(comparisons)]), json, quiet, in_files=latex is not None)
    if latex is not None:
        write_text(latex, as_latex(tables, comparisons))


def _tracking(progress: Progress, system: str) -> Callable:
    """Progress of one system's scores."""
    return lambda things, what: progress.track(things, f"{what} of {system}")
