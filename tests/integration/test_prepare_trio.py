"""``vhm prepare trio`` through the command line: docs/data.md, interruptions, errors, bounded memory."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import MMapIndexedDataset

from fairseq_vhm.text.segment import Segmenter

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
SIZES = {"train": 120, "valid": 12, "test": 13}
LEAK = "the same long story stands in two parts", "今天大雨河水上涨学校关闭"


def invented_words(draw, syllables, count):
    return ["".join(draw.choices(syllables, k=draw.randint(1, 3))) for _ in range(count)]


def write_sample(folder):
    """Three small corpora as docs/data.md names them; one CLS test pair stands in MT's training too."""
    draw = random.Random(11)
    english = invented_words(draw, ["ri", "ver", "bri", "dge", "school", "rain", "to", "ne"], 60)
    chinese = invented_words(draw, list("河水上涨大雨桥学校关闭今天恢复"), 60)
    folder.mkdir()
    for task, target in (("cls", "zh"), ("mt", "zh"), ("ms", "en_sum")):
        for split, size in SIZES.items():
            sources = [" ".join(draw.choices(english, k=30)) for _ in range(size)]
            targets = [
                "".join(draw.choices(chinese, k=8))
                if target == "zh"
                else " ".join(draw.choices(english, k=6))
                for _ in range(size)
            ]
            if (task, split) in {("cls", "test"), ("mt", "train")}:
                sources[5], targets[5] = LEAK
            for suffix, lines in (("en", sources), (target, targets)):
                path = folder / f"{task}.{split}.{suffix}"
                path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def blocks(language):
    """Code blocks of docs/data.md; the sample is small, so its vocabulary is too."""
    found = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    return [re.sub(r"--vocab-size \d+", "--vocab-size 150", block) for block in found]


def shell(command, cwd, **options):
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "-ec", command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        **options,
    )


def hashes(folder):
    """Hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder in which the first command of docs/data.md made DATA."""
    folder = tmp_path_factory.mktemp("documented")
    write_sample(folder / "corpus")
    (folder / "corpus" / "cls.valid.en").write_text("a " * 2000 + "\n" + "b\n" * 11)
    shell(blocks("bash")[0], folder, check=True)
    return folder


@pytest.fixture(scope="module")
def manifest(prepared):
    return json.loads((prepared / "DATA" / "manifest.json").read_text(encoding="utf-8"))


def test_every_task_is_binarized_with_one_dictionary(prepared, manifest):
    dictionaries = {path.read_bytes() for path in (prepared / "DATA").glob("*/dict.*.txt")}
    assert len(dictionaries) == 1
    loaded = Dictionary.load(str(prepared / "DATA" / "cls" / "dict.en.txt"))
    assert len(loaded) == manifest["dictionary"]["size"] == 151
    pairs = {task: "en-en_sum" if task == "ms" else "en-zh" for task in ("cls", "mt", "ms")}
    for task, languages in pairs.items():
        for split, size in SIZES.items():
            for suffix in languages.split("-"):
                path = prepared / "DATA" / task / f"{split}.{languages}.{suffix}"
                assert len(MMapIndexedDataset(str(path))) == size


def test_binaries_decode_to_the_texts_that_are_kept_for_scoring(prepared):
    """Sources within the limit and all references: symbol by symbol what was written in."""
    data = prepared / "DATA"
    segmenter = Segmenter.load(data)
    dictionary = Dictionary.load(str(data / "cls" / "dict.en.txt"))
    for task, languages, suffix in (("cls", "en-zh", "zh"), ("ms", "en-en_sum", "en")):
        binary = MMapIndexedDataset(str(data / task / f"test.{languages}.{suffix}"))
        texts = (data / "text" / f"{task}.test.{suffix}").read_text("utf-8").splitlines()
        raw = (prepared / "corpus" / f"{task}.test.{suffix}").read_text("utf-8").splitlines()
        assert texts == raw
        for number, text in enumerate(texts):
            symbols = " ".join(dictionary[index] for index in binary[number][:-1])
            assert segmenter.decode(symbols, suffix) == text


def test_a_long_source_is_cut_counted_and_not_skipped(prepared, manifest):
    seen = manifest["tasks"]["cls"]["valid"]["source"]
    assert seen["truncated"] == 1
    assert seen["length"]["max"] > 1022
    binary = MMapIndexedDataset(str(prepared / "DATA" / "cls" / "valid.en-zh.en"))
    assert [len(binary[0]), len(binary)] == [1022 + 1, SIZES["valid"]]


def test_a_training_pair_that_is_tested_too_is_reported(prepared, manifest):
    duplicates = {
        f"{task}.{split}": part["duplicates"]
        for task, splits in manifest["tasks"].items()
        for split, part in splits.items()
        if part["duplicates"]
    }
    assert duplicates == {"mt.train": {"pair cls.test": 1}}
    findings = (prepared / "DATA" / "findings.txt").read_text(encoding="utf-8")
    assert findings == "corpus/mt.train.en:6: held-out text, kept: pair cls.test\n"


def test_the_manifest_hashes_what_is_there(prepared, manifest):
    outputs = hashes(prepared / "DATA")
    del outputs["manifest.json"]
    assert manifest["outputs"] == outputs
    for entry in manifest["inputs"]:
        content = (prepared / entry["path"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_second_run_does_nothing_and_says_so(prepared):
    before = {path: path.stat().st_mtime_ns for path in (prepared / "DATA").rglob("*")}
    done = shell(blocks("bash")[0], prepared, check=True)
    assert "was prepared already" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in (prepared / "DATA").rglob("*")} == before


def test_other_settings_are_refused_without_overwrite(prepared):
    refused = shell(blocks("bash")[0].rstrip() + " --seed 2", prepared)
    assert refused.returncode == 1
    assert "--overwrite" in refused.stderr.splitlines()[-1]


def test_the_documented_ways_to_words_and_back_run(prepared, monkeypatch):
    """The second command of docs/data.md prints the manifest as JSON; then the Python snippet."""
    done = shell(blocks("bash")[1], prepared, check=True)
    part = json.loads(done.stdout)["tasks"]["cls"]["train"]
    assert part["pairs"] == SIZES["train"]
    assert part["source"]["length"]["max"] == 30  # the words of each source
    (snippet,) = blocks("python")
    monkeypatch.chdir(prepared)
    exec(snippet, {})


def command(out, *flags):
    languages = ["--source-lang", "en", "--target-lang", "zh", "--vocab-size", "150"]
    return [str(BIN / "vhm"), "prepare", "trio", str(out), *languages, "--workers", "1", *flags]


def kill_when(path, argv):
    """Start a run and kill it without warning as soon as ``path`` exists."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not path.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_and_repeated_run_makes_what_an_undisturbed_one_makes(tmp_path):
    write_sample(tmp_path / "corpus")
    flags = ["--cls", f"lines:{tmp_path}/corpus/cls"]
    subprocess.run(command(tmp_path / "whole", *flags), check=True, capture_output=True)
    disturbed = command(tmp_path / "disturbed", *flags)
    partial = tmp_path / ".disturbed.partial"
    kill_when(partial / "raw" / "cls.train.en", disturbed)
    kill_when(partial / "stages" / "encode cls.train.en.json", disturbed)
    marked = (partial / "spm.model").stat().st_mtime_ns
    kill_when(partial / "cls", disturbed)
    assert not (tmp_path / "disturbed").exists()
    subprocess.run(disturbed, check=True, capture_output=True)
    assert (tmp_path / "disturbed" / "spm.model").stat().st_mtime_ns == marked
    assert hashes(tmp_path / "disturbed") == hashes(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "whole", "disturbed"}


def replace_line(path, number, line):
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = line
    path.write_bytes(b"\n".join(lines))


ERRORS = [
    ("cls.train.en", 7, b"", "corpus/cls.train.en:7: empty line"),
    ("mt.train.zh", 3, b"\xff", "corpus/mt.train.zh:3: broken UTF-8"),
    ("ms.valid.en_sum", 2, b"a\rb", "corpus/ms.valid.en_sum:2: carriage return inside a line"),
    ("cls.test.zh", 1, b"a\nb", "corpus/cls.test.en:14: unequal sides"),
]


@pytest.mark.parametrize(("name", "number", "line", "message"), ERRORS)
def test_an_error_is_one_line_and_leaves_no_data(tmp_path, name, number, line, message):
    write_sample(tmp_path / "corpus")
    replace_line(tmp_path / "corpus" / name, number, line)
    failed = shell(blocks("bash")[0].rstrip() + " --quiet", tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"vhm: error: {message}")
    assert failed.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--cls lines:corpus/nothing", "corpus/nothing.train.en: missing file"),
        ("--vocab-size 3000", "--vocab-size 3000 is more than this text can fill: use at most"),
        ("--spm corpus/cls.train.en", "corpus/cls.train.en: not a SentencePiece model"),
        ("--dict x", "--dict needs --spm"),
        ("--source-lang zh", "--source-lang and --target-lang are the same"),
        ("--segmentation word --source-lang ja", "--segmentation word has no rule for 'ja'"),
        ("--mt-valid lines:x --mt ''", "--mt-valid and --mt-test go with --mt"),
    ],
)
def test_a_flag_that_makes_no_sense_is_one_line(prepared, flags, message):
    documented = blocks("bash")[0].rstrip().replace("DATA", "REFUSED")
    failed = shell(f"{documented} --quiet {flags}", prepared)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"vhm: error: {message}")
    assert failed.stderr.count("\n") == 1
    assert not list(prepared.glob("*REFUSED*")) + list(prepared.glob(".*"))


def test_a_dictionary_has_to_be_of_the_model_s_pieces_and_may_lack_rare_ones(prepared, tmp_path):
    """Else most of the text would be unknown, without a word."""
    lines = (prepared / "DATA" / "dict.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    given, out = tmp_path / "dict.txt", tmp_path / "AGAIN"
    again = f"vhm prepare trio {out} --source-lang en --target-lang zh --cls lines:corpus/cls --quiet "
    again += f"--spm DATA/spm.model --dict {given}"
    given.write_text("".join(lines[20:]), encoding="utf-8")  # without the most frequent
    failed = shell(again, prepared)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"vhm: error: --dict {given} and --spm DATA/spm.model: 20 ")
    assert failed.stderr.endswith("are in one of the two alone; give two that belong together\n")
    given.write_text("".join(lines[:-5]), encoding="utf-8")  # without the rarest
    shell(again, prepared, check=True)
    assert (out / "dict.txt").read_bytes() == given.read_bytes()


def ncls_block(number, rest):
    return f"<doc id={number}>\n{rest}\n</doc>\n"


def write_ncls(folder):
    """Zh2EnSum beside LCSTS, as preprocess/README.md wants them; one block of each part is broken."""
    (folder / "ZH2ENSUM").mkdir(parents=True)
    draw = random.Random(13)
    articles, number = [], 0
    for split, size in SIZES.items():
        summaries = ["<doc id=999999>\n<EN-summary>\nlost\n"]
        for _ in range(size):
            number += 1
            document = "".join(draw.choices("河水上涨大雨桥学校关闭今天恢复", k=40))
            short = "".join(draw.choices("大雨桥学校", k=7))
            english = " ".join(draw.choices(["Flood", "school", "bridge", "rain", "closed"], k=6))
            articles.append(
                ncls_block(
                    number,
                    f"    <summary>\n        {short}\n    </summary>\n"
                    f"    <short_text>\n        {document}\n    </short_text>",
                )
            )
            summaries.append(
                ncls_block(
                    number,
                    f"<EN-summary>\n{english}\n</EN-summary>\n"
                    f"<back-translated-ZH-summary>\n{short}\n</back-translated-ZH-summary>",
                )
            )
        path = folder / "ZH2ENSUM" / f"ZH2ENSUM_{split}.txt"
        path.write_text("".join(summaries), encoding="utf-8")
    draw.shuffle(articles)
    (folder / "PART_I.txt").write_text("".join(articles), encoding="utf-8")


def test_the_script_of_zh2ensum_prepares_the_three_tasks(tmp_path):
    write_ncls(tmp_path / "NCLS-Data")
    script = REPOSITORY / "preprocess" / "ncls_zh2en.sh"
    flags = "--vocab-size 60 --on-error drop --json"
    done = shell(f"{script} DATA NCLS-Data {flags}", tmp_path, check=True)
    tasks = json.loads(done.stdout)["tasks"]
    assert set(tasks) == {"cls", "ms", "mt"}
    for splits in tasks.values():
        for split, part in splits.items():
            assert part["pairs"] == SIZES[split]
            assert part["dropped"] == {"cut-off block": 1}
    findings = (tmp_path / "DATA" / "findings.txt").read_text(encoding="utf-8").splitlines()
    assert findings[0].startswith("NCLS-Data/ZH2ENSUM/ZH2ENSUM_train.txt:1: cut-off block")
    assert (tmp_path / "DATA" / "ms" / "test.zh-zh_sum.zh_sum.idx").exists()
    segmenter = Segmenter.load(tmp_path / "DATA")
    assert segmenter.decode(segmenter.encode("Flood", "en"), "en") == "flood"


def test_the_script_of_en2zhsum_names_a_missing_file(tmp_path):
    script = REPOSITORY / "preprocess" / "ncls_en2zh.sh"
    failed = shell(f"{script} DATA NCLS-Data --quiet", tmp_path)
    assert failed.returncode == 1
    assert failed.stderr == "vhm: error: NCLS-Data/EN2ZHSUM_train.txt: missing file\n"


STREAM = """
import re, sys
sys.argv[0] = "vhm"  # as the command does: without torch and fairseq
from pathlib import Path
from fairseq_vhm.text.segment import WordSegmenter
from preprocess.collect import collect_split
from preprocess.corpus import open_corpus
from preprocess.encoding import encoder
from preprocess.progress import Progress
from preprocess.readers import Request

folder = Path(sys.argv[1])
corpus = open_corpus(Request("cls", "en", "zh"), {"train": f"lines:{folder}/x"}, 10, 1)
sides = folder / "out.en", folder / "out.zh"
collect_split(corpus, "train", sides, folder / "findings", "stop", Progress())
with encoder(WordSegmenter("char"), int(sys.argv[2]), Progress()) as encode:
    encode.encode_file(sides[1], folder / "symbols", "zh", 10)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_memory_does_not_grow_with_the_corpus(tmp_path, workers):
    """Ten times the lines (11 MB of text) take at most a tenth more memory (some 4 MB)."""
    peaks = []
    for lines in (20_000, 200_000):
        folder = tmp_path / str(lines)
        folder.mkdir()
        for part in ("train.en", "train.zh"):
            (folder / f"x.{part}").write_text("河水上涨学校关闭\n" * lines, encoding="utf-8")
        argv = [sys.executable, "-c", STREAM, folder, str(workers)]
        done = subprocess.run(argv, cwd=REPOSITORY, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0]
