"""Readers of ``vhm align``: articles, and what it keeps for another start."""

import contextlib
from pathlib import Path

import numpy as np

from fairseq_vhm.align.articles import Reading, read_articles
from fairseq_vhm.align.files import find_sources
from fairseq_vhm.align.folder import check_out
from fairseq_vhm.align.identical import shared_content
from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.search import Searches
from fairseq_vhm.align.settings import Searching
from fairseq_vhm.align.store import VectorStore
from fairseq_vhm.text.embedding_cache import EmbeddingFolder
from fuzzing.cases import (
    QUIET,
    crosssum_row,
    drain,
    files_of,
    one,
    reader,
    rows,
)


def write_articles(folder: Path) -> None:
    for language in ("en", "bn"):
        records = [crosssum_row(n, images=["a.png"], identical=[f"p{n}"]) for n in range(3)]
        (folder / f"{language}_train.jsonl").write_bytes(rows(records))
    (folder / "out").mkdir()
    (folder / "out" / "report.json").write_bytes(one({"format": "vhm align 1"}))


@reader("articles", "align", files_of(write_articles))
def read_xlsum(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (folder / "out" / "report.json").rename(folder / "report.json")
    languages = read_articles(find_sources([folder], {}), Reading("drop"), QUIET)
    for articles in languages:
        drain(articles.read(range(len(articles))))
    nodes = Nodes(languages)
    shared_content(nodes, 2)
    drain(nodes.url(number) for number in range(len(nodes.article_language)))
    check_out(folder, overwrite=True, settings={})


KEYS_OF_SHARD = np.array([3, 5, 8], np.uint64)


def write_shards(folder: Path) -> None:
    store = VectorStore(folder / "model", "float32")
    store.write(KEYS_OF_SHARD, np.eye(3, 4, dtype=np.float32))
    store.write(KEYS_OF_SHARD[:2], np.eye(2, 4, dtype=np.float32))


@reader("shards", "align, resumed", files_of(write_shards))
def read_shards(folder: Path) -> None:
    store = VectorStore(folder / "model", "float32")
    if not len(store.missing(KEYS_OF_SHARD)):
        store.cosines(KEYS_OF_SHARD, KEYS_OF_SHARD[::-1])


def searches(folder: Path) -> Searches:
    store = VectorStore(folder / "model", "float32")
    return Searches(folder, store, {"en": KEYS_OF_SHARD, "bn": KEYS_OF_SHARD}, Searching())


def write_answer(folder: Path) -> None:
    searched = searches(folder)
    answer = {"target": np.zeros(3, np.int32), "cosine": np.ones(3, np.float32)}
    answer |= {"sample": np.empty(0, np.int64), "exact": np.empty(0, np.float32)}
    np.savez(folder / "en-bn.npz", mark=np.array(searched._mark("en", "bn")), **answer)


@reader("answers of searches", "align, resumed", files_of(write_answer))
def read_answers(folder: Path) -> None:
    searches(folder).read("en", "bn")


def write_embedding(folder: Path) -> None:
    EmbeddingFolder(folder, "model").put("a text", np.ones(4, np.float32))


@reader("embeddings kept", "score --cache", files_of(write_embedding))
def read_embedding(folder: Path) -> None:
    EmbeddingFolder(folder, "model").get("a text")
