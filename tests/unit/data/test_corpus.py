"""A corpus of many languages reads back as it was written, is cheap to send about, refuses what is broken."""

import json
import multiprocessing
import pickle
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq.data.indexed_dataset import MMapIndexedDataset

from fairseq_vhm.data.corpus import Corpus, PairTable
from fairseq_vhm.data.corpus_writer import CorpusWriter
from fairseq_vhm.errors import UserError
from fairseq_vhm.language_codes import XLSUM, language_code

EOS = 2
LANGUAGES = ("en", "fr", "sr-latn", "zh-CN")
DICTIONARY = "".join(f"w{number} 1\n" for number in range(60))


def random_ids(rng: random.Random, most: int) -> list[int]:
    return [*(rng.randrange(4, 64) for _ in range(rng.randint(1, most))), EOS]


def write(folder: Path, dictionary: str = DICTIONARY) -> dict:
    """A random corpus; what it holds as plain lists and dicts."""
    rng = random.Random(7)
    told = {"articles": {}, "summaries": {}, "raw": {}, "own": {}, "pairs": {}}
    with CorpusWriter(folder, dictionary, "sentencepiece") as writer:
        for language in LANGUAGES:
            told["articles"][language] = [random_ids(rng, 30) for _ in range(20)]
            told["summaries"][language] = [random_ids(rng, 6) for _ in range(15)]
            told["raw"][language] = [f"résumé {language} {number} 河" for number in range(15)]
            for ids in told["articles"][language]:
                writer.add_article(language, ids)
            for ids, raw in zip(told["summaries"][language], told["raw"][language], strict=True):
                writer.add_summary(language, ids, raw)
            told["own"][language] = {number: rng.randrange(15) for number in rng.sample(range(20), 9)}
            for article, summary in told["own"][language].items():
                writer.set_own(language, article, summary)
        for split in ("train", "valid"):
            for _ in range(90):
                pair = rng.choice(LANGUAGES), rng.choice(LANGUAGES), rng.randrange(20), rng.randrange(15)
                writer.add_pair(split, *pair)
                told["pairs"].setdefault((split, *pair[:2]), []).append(pair[2:])
        writer.add_pair("test", "en", "fr", 0, 0)
    return told


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "DATA"
    return folder, write(folder)


@pytest.fixture
def copy(told, tmp_path) -> Path:
    shutil.copytree(told[0], tmp_path / "DATA")
    return tmp_path / "DATA"


def test_texts_read_back_as_written_and_as_fairseq_reads_the_files(told):
    folder, content = told
    corpus = Corpus.open(folder)
    for language in LANGUAGES:
        for kind, store_of in (("articles", corpus.articles), ("summaries", corpus.summaries)):
            store, expected = store_of(language), content[kind][language]
            theirs = MMapIndexedDataset(str(folder / "texts" / f"{kind}.{language}"))
            assert [text.tolist() for text in store] == expected == [text.tolist() for text in theirs]
            assert store.sizes.tolist() == list(map(len, expected)) == theirs.sizes.tolist()
            assert store[3].dtype == torch.int64 and store.num_tokens(3) == len(expected[3])
        assert corpus.summary_texts(language) == content["raw"][language]


@pytest.mark.parametrize("symbols", [60, 70_000])
def test_token_ids_are_as_wide_as_fairseq_preprocess_makes_them(tmp_path, symbols):
    from fairseq.data.indexed_dataset import best_fitting_int_dtype

    write(tmp_path / "DATA", "".join(f"w{number} 1\n" for number in range(symbols)))
    tokens = sum(Corpus.open(tmp_path / "DATA").articles("en").sizes)
    size = (tmp_path / "DATA" / "texts" / "articles.en.bin").stat().st_size
    assert size == tokens * np.dtype(best_fitting_int_dtype(symbols + 4)).itemsize


def test_pairs_are_grouped_by_direction_in_the_order_in_which_they_came(told):
    folder, content = told
    table = Corpus.open(folder).pairs("train")
    expected = {key[1:]: pairs for key, pairs in content["pairs"].items() if key[0] == "train"}
    assert list(table.directions) == sorted(expected)
    assert {d: list(map(tuple, table.of(d).tolist())) for d in table.directions} == expected
    assert table.counts.tolist() == [len(expected[d]) for d in table.directions]
    assert len(table) == 90 and table.of(("en", "xx")).shape == (0, 2)


def test_the_group_of_a_pair_is_that_of_its_number(told):
    table = Corpus.open(told[0]).pairs("valid")
    slow = [next(g for g in range(len(table.directions)) if n < table.offsets[g + 1]) for n in range(90)]
    assert table.group_of(np.arange(90)).tolist() == slow


def test_own_summaries_are_those_that_were_said(told):
    folder, content = told
    for language in LANGUAGES:
        own = Corpus.open(folder).own_summaries(language)
        assert {n: int(s) for n, s in enumerate(own) if s >= 0} == content["own"][language]


def test_ms_pairs_are_each_article_of_the_split_once_with_its_own_summary(told):
    folder, content = told
    derived = Corpus.open(folder).derived("valid", "ms")
    expected: dict = {}
    for (split, source, _), pairs in content["pairs"].items():
        for article, _ in pairs if split == "valid" else ():
            if article in content["own"][source]:
                expected.setdefault((source, source), set()).add((article, content["own"][source][article]))
    found = {d: list(map(tuple, derived.of(d).tolist())) for d in derived.directions}
    assert {d: set(pairs) for d, pairs in found.items()} == expected
    assert len(derived) == sum(map(len, expected.values())) and derived.sources == "articles"


def test_mt_pairs_are_the_own_summary_and_the_summary_of_a_pair_of_two_languages(told):
    folder, content = told
    derived = Corpus.open(folder).derived("train", "mt")
    expected: dict = {}
    for (split, source, target), pairs in content["pairs"].items():
        for article, summary in pairs if split == "train" and source != target else ():
            if article in content["own"][source]:
                expected.setdefault((source, target), set()).add((content["own"][source][article], summary))
    found = {d: list(map(tuple, derived.of(d).tolist())) for d in derived.directions}
    assert {d: set(pairs) for d, pairs in found.items()} == expected
    assert len(derived) == sum(map(len, expected.values())) and derived.sources == "summaries"


def test_nothing_derived_for_a_split_has_an_article_of_another_alone(told):
    """The test split has one pair: what is derived from it can be no more than that article's."""
    folder, content = told
    corpus = Corpus.open(folder)
    own = content["own"]["en"].get(0)
    assert len(corpus.derived("test", "ms")) == len(corpus.derived("test", "mt")) == (own is not None)


def test_a_corpus_its_stores_and_its_pairs_pickle_without_their_content(told):
    corpus = Corpus.open(told[0])
    before = corpus.articles("en")[0].tolist(), corpus.pairs("train").texts.tolist()
    for thing in (corpus, corpus.articles("en"), corpus.pairs("train")):
        assert len(pickle.dumps(thing)) < 2500
    again = pickle.loads(pickle.dumps(corpus))
    assert (again.articles("en")[0].tolist(), again.pairs("train").texts.tolist()) == before
    sent = pickle.loads(pickle.dumps(corpus.pairs("train")))
    assert isinstance(sent.texts, np.memmap) and sent.directions == corpus.pairs("train").directions


def test_a_table_of_a_part_of_the_pairs_pickles_as_that_part(told):
    whole = Corpus.open(told[0]).pairs("train")
    part = PairTable((("en", "fr"),), np.array([0, 5]), whole.texts[10:15])
    assert pickle.loads(pickle.dumps(part)).texts.tolist() == whole.texts[10:15].tolist()


def _total(corpus: Corpus) -> int:
    return sum(int(text.sum()) for language in corpus.languages for text in corpus.articles(language))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_process_reads_the_same_texts(told, method):
    corpus = Corpus.open(told[0])
    here = _total(corpus)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(_total, [corpus]) == [here]


def test_a_language_without_articles_is_possible(tmp_path):
    with CorpusWriter(tmp_path / "DATA", DICTIONARY, "sentencepiece", splits=("train",)) as writer:
        pair = writer.add_article("en", [5, EOS]), writer.add_summary("fr", [6, EOS], "six")
        writer.add_pair("train", "en", "fr", *pair)
    corpus = Corpus.open(tmp_path / "DATA")
    assert (len(corpus.articles("fr")), len(corpus.summaries("fr"))) == (0, 1)
    assert corpus.own_summaries("fr").tolist() == [] and len(corpus.derived("train", "mt")) == 0


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), CorpusWriter(tmp_path / "DATA", DICTIONARY, "mt5") as writer:
        writer.add_article("en", [5, EOS])
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())


def refused(folder: Path, *named: str) -> None:
    with pytest.raises(UserError) as caught:
        Corpus.open(folder)
    message = str(caught.value)
    assert all(name in message for name in named) and "\n" not in message, message
    assert "again" in message or "vhm prepare crosssum" in message, message


FILES = [
    "corpus.json",
    "dict.txt",
    "texts/articles.fr.bin",
    "texts/articles.fr.idx",
    "texts/summaries.zh-CN.bin",
    "texts/summaries.zh-CN.idx",
    "texts/summaries.sr-latn.txt",
    "texts/own.en.npy",
    "pairs/train.npy",
    "pairs/valid.json",
]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    refused(copy, name, "missing")


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".txt")])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_a_file_that_was_cut_short_is_named(copy, name, share):
    path = copy / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(copy, Path(name).name)


def test_a_folder_of_something_else_is_refused(tmp_path, toy_data):
    refused(toy_data, "corpus.json")
    refused(tmp_path / "nowhere", "corpus.json")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"format": 2}, "format 2"),
        ({"languages": ["en", "np"]}, "'np' is no language code"),
        ({"languages": ["en", "en"]}, "twice"),
        ({"languages": ["en", "de"]}, "'de'"),
        ({"segmenter": "bytes"}, "segmenter"),
    ],
)
def test_a_description_that_makes_no_sense_is_named(copy, change, named):
    path = copy / "corpus.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused(copy, "corpus.json", named)


@pytest.mark.parametrize("content", ["[]", '"corpus"', '{"languages": ["en"]}'])
def test_what_is_no_description_is_named(copy, content):
    (copy / "corpus.json").write_text(content)
    refused(copy, "corpus.json: is no description of a corpus")


def test_an_index_of_another_format_is_named(copy):
    path = copy / "texts" / "articles.fr.idx"
    path.write_bytes(b"TNTIDX\0\0" + path.read_bytes()[8:])
    refused(copy, "articles.fr.idx: no index of fairseq's memory-mapped format")


def test_lengths_that_do_not_fit_the_places_of_their_texts_are_named(copy):
    """The first text is one token longer: the file is as long, and its last text where it was."""
    path = copy / "texts" / "articles.fr.idx"
    content = bytearray(path.read_bytes())
    content[26] += 1
    path.write_bytes(content)
    refused(copy, "articles.fr.idx: lengths and places of texts disagree")


def test_a_writer_does_not_write_over_a_folder(copy):
    with pytest.raises(UserError, match="DATA: exists already; choose another folder"):
        CorpusWriter(copy, DICTIONARY, "sentencepiece")
    assert sorted(path.name for path in copy.parent.iterdir()) == ["DATA"]


def test_a_dictionary_of_another_corpus_is_named(copy):
    path = copy / "dict.txt"
    path.write_text(path.read_text().replace("w5 1", "x5 1"))
    refused(copy, "dict.txt", "is not the dictionary")


def test_texts_of_another_corpus_are_named(copy):
    for extension in ("bin", "idx"):
        shutil.copy(copy / "texts" / f"summaries.en.{extension}", copy / "texts" / f"articles.en.{extension}")
    refused(copy, "articles.en.idx", "15 texts", "20")


@pytest.mark.parametrize(("column", "number"), [(0, 20), (0, -1), (1, 15), (1, -1)])
def test_a_pair_of_a_text_that_is_not_there_is_named(copy, column, number):
    pairs = np.load(copy / "pairs" / "train.npy")
    pairs[40, column] = number
    np.save(copy / "pairs" / "train.npy", pairs)
    refused(copy, "train.npy", f"number {number}")


@pytest.mark.parametrize("number", [15, -2])
def test_an_own_summary_that_is_not_there_is_named(copy, number):
    own = np.load(copy / "texts" / "own.fr.npy")
    own[3] = number
    np.save(copy / "texts" / "own.fr.npy", own)
    refused(copy, "own.fr.npy", f"number {number}")


def test_pairs_that_are_not_as_many_as_their_groups_say_are_named(copy):
    pairs = np.load(copy / "pairs" / "train.npy")
    np.save(copy / "pairs" / "train.npy", pairs[:-1])
    refused(copy, "train.npy", "90 pairs")
    np.save(copy / "pairs" / "train.npy", pairs.astype(np.int64))
    refused(copy, "train.npy", "int64")


def test_directions_that_make_no_sense_are_named(copy):
    path = copy / "pairs" / "train.json"
    groups = json.loads(path.read_text())
    twice = {key: groups[1][key] for key in ("source", "target")}
    for change in ({"source": "de"}, {"count": 0}, twice):
        path.write_text(json.dumps([groups[0] | change, *groups[1:]]))
        refused(copy, "train.json")
    path.write_text(json.dumps([{"source": "en", "target": "fr"}]))
    refused(copy, "train.json: a group lacks source, target or count")


def test_what_a_corpus_lacks_is_named_when_it_is_asked_for(told):
    corpus = Corpus.open(told[0])
    with pytest.raises(UserError, match="en, fr, sr-latn, zh-CN"):
        corpus.articles("de")
    with pytest.raises(UserError, match="train, valid, test"):
        corpus.pairs("dev")
    with pytest.raises(UserError, match="ms, mt"):
        corpus.derived("train", "cls")


def test_summary_lines_that_are_not_as_many_as_summaries_are_named(copy):
    path = copy / "texts" / "summaries.en.txt"
    path.write_text(path.read_text() + "one more\n")
    with pytest.raises(UserError, match=re.escape("summaries.en.txt: 16 lines for 15")):
        Corpus.open(copy).summary_texts("en")


def test_an_empty_table_has_no_groups():
    table = PairTable((), np.zeros(1, np.int64), np.empty((0, 2), np.int32))
    assert (len(table), table.counts.tolist(), table.of(("en", "fr")).tolist()) == (0, [], [])


def test_xlsum_has_45_languages_with_codes_that_name_themselves():
    assert len(set(XLSUM.values())) == len(XLSUM) == 45
    assert all(language_code(code) == code == language_code(name) for name, code in XLSUM.items())


@pytest.mark.parametrize(
    ("name", "code"),
    [("np", "ne"), ("Chinese_Simplified", "zh-CN"), ("zh_cn", "zh-CN"), ("sr-Latn", "sr-latn"), ("de", "de")],
)
def test_names_and_codes_of_languages_are_read(name, code):
    assert language_code(name) == code


@pytest.mark.parametrize("name", ["xx", "klingonish", "en_XX_1", "", "e n"])
def test_what_is_no_language_is_refused(name):
    with pytest.raises(UserError, match="is no language"):
        language_code(name)
