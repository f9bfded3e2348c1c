"""The demo's corpus generator: same bytes, no leaks, both languages say the same, lengths, shares."""

import dataclasses
import importlib.util
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "demo" / "corpus.py"
SUFFIXES = {"cls": ("en", "zh"), "mt": ("en", "zh"), "ms": ("en", "en_sum")}
SIZES = {
    "cls": {"train": 2000, "valid": 200, "test": 300},
    "mt": {"train": 6000, "valid": 200, "test": 300},
    "ms": {"train": 6000, "valid": 200, "test": 300},
}
FEWER = {(task, part): 20 for task in SIZES for part in SIZES[task]}
PARTS = ("train", "valid", "test")
NAMES = ("city", "country", "company", "team", "person", "institute")


def load_script():
    """The script as a module; it is no part of any package."""
    spec = importlib.util.spec_from_file_location("demo_corpus", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


corpus = load_script()


@pytest.fixture(scope="module")
def world():
    return corpus.load_world()


@pytest.fixture(scope="module")
def files() -> dict[str, list[str]]:
    """The corpus at its default sizes."""
    return corpus.build(seed=1)


def command(*arguments, fails: bool = False, **environment) -> subprocess.CompletedProcess:
    process = subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (process.returncode != 0) == fails, process.stderr
    return process


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def texts(files, language: str) -> Iterator[str]:
    """All texts of a language, over tasks and parts."""
    for name, lines in files.items():
        if name.endswith("zh") == (language == "zh"):
            yield from lines


# ----------------------------------------------------------------------------------- same bytes


def test_command_writes_same_bytes_whatever_the_hash_seed_and_locale(tmp_path):
    command(tmp_path / "one", "--seed", 3, PYTHONHASHSEED="1", LC_ALL="C.UTF-8")
    command(tmp_path / "two", "--seed", 3, PYTHONHASHSEED="2", LC_ALL="C", PYTHONUTF8="0")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_seed_gives_other_text_in_every_file():
    one, two = corpus.build(1, FEWER), corpus.build(2, FEWER)
    assert all(one[name] != two[name] for name in one)


def test_only_random_random_is_used_of_the_generator(world):
    class Draws:
        """Has nothing of `random.Random` but the method whose sequence Python promises to keep."""

        random = random.Random(5).random

    ledger = corpus.Ledger()
    for task in SUFFIXES:
        assert len(corpus.tell_part(Draws(), world, ledger, task, "train", 50)) == 50


def test_smaller_training_set_is_the_beginning_of_a_larger_one(files):
    smaller = corpus.build(1, {("cls", "train"): 500})
    assert smaller["cls.train.en"] == files["cls.train.en"][:500]
    assert smaller["mt.test.en"] == files["mt.test.en"]


# --------------------------------------------------------------------------------- files, sizes


def test_command_writes_the_files_it_promises_and_describes_them(tmp_path):
    description = json.loads(command(tmp_path / "new" / "out", "--json", "--mt-train", 100).stdout)
    expected = {
        f"{task}.{part}.{side}": 100 if (task, part) == ("mt", "train") else size
        for task, parts in SIZES.items()
        for part, size in parts.items()
        for side in SUFFIXES[task]
    } | {"cls.test.lead_zh": 300}
    written = contents(tmp_path / "new" / "out")
    assert {name: text.decode().count("\n") for name, text in written.items()} == expected
    assert {name: row["lines"] for name, row in description["files"].items()} == expected


@pytest.mark.parametrize(
    "arguments", [["--seed", "-1"], ["--cls-train", "0"], ["--ms-test", "ten"]]
)
def test_wrong_argument_is_one_line_that_names_it(tmp_path, arguments):
    last = command(tmp_path / "out", *arguments, fails=True).stderr.splitlines()[-1]
    assert arguments[0] in last and arguments[1] in last
    assert not (tmp_path / "out").exists()


def test_unwritable_folder_is_one_line_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    error = command(tmp_path / "file", fails=True).stderr
    assert error.startswith("corpus.py: error:") and "file" in error and error.count("\n") == 1


def test_asking_for_more_than_the_world_holds_says_so(world):
    lexicon = {kind: entries[:5] for kind, entries in world.lexicon.items()}
    event = next(event for event in world.events if event.name == "heat")
    small = dataclasses.replace(world, lexicon=lexicon, events=[event], asides=world.asides[:1])
    with pytest.raises(corpus.ToldOut, match=r"--cls-test 300: .* only \d+"):
        corpus.build(1, world=small)


# --------------------------------------------------------------------------------------- leaks


def test_no_source_text_occurs_twice_in_a_task(files):
    for suffix in ("cls", "mt", "ms"):
        lines = [line for part in PARTS for line in files[f"{suffix}.{part}.en"]]
        assert len(set(lines)) == len(lines)


def test_each_part_of_ms_begins_with_the_documents_of_cls_and_has_no_other_of_them(files):
    documents = {line for part in PARTS for line in files[f"cls.{part}.en"]}
    for part in PARTS:
        shared = len(files[f"cls.{part}.en"])
        assert files[f"ms.{part}.en"][:shared] == files[f"cls.{part}.en"]
        assert not documents & set(files[f"ms.{part}.en"][shared:])
        assert part != "train" or len(files["ms.train.en"]) == 3 * shared


def test_ms_with_fewer_documents_than_cls_has_the_first_of_them():
    fewer = corpus.build(1, FEWER | {("ms", "train"): 5})
    assert fewer["ms.train.en"] == fewer["cls.train.en"][:5]


def test_the_two_summaries_of_a_document_name_the_same(files, world):
    lexicon = Lexicon(world, NAMES)
    for part in PARTS:
        shared = len(files[f"cls.{part}.zh"])
        english = files[f"ms.{part}.en_sum"][:shared]
        for summary, chinese in zip(english, files[f"cls.{part}.zh"], strict=True):
            for renderings in lexicon.found(summary):
                assert any(one in chinese for one in renderings), (summary, chinese)


def test_no_text_of_valid_or_test_is_a_whole_text_of_any_training_set(files):
    """Documents, summaries of either language and MT sentences."""
    trained = {line for name, lines in files.items() if ".train." in name for line in lines}
    held_out = {
        line
        for name, lines in files.items()
        if ".train." not in name and not name.endswith("lead_zh")
        for line in lines
    }
    assert not trained & held_out


def test_valid_and_test_share_no_target(files):
    for task, (_, target) in SUFFIXES.items():
        assert not set(files[f"{task}.valid.{target}"]) & set(files[f"{task}.test.{target}"])


def test_no_summary_is_a_sentence_of_its_document(files):
    for task in ("cls", "ms"):
        for part in PARTS:
            source, target = (files[f"{task}.{part}.{side}"] for side in SUFFIXES[task])
            assert not any(
                summary in document for document, summary in zip(source, target, strict=True)
            )
    assert not set(files["cls.test.lead_zh"]) & set(files["cls.test.zh"])


# ----------------------------------------------------------------- both languages say the same


class Lexicon:
    """Finds the lexicon's entries in a text, longest first, as a reader would: by their words."""

    def __init__(self, world, kinds=None) -> None:
        self.chinese: dict[str, set[str]] = {}
        for kind, entries in world.lexicon.items():
            if kind == "move" or (kinds and kind not in kinds):
                continue
            for entry in entries:
                for english in {entry["en"], entry.get("many", entry["en"])}:
                    self.chinese.setdefault(english.lower(), set()).add(entry["zh"])
        longest_first = sorted(self.chinese, key=len, reverse=True)
        self.pattern = re.compile(r"\b(" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])")

    def found(self, english: str) -> list[set[str]]:
        """Chinese renderings of each entry in an English text."""
        return [self.chinese[match[0]] for match in self.pattern.finditer(english.lower())]


def test_every_name_number_and_noun_of_an_english_sentence_is_in_the_chinese_one(files, world):
    lexicon = Lexicon(world)
    for part in PARTS:
        for english, chinese in zip(files[f"mt.{part}.en"], files[f"mt.{part}.zh"], strict=True):
            for renderings in lexicon.found(english):
                assert any(one in chinese for one in renderings), (english, chinese, renderings)


def test_every_name_and_number_of_a_chinese_sentence_is_in_the_english_one(files, world):
    lexicon = Lexicon(world)
    names = {entry["zh"] for kind in NAMES for entry in world.lexicon[kind]}
    for part in PARTS:
        for english, chinese in zip(files[f"mt.{part}.en"], files[f"mt.{part}.zh"], strict=True):
            assert said(chinese, names) <= set().union(*lexicon.found(english)), (english, chinese)


def said(chinese: str, names: set[str]) -> set[str]:
    """Names and figures of a Chinese text."""
    return {name for name in names if name in chinese} | set(
        re.findall(r"\d[\d.]*(?:[万亿]|比\d)?", chinese)
    )


def test_every_name_and_number_of_a_chinese_summary_is_in_the_english_document(files, world):
    lexicon = Lexicon(world)
    names = {entry["zh"] for kind in NAMES for entry in world.lexicon[kind]}
    for part in PARTS:
        for english, chinese in zip(files[f"cls.{part}.en"], files[f"cls.{part}.zh"], strict=True):
            assert said(chinese, names) <= set().union(*lexicon.found(english)), (english, chinese)


def test_every_name_of_an_english_summary_is_in_its_document(files, world):
    lexicon = Lexicon(world, NAMES)
    for part in PARTS:
        for document, summary in zip(
            files[f"ms.{part}.en"], files[f"ms.{part}.en_sum"], strict=True
        ):
            assert set(lexicon.pattern.findall(summary.lower())) <= set(
                lexicon.pattern.findall(document.lower())
            )


def test_names_translate_one_to_one(world):
    entries = [entry for kind in NAMES for entry in world.lexicon[kind]]
    assert (
        len({entry["en"] for entry in entries})
        == len({entry["zh"] for entry in entries})
        == len(entries)
    )


def test_summary_asks_for_nothing_that_event_and_detail_do_not_say(world):
    """Or it would invent: whichever phrasing tells the event, and whichever tells the detail."""
    for event in world.events:
        for detail in event.details:
            asked = {slot for summary in detail.summary for slot in slots(summary.en)}
            for main in event.main:
                for body in detail.body:
                    assert asked <= slots(main.en) | slots(body.en), (event.name, main, body)


def test_chinese_templates_ask_for_the_slots_of_the_english_ones(world):
    for event in world.events:
        lists = [event.main, event.opening, event.background]
        lists += [
            templates for detail in event.details for templates in (detail.body, detail.summary)
        ]
        for pair in [pair for templates in lists for pair in templates]:
            assert slots(pair.en) == slots(pair.zh), pair
    assert all(slots(pair.en) == slots(pair.zh) for pair in world.asides)


def slots(template: str) -> set[str]:
    return set(re.findall(r"\{(\w+)", template))


# ------------------------------------------------------------------------------------ the text


def test_no_slot_is_left_in_any_text(files):
    assert not [
        line
        for lines in files.values()
        for line in lines
        if re.search(r"[{}_]|\.many|\.unit", line)
    ]


def test_chinese_has_no_latin_letters_no_blanks_and_full_width_punctuation(files):
    """A point is half-width inside a number, and there alone."""
    for line in texts(files, "zh"):
        without_numbers = re.sub(r"\d+(\.\d+)?%?", "", line)
        assert re.fullmatch(r"[\u4e00-\u9fff，。：“”·]+", without_numbers), line
        assert not re.search(r"[，：]。|，，|^[，。]", line), line


def test_english_is_ascii_well_spaced_and_capitalised(files):
    for line in texts(files, "en"):
        assert line.isascii() and "  " not in line and line == line.strip(), line
        sentences = re.split(r'(?<=[.])"? ', line)
        assert all(
            re.match(r'"?[A-Za-z0-9]', one) and not re.match(r'"?[a-z]', one) for one in sentences
        ), line


def test_english_articles_agree_with_the_next_word(files):
    for line in texts(files, "en"):
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", line), line


def test_lengths_are_in_their_ranges(files):
    for part in PARTS:
        for line in files[f"cls.{part}.en"] + files[f"ms.{part}.en"]:
            assert 30 <= len(line.split()) <= 60, line
        assert all(12 <= len(line) <= 22 for line in files[f"cls.{part}.zh"])
        assert all(8 <= len(line.split()) <= 14 for line in files[f"ms.{part}.en_sum"])
        assert all(8 <= len(line.split()) <= 20 for line in files[f"mt.{part}.en"])


# -------------------------------------------------------------------------------------- shares


def share_of_lines_with(names: set[str], lines: list[str]) -> float:
    return sum(any(name in line for name in names) for line in lines) / len(lines)


def unseen(world, language: str) -> set[str]:
    return {entry[language] for entries in world.unseen.values() for entry in entries}


def test_unseen_names_are_in_no_cls_training_example(files, world):
    assert share_of_lines_with(unseen(world, "en"), files["cls.train.en"]) == 0
    assert share_of_lines_with(unseen(world, "zh"), files["cls.train.zh"]) == 0


def test_mt_and_ms_train_every_unseen_name(files, world):
    for name in ("mt.train.en", "ms.train.en", "ms.train.en_sum"):
        for one in unseen(world, "en"):
            assert sum(one in line for line in files[name]) >= 5, (name, one)


def test_stated_share_of_cls_test_needs_unseen_names(files, world):
    """The docstring says about two thirds of the documents, two fifths of the summaries."""
    assert 0.58 < share_of_lines_with(unseen(world, "en"), files["cls.test.en"]) < 0.75
    assert 0.33 < share_of_lines_with(unseen(world, "zh"), files["cls.test.zh"]) < 0.47


def test_event_opens_about_two_documents_in_five(files, world):
    templates = [pair.zh for event in world.events for pair in event.main]
    event = re.compile("|".join(re.sub(r"\\\{.*?\\\}", ".+", re.escape(one)) for one in templates))
    opened = [bool(event.fullmatch(lead)) for lead in files["cls.test.lead_zh"]]
    assert 0.3 < sum(opened) / len(opened) < 0.5
