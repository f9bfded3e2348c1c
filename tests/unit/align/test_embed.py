"""Embedding: what the encoder gives is kept, in shards, and never asked for again."""

import aligned
import numpy as np
import pytest
import tiny_encoders
from aligned import Page

from fairseq_vhm.align.articles import Reading, read_articles
from fairseq_vhm.align.embed import embed, open_store
from fairseq_vhm.align.files import find_sources
from fairseq_vhm.align.keys import KEY, key_of
from fairseq_vhm.align.settings import Embedding
from fairseq_vhm.align.store import KEYS
from fairseq_vhm.align.workers import ThisProcess
from fairseq_vhm.errors import UserError
from fairseq_vhm.text.encoders import SentenceEncoder
from preprocess.progress import Progress

SETTINGS = Embedding("cpu", batch_size=4, shard=5)


class Counting(Progress):
    """What the work says that it did."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def advance(self, count: int) -> None:
        self.counts.append(count)


@pytest.fixture
def languages(tmp_path):
    """Nine English and nine French summaries; one is in both languages, one is there twice."""
    told = [f"{tiny_encoders.WORDS[i]} fell on monday" for i in range(9)]
    pages = [Page("en", str(i), np.ones(1), summary=text) for i, text in enumerate(told)]
    pages += [Page("fr", str(i), np.ones(1), summary=f"{text} here") for i, text in enumerate(told[1:])]
    pages += [
        Page("fr", "both", np.ones(1), summary=told[0]),
        Page("en", "twice", np.ones(1), summary=told[3]),
    ]
    data = aligned.write(tmp_path / "data", pages)
    return read_articles(find_sources([data], {}), Reading(), aligned.QUIET)


def embedded(model, cache, languages, settings=SETTINGS):
    store, progress = open_store(model, cache, settings), Counting()
    total = embed(languages, store, model, settings, ThisProcess(), progress)
    assert sum(progress.counts) == total
    return store, progress.counts


def test_what_is_kept_is_what_the_encoder_gives(model, tmp_path, languages):
    store, counts = embedded(model, tmp_path / "cache", languages)
    assert counts == [5, 4, 5, 3]  # shards of one language each; the text of both languages once
    encoder = SentenceEncoder(model, "cpu", 3)
    for articles in languages:
        texts = [article.summary for article in articles.read(range(len(articles)))]
        np.testing.assert_allclose(store.gather(articles.summary), encoder.encode(texts), atol=1e-6)


def test_nothing_is_embedded_twice_and_a_lost_shard_alone_is_made_again(model, tmp_path, languages):
    store, _ = embedded(model, tmp_path / "cache", languages)
    before = aligned.tree(store.folder)
    assert embedded(model, tmp_path / "cache", languages)[1] == []
    lost = next(path for path in sorted(store.folder.glob(f"*{KEYS}")) if len(np.load(path)) == 3)
    lost.unlink()
    assert embedded(model, tmp_path / "cache", languages)[1] == [3]
    assert aligned.tree(store.folder) == before


def test_another_model_or_precision_is_another_store(model, tmp_path, languages):
    other = tiny_encoders.sentence_transformer(tmp_path / "other", seed=1)
    embedded(model, tmp_path / "cache", languages)
    assert sum(embedded(other, tmp_path / "cache", languages)[1]) == 17
    half = Embedding("cpu", 4, "float16", 5)
    store, counts = embedded(model, tmp_path / "cache", languages, half)
    assert sum(counts) == 17
    key = np.array([key_of("the fell on monday")], KEY)
    assert store.gather(key).dtype == np.float32 and len(store.missing(key)) == 0


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"shard": 0}, {"precision": "int8"}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UserError, match="^--"):
        Embedding(**settings)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="--labse .*give a folder of a sentence-transformers model"):
        open_store(tmp_path, tmp_path / "cache", SETTINGS)
