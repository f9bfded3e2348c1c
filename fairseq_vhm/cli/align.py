"""``vhm align``: aligned articles across languages, from XL-Sum's files; see ``docs/align.md``."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fairseq_vhm.align import settings as defaults
from fairseq_vhm.align.settings import Embedding, Pairing, Searching, Splitting
from fairseq_vhm.cli.options import DeviceName
from preprocess.progress import show_progress

_IN, _PAIRS, _SPLITS, _MODEL, _SEARCH, _RUN = "Articles", "Pairs", "Splits", "Embeddings", "Search", "Run"


def _choice(name: str, values: tuple[str, ...]) -> type[StrEnum]:
    return StrEnum(name, {value: value for value in values})


Match = _choice("Match", defaults.MATCHES)
Conflict = _choice("Conflict", defaults.CONFLICTS)
Precision = _choice("Precision", defaults.PRECISIONS)
Index = _choice("Index", defaults.INDEXES)
Form = _choice("Form", defaults.FORMS)
OnError = _choice("OnError", defaults.ON_ERROR)


def _option(panel: str, help_text: str, *names: str, **more: Any) -> typer.models.OptionInfo:
    return typer.Option(*names, help=help_text, rich_help_panel=panel, **more)


_SHARED = "Least cosine of two pages that share an image or other identical content."


def command(
    inputs: Annotated[list[Path], typer.Argument(help="Files LANG_SPLIT.jsonl, or folders of them.")],
    labse: Annotated[Path, _option(_MODEL, "Folder of LaBSE.")],
    out: Annotated[Path, _option(_RUN, "Folder to make.")],
    lang: Annotated[
        list[str] | None, _option(_IN, "Language of a file whose name does not tell.", metavar="FILE=CODE")
    ] = None,
    on_error: Annotated[OnError, _option(_IN, "What to do with wrong lines.")] = OnError.stop,
    threshold: Annotated[float, _option(_PAIRS, "Least cosine of two summaries.")] = defaults.THRESHOLD,
    shared_threshold: Annotated[float, _option(_PAIRS, _SHARED)] = defaults.SHARED_THRESHOLD,
    match: Annotated[
        Match, _option(_PAIRS, "Each is the other's nearest, or one is the other's.")
    ] = Match.mutual,
    induced: Annotated[
        bool, _option(_PAIRS, "Also pairs that only a chain of pairs joins.", "--induced")
    ] = False,
    induced_threshold: Annotated[
        float, _option(_PAIRS, "Least cosine of these.")
    ] = defaults.INDUCED_THRESHOLD,
    largest_group: Annotated[
        int, _option(_PAIRS, "Articles of a group beyond which it induces no pairs.")
    ] = defaults.LARGEST_GROUP,
    common_image: Annotated[
        int, _option(_PAIRS, "Pages of one language beyond which an image is a logo, and ignored.")
    ] = defaults.COMMON_IMAGE,
    conflict: Annotated[
        Conflict, _option(_SPLITS, "Articles whose own split is not that of the articles they are joined to.")
    ] = Conflict.drop,
    valid_share: Annotated[float, _option(_SPLITS, "Of articles without a split.")] = defaults.VALID_SHARE,
    test_share: Annotated[float, _option(_SPLITS, "Of articles without a split.")] = defaults.TEST_SHARE,
    device: Annotated[DeviceName, _option(_MODEL, "Where the model runs.")] = DeviceName.auto,
    batch_size: Annotated[int, _option(_MODEL, "Summaries at a time.")] = defaults.BATCH_SIZE,
    shard: Annotated[int, _option(_MODEL, "Summaries embedded and kept at a time.")] = defaults.SHARD,
    precision: Annotated[Precision, _option(_MODEL, "Of the vectors kept.")] = Precision.float32,
    cache: Annotated[
        Path | None, _option(_MODEL, "Folder that keeps embeddings and searches (default: OUT.cache).")
    ] = None,
    index: Annotated[Index, _option(_SEARCH, "Compare all, or within FAISS's IVF lists.")] = Index.exact,
    nlist: Annotated[int, _option(_SEARCH, "Lists of ivf; 0: 4 x the root of the summaries.")] = 0,
    nprobe: Annotated[int, _option(_SEARCH, "Lists that ivf looks into.")] = defaults.PROBES,
    form: Annotated[
        Form, _option(_RUN, "Pairs with their texts, as CrossSum has them, or an index only.")
    ] = Form.text,
    own: Annotated[bool, _option(_RUN, "Also each article with its own summary.")] = True,
    ray: Annotated[
        str | None, _option(_RUN, "Work on a Ray cluster: its address, or local.", metavar="ADDRESS")
    ] = None,
    overwrite: Annotated[bool, _option(_RUN, "Replace an earlier run's OUT.", "--overwrite")] = False,
    quiet: Annotated[bool, _option(_RUN, "No progress.", "--quiet")] = False,
    as_json: Annotated[bool, _option(_RUN, "Print the report as JSON.", "--json")] = False,
) -> None:
    """Find articles of several languages that tell the same story, and split them without leaks.

    A stopped run goes on when the command is repeated. Example: vhm align XLSUM --labse LaBSE --out aligned
    """
    from fairseq_vhm.align.files import parse_languages
    from fairseq_vhm.align.run import Request, align

    request = Request(
        tuple(inputs),
        labse,
        out,
        cache,
        parse_languages(lang or ()),
        Pairing(
            threshold, shared_threshold, match.value, induced, induced_threshold, largest_group, common_image
        ),
        Splitting(conflict.value, valid_share, test_share),
        Embedding(device.value, batch_size, precision.value, shard),
        Searching(index.value, nlist, nprobe),
        form.value,
        own,
        on_error.value,
        overwrite,
        ray,
    )
    with show_progress(quiet) as progress:
        report = align(request, progress)
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
        return
    print("\n\n".join(table.plain() for table in report.tables()[:2]))
    print(f"\n{out}: pairs.tsv, splits.tsv, report.md" + (", pairs/" if form == Form.text else ""))
