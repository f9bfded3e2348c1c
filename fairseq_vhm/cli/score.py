"""``vhm score``: outputs against references; see ``docs/metrics.md``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import typer

from fairseq_vhm.files import check_folder, write_json
from fairseq_vhm.metrics.display import as_json, print_table
from fairseq_vhm.metrics.evaluation import METRICS, evaluate, findings, metric_names
from fairseq_vhm.metrics.outputs import PostProcess, read_pairs
from fairseq_vhm.metrics.rouge import MultiReference

PostProcessing = StrEnum("PostProcessing", {name: name for name in get_args(PostProcess)})
Several = StrEnum("Several", {name: name for name in get_args(MultiReference)})


def command(
    hyp: Annotated[Path, typer.Option(help="Outputs: lines or a fairseq-generate log.")],
    ref: Annotated[list[Path], typer.Option(help="References: lines or .jsonl; may be repeated.")],
    lang: Annotated[str, typer.Option(help="Language of both: en, zh, de, zh_CN, en_sum, ...")],
    metrics: Annotated[str, typer.Option(help="Which, separated by commas.")] = ",".join(METRICS),
    post_process: Annotated[
        PostProcessing, typer.Option(help="How pieces of the outputs are joined to words.")
    ] = PostProcessing.none,
    swap_roles: Annotated[
        bool, typer.Option("--swap-roles", help="ROUGE with output and reference exchanged.")
    ] = False,
    multi_ref: Annotated[
        Several, typer.Option(help="Of several references, the best or their mean.")
    ] = Several.best,
    official: Annotated[
        bool, typer.Option("--official", help="ROUGE by the Perl script ROUGE-1.5.5.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file.")] = None,
) -> None:
    """ROUGE, BLEU, chrF and lengths of an output against one or more references."""
    from tqdm import tqdm

    names = metric_names(metrics)
    if json is not None:
        check_folder(json, "--json")
    outputs, references = read_pairs(hyp, ref, lang, post_process.value)
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
        track=lambda pairs: tqdm(pairs, desc="rouge", leave=False, disable=None),
    )
    print_table(scores, len(outputs), terminal=sys.stdout.isatty())
    if json is not None:
        write_json(json, as_json(scores, len(outputs)))
