"""The parts of ``vhm prepare crosssum``: names of files, digests, the sample of many languages."""

import random
from pathlib import Path

import numpy as np
import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.language_codes import XLSUM
from preprocess.crosssum.digests import Numbers, digest
from preprocess.crosssum.inputs import find_inputs, languages_of, parse_languages
from preprocess.crosssum.sample import copies, draw_lines
from preprocess.progress import Progress

NAMED = [
    ("english_train.jsonl", ("en", "en")),
    ("chinese_simplified_val.jsonl.gz", ("zh-CN", "zh-CN")),
    ("serbian_latin-scottish_gaelic_test.jsonl", ("sr-latn", "gd")),
    ("english-bengali_dev.jsonl", ("en", "bn")),
    ("en-bn.test.jsonl", ("en", "bn")),
    ("zh-CN-en_train.jsonl", ("zh-CN", "en")),
    ("en-zh-TW_train.jsonl", ("en", "zh-TW")),
    ("sr-latn-sr-cyrl_train.jsonl", ("sr-latn", "sr-cyrl")),
    ("np-en_train.jsonl", ("ne", "en")),
    ("pt-BR_train.jsonl", ("pt-BR", "pt-BR")),
    ("data/english-bengali/train.jsonl", ("en", "bn")),
    ("data/new/train.jsonl", None),
    ("everything_train.jsonl", None),
]


@pytest.mark.parametrize(("name", "languages"), NAMED)
def test_the_name_of_a_file_tells_its_languages(name, languages):
    assert languages_of(Path(name)) == languages


def test_every_two_of_xlsums_languages_are_read_back_from_their_names_and_codes():
    for source_name, source in XLSUM.items():
        for target_name, target in XLSUM.items():
            for text in (f"{source_name}-{target_name}", f"{source}-{target}"):
                assert parse_languages(text) == (source, target)


def test_a_folder_is_searched_and_names_say_the_split(tmp_path):
    names = ["b/english_val.jsonl", "a/en-bn_train.jsonl.gz", "a/more.test.jsonl", "a/english_train.jsonl"]
    for name in [*names, "a/README.md"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_inputs([str(tmp_path)], {})
    expected = {"train": [names[1], names[3]], "valid": [names[0]], "test": [names[2]]}
    assert found == {
        split: tuple(str(tmp_path / name) for name in files) for split, files in expected.items()
    }
    pattern = find_inputs([], {"test": [f"{tmp_path}/*/english_*.jsonl"]})
    assert list(pattern) == ["test"] and len(pattern["test"]) == 2


def test_one_file_by_two_names_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "english_train.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    twice = [str(tmp_path), "english_train.jsonl"]
    assert find_inputs(twice, {}) == {"train": (str(tmp_path / "english_train.jsonl"),)}
    with pytest.raises(UserError, match=r"english_train\.jsonl: given as train and as test"):
        find_inputs([str(tmp_path)], {"test": ["english_train.jsonl"]})


def test_a_file_without_a_split_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "english.jsonl").touch()
    with pytest.raises(UserError, match=r"english.jsonl: its name does not say which split .* --train"):
        find_inputs([str(tmp_path)], {})


def test_numbers_of_digests_are_those_of_a_dict():
    """Against the built-in, with keys that meet in one slot among them."""
    rng = random.Random(5)
    keys = [rng.getrandbits(64) or 1 for _ in range(5000)] + [1 << shift for shift in range(20, 64)]
    numbers, slow = Numbers(), {}
    for _ in range(20_000):
        key, number = rng.choice(keys), rng.randrange(1 << 31)
        assert numbers.get(key) == slow.get(key, -1)
        assert numbers.setdefault(key, number) == slow.setdefault(key, number)
    found, values = numbers.items()
    assert dict(zip(found.tolist(), values.tolist(), strict=True)) == slow and len(numbers) == len(slow)


def test_a_digest_is_of_the_content_and_never_that_of_nothing():
    assert digest("é") == digest("é".encode()) != digest("e")
    assert 0 < digest("") < 1 << 64


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_languages_share_the_sample_by_their_sizes_to_the_power_alpha(alpha):
    sizes = {"en": 9_000_000, "bn": 400_000, "yo": 10_000, "none": 0}
    times = copies(sizes, alpha, 1_000_000)
    drawn = {language: times[language] * sizes[language] for language in ("en", "bn", "yo")}
    weights = {language: sizes[language] ** alpha for language in drawn}
    assert sum(drawn.values()) == pytest.approx(1_000_000)
    for language, size in drawn.items():
        assert size / 1_000_000 == pytest.approx(weights[language] / sum(weights.values()))


def test_at_alpha_1_a_small_corpus_is_taken_whole_and_once():
    assert copies({"en": 5000, "yo": 70}, 1.0, 1 << 20) == pytest.approx({"en": 1.0, "yo": 1.0})


@pytest.mark.parametrize("times", [0.25, 1.0, 2.5])
def test_lines_are_drawn_as_often_as_asked_and_only_those_that_are_wanted(tmp_path, times):
    path, wanted = tmp_path / "text", np.arange(4000) % 2 == 0
    path.write_text("".join(f"{n}\n" for n in range(4000)))
    drawn = list(draw_lines(path, wanted, times, "1", Progress()))
    assert drawn == list(draw_lines(path, wanted, times, "1", Progress()))
    counts = {line: drawn.count(line) for line in set(drawn)}
    assert all(int(line) % 2 == 0 for line in counts)
    assert set(counts.values()) <= {int(times), int(times) + 1}
    assert len(drawn) == pytest.approx(2000 * times, rel=0.1)
