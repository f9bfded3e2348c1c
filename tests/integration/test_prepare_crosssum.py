"""``vhm prepare crosssum`` through the command line: forms, languages, leaks, errors, interruptions, bytes.

Every event of the sample is told on a page of each of four languages, so that the pairs of all files share
texts; XL-Sum's, CrossSum's and the neutral form, plain and packed, stand side by side.
"""

import gzip
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import mt5
import pytest
import sentencepiece
from fairseq.data import Dictionary

from fairseq_vhm.data.corpus import Corpus
from fairseq_vhm.data.dictionaries import read_dictionary
from fairseq_vhm.text.segment import Segmenter

REPOSITORY = Path(__file__).parents[2]
VHM = Path(sys.executable).parent / "vhm"
EVENTS = {"train": range(0, 40), "val": range(40, 48), "test": range(48, 57)}
SPLITS = {"train": "train", "val": "valid", "test": "test"}
LETTERS = {
    "en": ["ri", "ver", "bri", "dge", "School ", "rain, ", "to", "ne"],
    "bn": ["নদী ", "বন", "্যা", "র প", "ানি ", "সেতু", "। ", "স্কুল "],
    "zh-CN": list("河水上涨大雨桥学校关闭今天恢复，。"),
    "am": ["ወንዝ ", "ጎር", "ፍ ", "ድል", "ድይ። ", "ትም", "ህርት "],
}
NAMES = {"en": "english", "bn": "bengali", "zh-CN": "chinese_simplified", "am": "amharic"}
CROSSSUM = [("en", "bn"), ("bn", "en"), ("en", "zh-CN"), ("zh-CN", "bn")]
NEUTRAL = [("am", "en"), ("en", "am"), ("am", "bn"), ("bn", "am")]
FLAGS = ("--vocab-size", "220", "--workers", "1")


def invent(language: str, event: int, length: int, what: str) -> str:
    """Text of a language about an event; a number makes it unlike all others."""
    draw = random.Random(f"{language}{event}{what}")
    return "".join(draw.choices(LETTERS[language], k=length)).strip() + f" {event}{what}"


def article(language: str, event: int) -> str:
    return invent(language, event, 40, "a")


def summary(language: str, event: int) -> str:
    return invent(language, event, 9, "s")


def url(language: str, event: int) -> str:
    return f"https://news.example/{NAMES[language]}/{event}"


def crosssum_row(source: str, target: str, event: int) -> dict:
    pages = {"source_url": url(source, event), "target_url": url(target, event)}
    return pages | {"summary": summary(target, event), "text": article(source, event)}


def neutral_row(source: str, target: str, event: int) -> dict:
    texts = {"source": article(source, event), "target": summary(target, event)}
    ids = {"source_id": f"news:{event}:{source}", "target_id": f"news:{event}:{target}"}
    return {"source_lang": source, "target_lang": target} | texts | ids


def xlsum_row(language: str, event: int) -> dict:
    texts = {"title": "no", "summary": summary(language, event), "text": article(language, event)}
    return {"id": f"{language}-{event}", "url": url(language, event)} | texts


def save(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_sample(folder: Path) -> dict[tuple[str, str, str], list[tuple[str, str]]]:
    """The folder that a user has; (split, source, target) -> article and summary of each pair, as written."""
    expected: dict = defaultdict(list)
    for word, events in EVENTS.items():
        for language, suffix in (("en", ".jsonl"), ("bn", ".jsonl.gz")):
            path = folder / "XLSum" / f"{NAMES[language]}_{word}{suffix}"
            save(path, [xlsum_row(language, event) for event in events])
        for source, target in CROSSSUM:
            path = folder / "CrossSum" / f"{NAMES[source]}-{NAMES[target]}_{word}.jsonl"
            save(path, [crosssum_row(source, target, event) for event in events])
        rows = [neutral_row(*pair, event) for event in events for pair in NEUTRAL]
        save(folder / "more" / f"{SPLITS[word]}.jsonl", rows)
        for source, target in [("en", "en"), ("bn", "bn"), *CROSSSUM, *NEUTRAL]:
            texts = [(article(source, event), summary(target, event)) for event in events]
            expected[SPLITS[word], source, target] = texts
    return dict(expected)


def vhm(out: Path, *flags, fails: bool = False) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [VHM, "prepare", "crosssum", out, *map(str, flags)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done


def error_of(done: subprocess.CompletedProcess) -> str:
    """The one line of a command that failed."""
    assert done.returncode == 1 and done.stdout == "", done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("vhm: error: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0].removeprefix("vhm: error: ")


def hashes(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """DATA of the whole sample, what it must hold, and what the command printed."""
    folder = tmp_path_factory.mktemp("crosssum")
    expected = write_sample(folder / "raw")
    return folder / "DATA", expected, vhm(folder / "DATA", folder / "raw", *FLAGS)


@pytest.fixture(scope="module")
def reading(prepared):
    """The corpus, and what turns its ids into text: dictionary, then SentencePiece."""
    data = prepared[0]
    dictionary, segmenter = Dictionary.load(str(data / "dict.txt")), Segmenter.load(data)
    return Corpus.open(data), lambda ids: segmenter.decode(dictionary.string(ids), "any")


def test_every_pair_reads_back_as_the_text_that_went_in(prepared, reading):
    corpus, text = reading
    found = {}
    for split in corpus.splits:
        table = corpus.pairs(split)
        for source, target in table.directions:
            found[split, source, target] = [
                (text(corpus.articles(source)[number]), text(corpus.summaries(target)[summary]))
                for number, summary in table.of((source, target)).tolist()
            ]
    assert found == prepared[1]


def test_each_text_of_a_language_is_stored_once_whatever_its_files_and_pairs(prepared, reading):
    corpus, text = reading
    told = {"articles": defaultdict(set), "summaries": defaultdict(set)}
    for (_, source, target), pairs in prepared[1].items():
        told["articles"][source] |= {pair[0] for pair in pairs}
        told["summaries"][target] |= {pair[1] for pair in pairs}
    for language in corpus.languages:
        for kind in told:
            stored = [text(ids) for ids in corpus.texts(kind, language)]
            assert len(stored) == len(set(stored)) and set(stored) == told[kind][language]
        assert corpus.summary_texts(language) == [text(ids) for ids in corpus.summaries(language)]


def test_an_article_knows_its_own_summary_from_xlsum_urls_and_ids(reading):
    corpus, text = reading
    for language in corpus.languages:
        own = corpus.own_summaries(language)
        stories = {article(language, event): summary(language, event) for event in range(57)}
        stored = [text(ids) for ids in corpus.articles(language)]
        assert all(own >= 0)
        assert [text(corpus.summaries(language)[n]) for n in own] == [stories[story] for story in stored]


def test_ms_and_mt_of_the_same_events_are_derived(reading):
    corpus, text = reading
    ms, mt = corpus.derived("valid", "ms"), corpus.derived("valid", "mt")
    assert set(ms.directions) == {(language, language) for language in corpus.languages}
    assert set(mt.directions) == {*CROSSSUM, *NEUTRAL}
    for source, target in mt.directions:
        stories = [(summary(source, event), summary(target, event)) for event in EVENTS["val"]]
        pairs = mt.of((source, target)).tolist()
        found = [(text(corpus.summaries(source)[a]), text(corpus.summaries(target)[b])) for a, b in pairs]
        assert sorted(found) == sorted(stories)
    found = [text(corpus.articles("am")[n]) for n in ms.of(("am", "am"))[:, 0]]
    assert sorted(found) == sorted(article("am", event) for event in EVENTS["val"])


def test_the_account_is_a_table_and_json(prepared):
    data, expected, done = prepared
    manifest = json.loads((data / "manifest.json").read_text())
    for split, counts in manifest["splits"].items():
        pairs = {key[1:]: len(value) for key, value in expected.items() if key[0] == split}
        assert (counts["pairs"], counts["directions"]) == (sum(pairs.values()), len(pairs))
        shown = rf"{split} +{counts['pairs']} +{len(pairs)} +{counts['rows']} +0 +0 +0 +0"
        assert re.search(shown, done.stdout)
    assert manifest["languages"]["zh-CN"]["articles"]["texts"] == 57
    assert manifest["outputs"] == {k: v for k, v in hashes(data).items() if k != "manifest.json"}
    assert "4 languages, dictionary of 221 symbols" in done.stdout
    assert (data / "findings.txt").read_text() == ""


def test_the_counts_of_the_dictionary_are_those_of_the_training_texts(prepared, reading):
    corpus, _ = reading
    counts: dict = defaultdict(int)
    stores = defaultdict(set)
    table = corpus.pairs("train")
    for source, target in table.directions:
        for number, summary_number in table.of((source, target)).tolist():
            stores["articles", source].add(number)
            stores["summaries", target].add(summary_number)
    for (kind, language), numbers in stores.items():
        for number in numbers:
            for symbol in corpus.texts(kind, language)[number].tolist():
                counts[symbol] += 1
    lines = (prepared[0] / "dict.txt").read_text().splitlines()
    assert [int(line.rpartition(" ")[2]) for line in lines] == [counts[4 + n] for n in range(len(lines))]


def test_the_same_files_give_the_same_bytes_with_any_number_of_processes(prepared, tmp_path):
    raw = prepared[0].parent / "raw"
    vhm(tmp_path / "again", raw, *FLAGS[:2], "--workers", 2, "--quiet")
    assert hashes(tmp_path / "again") == hashes(prepared[0])


def test_a_second_run_does_nothing_and_another_is_refused(prepared):
    data, raw = prepared[0], prepared[0].parent / "raw"
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    assert "was prepared already" in vhm(data, raw, *FLAGS).stdout
    assert "--overwrite" in error_of(vhm(data, raw, *FLAGS, "--seed", 2, fails=True))
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_files_by_split_may_have_any_name_and_order(prepared, tmp_path):
    """A packed file whose name tells neither split nor language, and a pattern."""
    raw = prepared[0].parent / "raw"
    save(tmp_path / "a.jsonl.gz", [xlsum_row("en", event) for event in EVENTS["train"]])
    flags = ["--train", tmp_path / "a.jsonl.gz", "--lang", "en"]
    flags += ["--valid", f"{raw}/CrossSum/english-*_val.jsonl", "--vocab-size", 90, "--workers", 1]
    splits = json.loads(vhm(tmp_path / "DATA", *flags, "--json", "--quiet").stdout)["splits"]
    assert {split: counts["directions"] for split, counts in splits.items()} == {"train": 1, "valid": 2}
    assert Corpus.open(tmp_path / "DATA").pairs("train").directions == (("en", "en"),)


def kill_when(path: Path, argv: list) -> None:
    """Start a run and kill it without warning as soon as ``path`` exists."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=REPOSITORY)
    while not path.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_and_repeated_run_makes_what_an_undisturbed_one_makes(prepared, tmp_path):
    argv = [VHM, "prepare", "crosssum", tmp_path / "DATA", prepared[0].parent / "raw", *FLAGS]
    partial = tmp_path / ".DATA.partial"
    kill_when(partial / "texts" / "summaries.en.txt", argv)
    kill_when(partial / "stages" / "encode am.json", argv)
    assert not (tmp_path / "DATA").exists()
    model = (partial / "spm.model").stat().st_mtime_ns
    subprocess.run(argv, check=True, capture_output=True, cwd=REPOSITORY)
    assert (tmp_path / "DATA" / "spm.model").stat().st_mtime_ns == model
    assert hashes(tmp_path / "DATA") == hashes(prepared[0])
    assert [path.name for path in tmp_path.iterdir()] == ["DATA"]


def small(folder: Path, train: list[dict], test: list[dict], name: str = "more") -> list:
    """Files of two splits, and the flags to prepare them."""
    save(folder / name / "train.jsonl", train)
    save(folder / name / "test.jsonl", test)
    return [folder / name, "--vocab-size", 90, "--workers", 1, "--quiet"]


def test_a_page_that_is_tested_is_not_trained_on_in_any_language(tmp_path):
    """Event 5 is tested in Amharic and trained on in English and Bengali; no text of it is in both."""
    train = [neutral_row("en", "bn", event) for event in range(12)]
    test = [neutral_row("bn", "en", 12), neutral_row("am", "en", 5) | {"target": "x"}]
    flags = small(tmp_path, train, test)
    message = error_of(vhm(tmp_path / "DATA", *flags, fails=True))
    assert message.startswith(f"{tmp_path}/more/train.jsonl:6: the first of 1 of 12 training rows")
    assert "1 by page test" in message and "--dedup drop" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["more"]
    counts = json.loads(vhm(tmp_path / "DATA", *flags, "--dedup", "drop", "--json").stdout)["splits"]["train"]
    assert (counts["pairs"], counts["leaks"]) == (11, {"page test": 1})
    findings = (tmp_path / "DATA" / "findings.txt").read_text()
    assert findings == f"{tmp_path}/more/train.jsonl:6: held out, dropped: page test\n"
    vhm(tmp_path / "KEPT", *flags, "--dedup", "report")
    assert len(Corpus.open(tmp_path / "KEPT").pairs("train")) == 12


def test_a_text_that_is_tested_is_not_trained_on_whatever_its_page_and_punctuation(tmp_path):
    train = [neutral_row("en", "bn", event) for event in range(12)]
    same = train[3]["source"].upper().replace(" ", "  -- ")
    test = [neutral_row("en", "bn", 90) | {"source": same}, neutral_row("am", "en", 91)]
    flags = small(tmp_path, [*train, train[3] | {"source_id": "x:1:en", "target": summary("bn", 77)}], test)
    counts = json.loads(vhm(tmp_path / "DATA", *flags, "--dedup", "drop", "--json").stdout)["splits"]["train"]
    assert (counts["pairs"], counts["leaks"]) == (11, {"articles test": 2})


def test_leaks_of_texts_that_come_again_are_counted_each_time(tmp_path):
    train = [neutral_row("en", target, event) for target in ("bn", "am") for event in range(12)]
    test = [neutral_row("en", "bn", 91) | {"source": train[4]["source"]}]
    counts = vhm(tmp_path / "DATA", *small(tmp_path, train, test), "--dedup", "report", "--json")
    assert json.loads(counts.stdout)["splits"]["train"]["leaks"] == {"articles test": 2}


def test_unlike_texts_of_one_page_are_told_and_both_kept(tmp_path):
    train = [xlsum_row("en", event) for event in range(12)]
    train += [train[2] | {"text": train[2]["text"] + " (updated)"}, train[5]]
    train += [train[7] | {"summary": "Another summary of it."}]
    flags = small(tmp_path, train, [xlsum_row("en", 30)], "english")
    counts = json.loads(vhm(tmp_path / "DATA", *flags, "--json").stdout)
    assert counts["splits"]["train"]["contradictions"] == {"articles": 1, "own": 1, "summaries": 1}
    assert (counts["splits"]["train"]["pairs"], counts["splits"]["train"]["repeated"]) == (14, 1)
    findings = (tmp_path / "DATA" / "findings.txt").read_text().splitlines()
    assert f"english/train.jsonl:13: another text in articles of {url('en', 2)}, both kept" in findings[0]
    corpus = Corpus.open(tmp_path / "DATA")
    assert len(corpus.articles("en")) == 14 and corpus.own_summaries("en")[8] == 8


def test_line_breaks_of_all_kinds_become_one_blank(tmp_path):
    rows = [neutral_row("en", "bn", event) for event in range(12)]
    rows[4]["target"] = "\u2028 one\r\n\u0085two\u2029\x0bthree\n"
    vhm(tmp_path / "DATA", *small(tmp_path, rows, [neutral_row("en", "bn", 50)]))
    corpus = Corpus.open(tmp_path / "DATA")
    number = int(corpus.pairs("train").of(("en", "bn"))[4, 1])
    assert corpus.summary_texts("bn")[number] == "one two three"


BAD = [
    (b"\xff{}", "broken UTF-8"),
    (b"[1]", "not a JSON object"),
    (b'{"text": 1', "not JSON"),
    (b'{"text": "a"}', "missing key: 'summary'"),
    (b'{"text": " \\n", "summary": "b"}', "empty text: 'text'"),
    (b'{"text": "a\\u0000", "summary": "b"}', "NUL character"),
    (b'{"text": "a", "summary": "\\ud800"}', "broken UTF-8: lone surrogate"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_a_bad_row_is_named_by_file_and_line_and_leaves_nothing(tmp_path, line, message):
    save(tmp_path / "english_train.jsonl", [xlsum_row("en", event) for event in range(12)])
    path = tmp_path / "english_train.jsonl"
    path.write_bytes(path.read_bytes() + line + b"\n")
    flags = [path, "--vocab-size", 60, "--workers", 1, "--quiet"]
    refused = error_of(vhm(tmp_path / "DATA", *flags, fails=True))
    assert refused.startswith(f"{path}:13: {message}") and "--on-error drop" in refused
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_bad_rows_are_dropped_counted_and_listed_on_request(tmp_path):
    path = tmp_path / "english_train.jsonl"
    save(path, [xlsum_row("en", event) for event in range(12)])
    path.write_bytes(path.read_bytes() + b"\n".join(line for line, _ in BAD) + b"\n")
    flags = [path, "--vocab-size", 60, "--workers", 1, "--quiet", "--on-error", "drop", "--json"]
    counts = json.loads(vhm(tmp_path / "DATA", *flags).stdout)["splits"]["train"]
    assert (counts["pairs"], sum(counts["dropped"].values())) == (12, len(BAD))
    findings = (tmp_path / "DATA" / "findings.txt").read_text().splitlines()
    for number, (found, (_, message)) in enumerate(zip(findings, BAD, strict=True), start=13):
        assert found.startswith(f"{path}:{number}: {message}")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nowhere"], "INPUT nowhere: no such file or folder"),
        (["--valid", "{raw}/more/x*.jsonl"], "--valid {raw}/more/x*.jsonl: no such file or folder"),
        ([], "no files: give the folder of the corpus"),
        (["--test", "{raw}/more/test.jsonl"], "--train is missing"),
        (["{raw}", "--test", "{raw}/more/train.jsonl"], "{raw}/more/train.jsonl: given as train and as test"),
        (["README.md"], "README.md: its name does not say which split"),
        (["{raw}", "--lang", "xx"], "--lang: 'xx' is no language"),
        (["{raw}", "--spm", "a", "--mt5", "b"], "--spm and --mt5 both give a vocabulary"),
        (["{raw}", "--spm", "no.model"], "no.model: missing file"),
        (["{raw}", "--mt5", "tests"], "tests/spiece.model: missing file"),
        (["{raw}", "--spm-alpha", "2"], "--spm-alpha 2.0: give a number from 0 to 1"),
        (["{raw}", "--vocab-size", "90000"], "--vocab-size 90000 is more than this text can fill: use"),
    ],
)
def test_a_flag_that_makes_no_sense_is_one_line(prepared, tmp_path, flags, message):
    raw = str(prepared[0].parent / "raw")
    given = [flag.format(raw=raw) for flag in flags]
    assert error_of(vhm(tmp_path / "DATA", *given, "--quiet", fails=True)).startswith(message.format(raw=raw))
    assert not list(tmp_path.iterdir())


def test_a_language_that_nobody_knows_is_refused_with_the_remedy(tmp_path):
    rows = [neutral_row("en", "bn", 1) | {"target_lang": "xx"}]
    save(tmp_path / "train.jsonl", rows)
    message = error_of(vhm(tmp_path / "DATA", tmp_path, "--on-error", "drop", fails=True))
    assert message.startswith(f"{tmp_path}/train.jsonl:1: unknown language: 'xx'") and "zh-CN" in message
    save(tmp_path / "train.jsonl", [xlsum_row("en", 1)])
    assert "--lang en" in error_of(vhm(tmp_path / "DATA", tmp_path, fails=True))


def test_a_packed_file_that_was_cut_short_is_named(tmp_path):
    path = tmp_path / "english_train.jsonl.gz"
    save(path, [xlsum_row("en", event) for event in range(99)])
    path.write_bytes(path.read_bytes()[:-500])
    message = error_of(vhm(tmp_path / "DATA", path, "--quiet", fails=True))
    assert message.startswith(f"{path}: not gzip, or cut short")


def test_a_sentencepiece_model_is_taken_over(prepared, tmp_path):
    data = prepared[0]
    flags = [data.parent / "raw" / "more", "--spm", data / "spm.model", "--workers", 1, "--quiet"]
    vhm(tmp_path / "DATA", *flags)
    corpus, segmenter = Corpus.open(tmp_path / "DATA"), Segmenter.load(tmp_path / "DATA")
    dictionary = Dictionary.load(str(tmp_path / "DATA" / "dict.txt"))
    assert dictionary.symbols == Dictionary.load(str(data / "dict.txt")).symbols
    texts = [segmenter.decode(dictionary.string(ids), "am") for ids in corpus.articles("am")]
    assert sorted(texts) == sorted(article("am", event) for event in range(57))


def test_mt5s_vocabulary_gives_mt5s_own_ids(prepared, tmp_path):
    """Ids as SentencePiece numbers them, EOS 1: what HuggingFace's tokenizer gives."""
    folder = tmp_path / "mt5"
    folder.mkdir()
    rows = mt5.train_spm(folder / "spiece.model") + mt5.SPARE
    (folder / "config.json").write_text(json.dumps(mt5.make_config(rows)))
    raw = prepared[0].parent / "raw" / "more"
    vhm(tmp_path / "DATA", raw, "--mt5", folder, "--workers", 1, "--quiet")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    corpus = Corpus.open(tmp_path / "DATA")
    assert corpus.segmenter == "mt5" and len(read_dictionary(corpus.dictionary)) == rows
    for text, ids in zip(corpus.summary_texts("bn"), corpus.summaries("bn"), strict=True):
        assert ids.tolist() == [*processor.encode(text), 1]


GROWING = """
import json, re, sys
sys.argv[0] = "vhm"
from pathlib import Path
from preprocess.crosssum.collect import Collector, raw_path
from preprocess.crosssum.rows import Row
from preprocess.progress import Progress

folder, size = Path(sys.argv[1]), int(sys.argv[2])
for name in ("texts", "pairs", "raw"):
    (folder / name).mkdir()

def rows():
    for n in range(size):
        text = f"{n} " + "a long article of some words " * 100
        yield Row(text, f"summary {n}", f"f:{n}", "en", "fr", f"http://en/{n}", f"http://fr/{n}")

with (folder / "findings").open("w") as findings:
    Collector(folder, findings, "stop", False).collect("train", rows(), Progress())
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_collecting_keeps_some_bytes_of_a_text_and_not_the_text(tmp_path):
    """30,000 articles of 3 KB are 90 MB; their numbers and digests may take 15 MB."""
    peaks = []
    for size in (1_000, 30_000):
        (tmp_path / str(size)).mkdir()
        argv = [sys.executable, "-c", GROWING, tmp_path / str(size), str(size)]
        done = subprocess.run(argv, cwd=REPOSITORY, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 15_000
