"""Reading articles: what is kept, what is refused, and that the order of files and lines does not matter."""

import json
import random

import aligned
import numpy as np
import pytest
from aligned import Page

from fairseq_vhm.align.articles import NO_SPLIT, Reading, read_articles
from fairseq_vhm.align.files import find_sources, parse_languages
from fairseq_vhm.align.settings import SPLITS
from fairseq_vhm.errors import UserError

ANY = np.ones(2)
GOOD = {"url": "https://a", "summary": "s", "text": "t"}


def read(*inputs, on_error="stop", languages=None):
    reading = Reading(on_error)
    return read_articles(find_sources(inputs, languages or {}), reading, aligned.QUIET), reading


def test_files_of_all_names_of_splits_and_languages_are_understood(tmp_path):
    for name in ("english_train", "english_val", "zh-CN_test", "serbian_latin.dev", "fr"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(GOOD))
    (tmp_path / "yoruba").mkdir()
    (tmp_path / "yoruba" / "test.jsonl").write_text(json.dumps(GOOD))
    found = [(s.path.stem, s.language, s.split) for s in find_sources([tmp_path], {})]
    assert found == [
        ("english_train", "en", "train"),
        ("english_val", "en", "valid"),
        ("fr", "fr", None),
        ("serbian_latin.dev", "sr-latn", "valid"),
        ("test", "yo", "test"),
        ("zh-CN_test", "zh-CN", "test"),
    ]


def test_an_article_is_read_back_from_its_place_in_its_file(tmp_path):
    pages = [
        Page(language, f"{split}{number}", ANY, split, summary=f"Ünïcode {number} {language}")
        for language in ("am", "en")
        for split in ("train", "test")
        for number in range(7)
    ]
    random.Random(3).shuffle(pages)
    languages, _ = read(aligned.write(tmp_path / "data", pages))
    for articles in languages:
        places = np.random.default_rng(0).permutation(len(articles))
        for place, article in zip(places, articles.read(places), strict=True):
            assert article.url == articles.urls[place]
            page = next(p for p in pages if p.url == article.url and p.told == article.summary)
            assert SPLITS[articles.split[place]] == page.split


def test_the_order_of_lines_and_files_does_not_matter(tmp_path):
    pages = [Page("en" if i % 2 else "fr", str(i), ANY, "train", (f"image{i % 3}",)) for i in range(20)]
    first, _ = read(aligned.write(tmp_path / "a", pages))
    shuffled = random.Random(1).sample(pages, k=20)
    aligned.write(tmp_path / "b", shuffled[:9])
    aligned.write(tmp_path / "c", shuffled[9:])
    second, _ = read(tmp_path / "c", tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.urls == other.urls
        for name in ("summary", "folded", "text", "split", "content"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_repeated_article_is_kept_once_in_its_last_split(tmp_path):
    pages = [Page("en", "same", ANY, "test"), Page("en", "same", ANY, "train"), Page("fr", "x", ANY, None)]
    (english, french), reading = read(aligned.write(tmp_path, pages))
    assert len(english) == 1 and SPLITS[english.split[0]] == "test" and french.split[0] == NO_SPLIT
    assert reading.dropped == {"repeated article": 1}


WRONG = {
    "not JSON": "{",
    "not a JSON object": "[1]",
    "neither 'url' nor 'id'": json.dumps({**GOOD, "url": ""}),
    "no 'summary'": json.dumps({"url": "u", "text": "t"}),
    "empty 'summary'": json.dumps({**GOOD, "summary": " \n "}),
    "empty 'text'": json.dumps({**GOOD, "text": ""}),
    "'text' is not a string": json.dumps({**GOOD, "text": 3}),
    "'images' is not a list of strings": json.dumps({**GOOD, "images": ["a", 1]}),
    "broken UTF-8 in 'summary'": json.dumps({**GOOD, "summary": "\ud800"}),
    "line break or tabulator in 'url'": json.dumps({**GOOD, "url": "a\tb"}),
}


@pytest.mark.parametrize("reason", WRONG)
def test_a_wrong_line_is_named_by_file_and_number_or_dropped_and_counted(tmp_path, reason):
    (tmp_path / "fr_train.jsonl").write_text(json.dumps(GOOD) + "\n")
    path = tmp_path / "en_train.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n" + WRONG[reason] + "\n")
    with pytest.raises(UserError, match=f"^{path}:3: {reason}.*--on-error drop"):
        read(tmp_path)
    (english, _), reading = read(tmp_path, on_error="drop")
    assert len(english) == 1 and reading.dropped == {reason: 1}


def test_bytes_that_are_no_utf8_are_a_wrong_line(tmp_path):
    (tmp_path / "en_train.jsonl").write_bytes(b'{"url": "\xff"}\n')
    (tmp_path / "fr_train.jsonl").write_text(json.dumps(GOOD))
    with pytest.raises(UserError, match="en_train.jsonl:1: not JSON"):
        read(tmp_path)


def test_an_address_may_be_null_where_there_is_an_id(tmp_path):
    for language in ("en", "fr"):
        (tmp_path / f"{language}.jsonl").write_text(json.dumps(GOOD | {"url": None, "id": "7"}))
    assert [articles.urls for articles in read(tmp_path)[0]] == [["7"], ["7"]]


def test_a_file_that_goes_or_changes_while_it_is_used_is_named(tmp_path):
    languages, _ = read(aligned.write(tmp_path, [Page("en", "a", ANY), Page("fr", "a", ANY)]))
    path = tmp_path / "en_train.jsonl"
    path.write_text("x" * path.stat().st_size)
    with pytest.raises(UserError, match=r"en_train\.jsonl: changed while it was used \(not JSON"):
        list(languages[0].read([0]))
    path.unlink()
    with pytest.raises(UserError, match=r"en_train\.jsonl: cannot be read: No such file"):
        list(languages[0].read([0]))


def test_a_language_without_articles_is_refused(tmp_path):
    (tmp_path / "en_train.jsonl").write_text("\n")
    (tmp_path / "fr_train.jsonl").write_text(json.dumps(GOOD))
    with pytest.raises(UserError, match="no article of language en"):
        read(tmp_path)


def test_what_tells_no_language_needs_to_be_told(tmp_path):
    aligned.write(tmp_path, [Page("en", "1", ANY)])
    path = tmp_path / "articles_xx.jsonl"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(UserError, match="give --lang articles_xx.jsonl=CODE"):
        find_sources([tmp_path], {})
    found = find_sources([tmp_path], parse_languages([f"{path}=yoruba"]))
    assert [source.language for source in found] == ["en", "yo"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["en"], "give FILE=CODE"),
        (["a.jsonl=klingonese"], "'klingonese' is no language"),
        (["other.jsonl=en"], "none of the files has this name"),
    ],
)
def test_wrong_languages_are_refused(tmp_path, given, message):
    aligned.write(tmp_path, [Page("en", "1", ANY), Page("fr", "1", ANY)])
    with pytest.raises(UserError, match=message):
        find_sources([tmp_path], parse_languages(given))


def test_missing_empty_and_packed_folders_and_single_languages_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        find_sources([tmp_path / "none"], {})
    with pytest.raises(UserError, match="no .jsonl file"):
        find_sources([tmp_path], {})
    aligned.write(tmp_path, [Page("en", "1", ANY)])
    with pytest.raises(UserError, match="files of one language, en"):
        find_sources([tmp_path], {})
    packed = tmp_path / "fr_train.jsonl.gz"
    packed.touch()
    for given in (tmp_path, packed):
        with pytest.raises(UserError, match=r"fr_train\.jsonl\.gz: packed; unpack"):
            find_sources([given], {})
