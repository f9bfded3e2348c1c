"""Search: exact is what a slow comparison of all finds, IVF is measured against it, answers are kept."""

import numpy as np
import pytest

from fairseq_vhm.align.keys import KEY
from fairseq_vhm.align.search import Searches, build_index, is_exact, nearest
from fairseq_vhm.align.settings import Searching
from fairseq_vhm.align.store import VectorStore
from fairseq_vhm.align.workers import ThisProcess
from preprocess.progress import Progress

pytest.importorskip("faiss", reason="faiss-cpu is not installed: pip install 'fairseq-vhm[align]'")

SIZES = {"am": 70, "bn": 1, "en": 300}
EXACT = Searching()
IVF = Searching("ivf", lists=4, probes=2)


def clustered(draw, size, width=16):
    """Directions around a few centres, as topics are."""
    vectors = draw.normal(size=(8, width))[draw.integers(0, 8, size)] + 0.5 * draw.normal(size=(size, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def kept(tmp_path):
    """A store, the keys of each language in it, and its vectors."""
    draw, store = np.random.default_rng(8), VectorStore(tmp_path / "model", "float32")
    keys, vectors, start = {}, {}, 0
    for language, size in SIZES.items():
        keys[language] = np.arange(start, start + size, dtype=KEY)
        vectors[language] = clustered(draw, size)
        store.write(keys[language], vectors[language])
        start += size
    return store, keys, vectors


def searched(tmp_path, kept, settings=EXACT, name="search"):
    store, keys, _ = kept
    searches = Searches(tmp_path / name, store, keys, settings)
    return searches, searches.run(ThisProcess(), Progress())


def test_exact_search_finds_what_a_comparison_of_all_finds(tmp_path, kept):
    searches, asked = searched(tmp_path, kept)
    assert asked == 6
    for source in SIZES:
        for target in set(SIZES) - {source}:
            cosines = kept[2][source].astype(np.float64) @ kept[2][target].T.astype(np.float64)
            found = searches.read(source, target)
            np.testing.assert_array_equal(found.target, cosines.argmax(axis=1))
            np.testing.assert_allclose(found.cosine, cosines.max(axis=1), atol=1e-6)
            assert not len(found.sample)


def test_queries_and_vectors_of_several_blocks_are_one_search(tmp_path, kept, monkeypatch):
    whole, _ = searched(tmp_path, kept)
    monkeypatch.setattr("fairseq_vhm.align.search.BLOCK", 64)
    parts, _ = searched(tmp_path, kept, name="parts")
    np.testing.assert_array_equal(parts.read("am", "en").target, whole.read("am", "en").target)
    np.testing.assert_array_equal(parts.read("en", "am").cosine, whole.read("en", "am").cosine)


def test_ivf_is_held_against_the_exact_answer_and_small_languages_stay_exact(tmp_path, kept):
    searches, _ = searched(tmp_path, kept, IVF)
    assert not len(searches.read("en", "am").sample)  # 70 vectors are too few for 4 lists
    found = searches.read("am", "en")
    best = (kept[2]["am"] @ kept[2]["en"].T).max(axis=1)
    np.testing.assert_allclose(found.exact, best[found.sample], atol=1e-6)
    assert (found.cosine <= best + 1e-6).all() and (found.cosine >= best - 1e-6).mean() > 0.5


def test_ivf_that_looks_into_every_list_is_exact(tmp_path, kept):
    searches, _ = searched(tmp_path, kept, Searching("ivf", lists=4, probes=4))
    exact, _ = searched(tmp_path, kept, name="exact")
    np.testing.assert_array_equal(searches.read("am", "en").target, exact.read("am", "en").target)


def test_fewer_probes_find_no_more():
    draw = np.random.default_rng(2)
    vectors, queries = clustered(draw, 4000), clustered(draw, 300)
    best = (queries @ vectors.T).max(axis=1)
    recalls = []
    for probes in (1, 4, 32):
        index = build_index(vectors, Searching("ivf", lists=32, probes=probes))
        assert not is_exact(index)
        found = (queries * vectors[nearest(index, queries)]).sum(axis=1)
        recalls.append((found >= best - 1e-5).mean())
    assert recalls == sorted(recalls) and recalls[-1] == 1


def test_an_answer_is_not_asked_for_twice(tmp_path, kept):
    searches, _ = searched(tmp_path, kept)
    before = {path: path.stat().st_mtime_ns for path in searches.folder.glob("*.npz")}
    assert searched(tmp_path, kept)[1] == 0
    (searches.folder / "am-en.npz").unlink()
    cut = searches.folder / "bn-en.npz"
    cut.write_bytes(cut.read_bytes()[:-30])
    assert searched(tmp_path, kept)[1] == 2
    untouched = set(before) - {searches.folder / "am-en.npz", cut}
    assert all(path.stat().st_mtime_ns == before[path] for path in untouched)


def test_other_vectors_or_settings_are_asked_for_anew(tmp_path, kept):
    store, keys, vectors = kept
    searched(tmp_path, kept)
    assert searched(tmp_path, kept, IVF)[1] == 6
    fewer = {**keys, "am": keys["am"][:50]}
    assert searched(tmp_path, (store, fewer, vectors), IVF)[1] == 4  # those of Amharic


def test_the_same_search_gives_the_same_bytes(tmp_path, kept):
    first, _ = searched(tmp_path, kept, IVF)
    second, _ = searched(tmp_path, kept, IVF, name="again")
    for path in first.folder.iterdir():
        assert path.read_bytes() == (second.folder / path.name).read_bytes()
