"""The store of vectors: what is kept is found, what is damaged is missing, a cosine is one number."""

import pickle

import numpy as np
import pytest

from fairseq_vhm.align.keys import KEY
from fairseq_vhm.align.store import BLOCK, KEYS, VECTORS, VectorStore
from fairseq_vhm.errors import UserError


@pytest.fixture
def rows():
    draw = np.random.default_rng(4)
    return draw.permutation(500).astype(KEY), draw.normal(size=(500, 12))


@pytest.fixture
def store(rows, tmp_path):
    store = VectorStore(tmp_path / "model", "float32")
    for part in np.split(np.arange(500), [120, 130]):
        store.write(rows[0][part], rows[1][part].astype(np.float32))
    return store


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_come_back_at_unit_length_in_the_order_asked(store, rows):
    order = np.random.default_rng(5).integers(0, 500, 900)
    found = store.gather(rows[0][order])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, unit(rows[1])[order], atol=1e-6)


def test_half_precision_halves_the_disk_and_keeps_cosines_to_three_digits(store, rows, tmp_path):
    half = VectorStore(tmp_path / "model", "float16")
    half.write(rows[0], rows[1])
    bytes_of = [sum(p.stat().st_size for p in s.folder.glob(f"*{VECTORS}")) for s in (store, half)]
    assert bytes_of[1] < 0.55 * bytes_of[0]
    pairs = rows[0][:400], rows[0][100:]
    np.testing.assert_allclose(half.cosines(*pairs), store.cosines(*pairs), atol=1e-3)
    np.testing.assert_allclose(half.cosines(rows[0], rows[0]), 1, atol=1e-6)


def test_a_cosine_does_not_depend_on_the_order_of_the_two_nor_on_its_neighbours(store, rows):
    first, second = rows[0][:300], rows[0][200:]
    together = store.cosines(first, second)
    np.testing.assert_array_equal(together, store.cosines(second, first))
    alone = [store.cosines(first[i : i + 1], second[i : i + 1])[0] for i in range(0, 300, 37)]
    np.testing.assert_array_equal(together[::37], alone)
    expected = (unit(rows[1])[:300] * unit(rows[1])[200:]).sum(axis=1)
    np.testing.assert_allclose(together, expected, atol=1e-6)


def test_cosines_of_more_pairs_than_a_block_are_those_of_the_pairs(store, rows):
    draw = np.random.default_rng(6).integers(0, 500, (2, BLOCK + 5))
    found = store.cosines(rows[0][draw[0]], rows[0][draw[1]])
    expected = np.einsum("nd,nd->n", unit(rows[1])[draw[0]], unit(rows[1])[draw[1]])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_only_what_no_shard_holds_is_missing(store):
    asked = np.array([3, 1000, 499, 2000], dtype=KEY)
    assert store.missing(asked).tolist() == [1000, 2000]
    assert VectorStore(store.folder.parent, "float16").missing(asked).tolist() == asked.tolist()


@pytest.mark.parametrize("kind", [KEYS, VECTORS])
def test_a_damaged_shard_counts_as_missing(store, rows, kind):
    path = sorted(store.folder.glob(f"*{kind}"))[0]
    keys = np.load(str(path).removesuffix(kind) + KEYS)
    path.write_bytes(path.read_bytes()[:-9])
    store.refresh()
    assert sorted(store.missing(rows[0])) == sorted(keys)


def test_a_shard_whose_keys_were_not_written_yet_counts_as_missing(store, rows):
    sorted(store.folder.glob(f"*{KEYS}"))[0].unlink()
    store.refresh()
    assert len(store.missing(rows[0])) in (120, 10, 370)


def test_what_another_process_wrote_is_found_and_what_nobody_wrote_is_an_error(store, rows):
    assert not len(store.missing(rows[0]))
    VectorStore(store.folder.parent, "float32").write(np.array([7000], KEY), np.ones((1, 12)))
    assert store.gather(np.array([7000], KEY)).shape == (1, 12)
    with pytest.raises(UserError, match="embeddings are missing; run again"):
        store.gather(np.array([7001], KEY))


def test_a_store_travels_to_other_processes_without_what_it_has_read(store, rows):
    store.gather(rows[0])
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).gather(rows[0]), store.gather(rows[0]))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_vectors_that_are_no_directions_are_refused(store, value):
    with pytest.raises(UserError, match="no numbers or zero"):
        store.write(np.array([9], KEY), np.full((1, 12), value))
