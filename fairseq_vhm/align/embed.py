"""LaBSE embeddings (Feng et al., ACL 2022) of summaries that the store does not hold yet, a shard a task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_vhm.align.articles import Articles
from fairseq_vhm.align.keys import KEY
from fairseq_vhm.align.settings import Embedding
from fairseq_vhm.align.store import VectorStore
from fairseq_vhm.align.workers import Workers
from fairseq_vhm.text.encoders import SentenceEncoder

FLAG = "--labse"


@dataclass(frozen=True)
class EmbedTask:
    """Texts of one shard and all that a process needs to embed and keep them."""

    model: Path
    device: str
    batch_size: int
    store: VectorStore
    keys: np.ndarray
    texts: tuple[str, ...]


def open_store(model: Path, cache: Path, settings: Embedding) -> VectorStore:
    """The store of the vectors of ``model`` below ``cache``.

    Raises:
        UserError: ``model`` is no folder of sentence-transformers, or there is no such device.
    """
    encoder = SentenceEncoder(model, settings.device, settings.batch_size, flag=FLAG)
    return VectorStore(cache / "embeddings" / encoder.key, settings.precision)


def embed(
    languages: Sequence[Articles],
    store: VectorStore,
    model: Path,
    settings: Embedding,
    workers: Workers,
    progress: Any,
) -> int:
    """Embed every summary that ``store`` lacks, and say how many these were."""
    missing = [store.missing(np.unique(articles.summary)) for articles in languages]
    total = len(np.unique(np.concatenate(missing)))
    if total:
        progress.stage(f"embed {total:,} summaries", total)
        tasks = _tasks(languages, store, model, settings)
        for count in workers.map(embed_shard, tasks, gpu=settings.device == "cuda"):
            progress.advance(count)
        store.refresh()
        _encoder.cache_clear()
    return total


def embed_shard(task: EmbedTask) -> int:
    """Embed and keep one shard; returns the number of its texts."""
    encoder = _encoder(task.model, task.device, task.batch_size)
    task.store.write(task.keys, encoder.encode_once(task.texts))
    return len(task.texts)


def _tasks(
    languages: Sequence[Articles], store: VectorStore, model: Path, settings: Embedding
) -> Iterator[EmbedTask]:
    """Shards of distinct texts in the order of their articles, no text in two."""
    done = np.empty(0, dtype=KEY)
    for articles in languages:
        places = first_places(articles.summary)
        wanted = np.setdiff1d(store.missing(articles.summary[places]), done)
        done = np.union1d(done, wanted)
        places = places[np.isin(articles.summary[places], wanted)]
        for start in range(0, len(places), settings.shard):
            part = places[start : start + settings.shard]
            texts = tuple(article.summary for article in articles.read(part))
            yield EmbedTask(model, settings.device, settings.batch_size, store, articles.summary[part], texts)


def first_places(keys: np.ndarray) -> np.ndarray:
    """Where each key stands first, in order: one place for each distinct key."""
    return np.sort(np.unique(keys, return_index=True)[1])


@lru_cache(maxsize=1)
def _encoder(model: Path, device: str, batch_size: int) -> SentenceEncoder:
    return SentenceEncoder(model, device, batch_size, flag=FLAG)
