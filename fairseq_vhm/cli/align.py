"""``vhm align``: aligned articles across languages, from XL-Sum's files; see ``docs/align.md``."""

from pathlib import Path
from typing import Annotated

import typer

from fairseq_vhm.align import settings as defaults
from fairseq_vhm.align.settings import Embedding, Pairing, Searching, Splitting
from fairseq_vhm.cli import options, score_options
from fairseq_vhm.cli.options import RUN, option
from fairseq_vhm.cli.score_options import MODELS
from fairseq_vhm.cli.terminal import present
from preprocess.progress import show_progress

_IN, _PAIRS, _SPLITS, _SEARCH = "Articles", "Pairs", "Splits", "Search"


_SHARED = "Least cosine of two pages that share an image or other identical content."


def command(
    inputs: Annotated[list[Path], typer.Argument(help="Files LANG_SPLIT.jsonl, or folders of them.")],
    labse: Annotated[Path, option("Folder of LaBSE.", panel=MODELS)],
    out: options.Out,
    lang: Annotated[
        list[str] | None,
        option("Language of a file whose name does not tell.", panel=_IN, metavar="FILE=CODE"),
    ] = None,
    on_error: Annotated[
        str, option("What to do with wrong lines.", values=defaults.ON_ERROR, panel=_IN)
    ] = defaults.ON_ERROR[0],
    threshold: Annotated[float, option("Least cosine of two summaries.", panel=_PAIRS)] = defaults.THRESHOLD,
    shared_threshold: Annotated[float, option(_SHARED, panel=_PAIRS)] = defaults.SHARED_THRESHOLD,
    match: Annotated[
        str,
        option("Each is the other's nearest, or one is the other's.", values=defaults.MATCHES, panel=_PAIRS),
    ] = Pairing.match,
    induced: Annotated[
        bool, option("Also pairs that only a chain of pairs joins.", "--induced", panel=_PAIRS)
    ] = False,
    induced_threshold: Annotated[
        float, option("Least cosine of these.", panel=_PAIRS)
    ] = defaults.INDUCED_THRESHOLD,
    largest_group: Annotated[
        int, option("Articles of a group beyond which it induces no pairs.", panel=_PAIRS)
    ] = defaults.LARGEST_GROUP,
    common_image: Annotated[
        int, option("Pages of one language beyond which an image is a logo, and ignored.", panel=_PAIRS)
    ] = defaults.COMMON_IMAGE,
    conflict: Annotated[
        str,
        option(
            "Articles whose own split is not that of the articles they are joined to.",
            values=defaults.CONFLICTS,
            panel=_SPLITS,
        ),
    ] = Splitting.conflict,
    valid_share: Annotated[
        float, option("Of articles without a split.", panel=_SPLITS)
    ] = defaults.VALID_SHARE,
    test_share: Annotated[float, option("Of articles without a split.", panel=_SPLITS)] = defaults.TEST_SHARE,
    device: score_options.Device = "auto",
    batch_size: score_options.BatchSize = defaults.BATCH_SIZE,
    shard: Annotated[int, option("Summaries embedded and kept at a time.", panel=MODELS)] = defaults.SHARD,
    precision: Annotated[
        str, option("Of the vectors kept.", values=defaults.PRECISIONS, panel=MODELS)
    ] = Embedding.precision,
    cache: Annotated[
        Path | None, option("Folder that keeps embeddings and searches (default: OUT.cache).", panel=MODELS)
    ] = None,
    index: Annotated[
        str, option("Compare all, or within FAISS's IVF lists.", values=defaults.INDEXES, panel=_SEARCH)
    ] = Searching.index,
    nlist: Annotated[int, option("Lists of ivf; 0: 4 x the root of the summaries.", panel=_SEARCH)] = 0,
    nprobe: Annotated[int, option("Lists that ivf looks into.", panel=_SEARCH)] = defaults.PROBES,
    form: Annotated[
        str,
        option(
            "Pairs with their texts, as CrossSum has them, or an index only.",
            values=defaults.FORMS,
            panel=RUN,
        ),
    ] = defaults.FORMS[0],
    own: Annotated[bool, option("Also each article with its own summary.", panel=RUN)] = True,
    ray: Annotated[
        str | None, option("Work on a Ray cluster: its address, or local.", panel=RUN, metavar="ADDRESS")
    ] = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Find articles of several languages that tell the same story, and split them without leaks.

    A stopped run goes on when the command is repeated.

    Examples:
        vhm align XLSUM --labse LaBSE --out aligned
        vhm align english_train.jsonl news.jsonl --lang news.jsonl=bn --labse LaBSE --out aligned --induced
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
            threshold, shared_threshold, match, induced, induced_threshold, largest_group, common_image
        ),
        Splitting(conflict, valid_share, test_share),
        Embedding(device, batch_size, precision, shard),
        Searching(index, nlist, nprobe),
        form,
        own,
        on_error,
        overwrite,
        ray,
    )
    with show_progress(quiet) as progress:
        report = align(request, progress)
    tables = "\n\n".join(table.plain() for table in report.tables()[:2])
    files = f"{out}: pairs.tsv, splits.tsv, report.md" + (", pairs/" if form == defaults.FORMS[0] else "")
    present(report.as_json(), f"{tables}\n\n{files}", json, quiet)
