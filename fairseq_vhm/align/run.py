"""The chain of ``vhm align``: read, embed, search, pair, group, split, write, report.

Embeddings and answers of searches are kept in the cache, so that a stopped run goes on, and another threshold
costs seconds; what follows them is computed anew each time.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_vhm.align.articles import Reading, read_articles
from fairseq_vhm.align.embed import FLAG, embed, open_store
from fairseq_vhm.align.figures import draw
from fairseq_vhm.align.files import find_sources
from fairseq_vhm.align.folder import REPORT, check_out, published
from fairseq_vhm.align.groups import with_induced
from fairseq_vhm.align.identical import shared_content
from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.output import write_index, write_texts
from fairseq_vhm.align.pairing import chosen, find_links
from fairseq_vhm.align.pairs import make_pairs
from fairseq_vhm.align.report import Report, count
from fairseq_vhm.align.search import Searches
from fairseq_vhm.align.settings import (
    FORMS,
    ON_ERROR,
    SPLITS,
    Embedding,
    Pairing,
    Searching,
    Splitting,
    check_choice,
)
from fairseq_vhm.align.similarity import measure
from fairseq_vhm.align.splits import assign_splits
from fairseq_vhm.align.workers import open_workers, require
from fairseq_vhm.errors import UserError
from fairseq_vhm.files import write_bytes, write_json, write_text

EXTRA = "align"


@dataclass(frozen=True)
class Request:
    """What to align, and how.

    Args:
        inputs: files and folders of XL-Sum's JSON lines.
        labse: folder of the sentence encoder.
        out: folder to make.
        cache: folder for embeddings and searches; beside ``out`` where it is ``None``.
        languages: file name -> language, where the name does not tell.
        form: ``text``: pairs as JSON lines too; ``index``: only as tables.
        own: also each article with its own summary.
        ray: address of a Ray cluster, ``local``, or ``None``.
    """

    inputs: Sequence[Path]
    labse: Path
    out: Path
    cache: Path | None = None
    languages: Mapping[str, str] = field(default_factory=dict)
    pairing: Pairing = Pairing()
    splitting: Splitting = Splitting()
    embedding: Embedding = Embedding()
    searching: Searching = Searching()
    form: str = FORMS[0]
    own: bool = True
    on_error: str = ON_ERROR[0]
    overwrite: bool = False
    ray: str | None = None

    def __post_init__(self) -> None:
        check_choice("--form", self.form, FORMS)
        check_choice("--on-error", self.on_error, ON_ERROR)

    def as_json(self) -> dict:
        """What the result depends on, the model and the inputs apart."""
        parts = ("pairing", "splitting", "searching")
        return {part: asdict(getattr(self, part)) for part in parts} | {"precision": self.embedding.precision}


def align(request: Request, progress: Any) -> Report:
    """Do it all; ``progress`` is a ``preprocess.progress.Progress``.

    Raises:
        UserError: something is wrong with the inputs, the flags or the machine; nothing is left half-written
            but the cache, with which the repeated command goes on.
    """
    if request.out.name in ("", ".."):  # what is put beside it is named after it
        request = replace(request, out=Path(os.path.realpath(request.out)))
    _check(request)
    report = find(request, progress)
    with published(request.out, request.overwrite) as folder:
        _write(folder, request, report, progress)
    return report


def find(request: Request, progress: Any) -> Report:
    """All but the writing: what is found, in memory, and a cache with which a repeated command goes on."""
    cache = request.cache or request.out.with_name(f"{request.out.name}.cache")
    store = open_store(request.labse, cache, request.embedding)
    reading = Reading(request.on_error)
    languages = read_articles(find_sources(request.inputs, request.languages), reading, progress)
    nodes = Nodes(languages)
    keys = {articles.language: nodes.keys_of(number) for number, articles in enumerate(languages)}
    searches = Searches(cache / "search", store, keys, request.searching)
    with open_workers(request.ray) as workers:
        embed(languages, store, request.labse, request.embedding, workers, progress)
        searches.run(workers, progress)
    progress.stage("pair, group, split")
    return _pair(request, nodes, searches, reading)


def _check(request: Request) -> None:
    """All that can be seen before the work begins."""
    require("sentence_transformers", EXTRA, FLAG)
    require("faiss", EXTRA, "the search")
    require("matplotlib", EXTRA, "the report")
    check_out(request.out, request.overwrite, request.as_json())
    for given in request.inputs:
        if Path(os.path.realpath(request.out)).is_relative_to(os.path.realpath(given)):
            raise UserError(
                f"--out {request.out}: lies in {given}, whose files are read; choose another folder"
            )


def _pair(request: Request, nodes: Nodes, searches: Searches, reading: Reading) -> Report:
    """Everything from the answers of the searches on."""
    pairing, store = request.pairing, searches.store
    shared = shared_content(nodes, pairing.common_image)
    cosines = store.cosines(*nodes.key[shared.pairs].T)
    every = find_links(nodes, searches, (shared.pairs, cosines), pairing)
    assignment = assign_splits(nodes, every, request.splitting)
    links, large = chosen(every, pairing.match), 0
    induced = np.zeros(len(links), dtype=bool)
    if pairing.induced:
        links, induced, large = with_induced(links, nodes, store, pairing)
    pairs = make_pairs(nodes, links, induced, assignment)
    counts = count(nodes, pairs, assignment) | {
        "groups_too_large_to_induce_pairs": large,
        "images_and_the_like": shared.contents,
        "of_these_too_common": shared.common,
        **{f"lines_left_out: {reason}": number for reason, number in sorted(reading.dropped.items())},
    }
    similarity = measure(nodes, searches, (shared.pairs, cosines), pairing)
    settings = request.as_json() | {"model": store.name}
    return Report(settings, counts, nodes, pairs, assignment, similarity)


def _write(folder: Path, request: Request, report: Report, progress: Any) -> None:
    write_index(folder, report.nodes, report.pairs, report.assignment)
    if request.form == "text":
        write_texts(folder, report.nodes, report.pairs, report.assignment, request.own, progress)
    progress.stage("draw figures")
    for figure in draw(report.directions(), report.similarity, SPLITS):
        for form in ("png", "svg"):
            write_bytes(folder / f"{figure.name}.{form}", getattr(figure, form))
    write_text(folder / "report.md", report.markdown())
    write_json(folder / REPORT, report.as_json())
