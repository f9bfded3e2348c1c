"""Broken and odd texts through ``vhm score`` and ``vhm compare``: one clear line, or a rule that is told."""

import gzip
import json

import pytest

OUTPUTS = ["the court opened on monday .", "a storm is coming .", "nothing ."]
REFERENCES = ["the courts open on monday .", "the storm comes .", "it rained all day ."]
LOG = [f"H-{number}\t-0.5\t{text}" for number, text in enumerate(OUTPUTS)]


def lines(texts: list[str], end: str = "\n") -> bytes:
    return "".join(text + end for text in texts).encode()


def json_lines(records: list[dict]) -> bytes:
    return lines([json.dumps(record) for record in records])


BROKEN_OUTPUTS = {
    "fewer": (lines(OUTPUTS[:2]), "fewer has 2 lines, "),
    "a blank line more": (lines([*OUTPUTS, ""]), "a blank line more has 4 lines, "),
    "nothing": (b"\n \n\n", "nothing: is empty"),
    "latin-1": ("café\nb\nc\n".encode("latin-1"), "latin-1, line 1: not UTF-8 from byte 0xe9 on"),
    "surrogates": (b"a\n\xed\xa0\x80\nc\n", "surrogates, line 2: not UTF-8"),
    "utf-16": ("\n".join(OUTPUTS).encode("utf-16"), "utf-16: is UTF-16; give plain text in UTF-8"),
    "utf-16-le": ("a\nb\nc".encode("utf-16-le"), "utf-16-le, line 1: holds a NUL byte"),
    "nul": (b"a\nb\0\nc\n", "nul, line 2: holds a NUL byte"),
    "zipped": (gzip.compress(lines(OUTPUTS)), "zipped: is compressed by gzip"),
    "checkpoint.pt": (b"PK\x03\x04archive", "checkpoint.pt: is a zip archive"),
    "cr": (lines(OUTPUTS, "\r"), "cr: its lines end in CR alone"),
    "json": (
        json_lines([{"text": text} for text in OUTPUTS]),
        "json: holds JSON; give the outputs as plain text",
    ),
    "twice": (lines(LOG * 2), "twice, line 4: sentence 0 again (first on line 1)"),
    "gap": (lines([LOG[0], LOG[2]]), "gap: 1 of 3 sentences are missing (1)"),
    "beyond": (lines([*LOG, "H-3\t-0.5\ttext"]), "beyond: sentence 3 is unknown"),
    "nan": (lines([*LOG[:2], "H-2\tnan\ttext"]), "nan, line 3: the score is nan"),
    "no score": (lines([*LOG[:2], "H-2\ttext"]), "no score, line 3: not 'H-NUMBER<TAB>SCORE<TAB>TEXT'"),
    "pieces": (lines(["▁a ▁b"] * 3), "pieces: holds sentencepiece pieces"),
}
BROKEN_REFERENCES = {
    "log": (lines(LOG), "log: is a log of fairseq-generate; give the references as plain text"),
    "json.txt": (json_lines([{"refs": ["a"]}] * 3), "json.txt: holds JSON lines; name it .jsonl"),
    "number.jsonl": (
        json_lines([{"refs": [1]}] * 3),
        "number.jsonl, line 1: 'refs' is neither a text nor a list",
    ),
    "none.jsonl": (json_lines([{"refs": []}] * 3), "none.jsonl, line 1: 'refs' is neither a text nor a list"),
    "half.jsonl": (
        json_lines([{"refs": ["a\ud800"]}] * 3),
        "half.jsonl, line 1: 'refs' holds half of a character",
    ),
    "cut.jsonl": (b'{"refs": ["a"]}\n{"refs": ["b', "cut.jsonl, line 2: not JSON"),
    "more": (lines([*REFERENCES, "more"]), "hyp has 3 lines, "),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    for name, (content, _) in (BROKEN_OUTPUTS | BROKEN_REFERENCES).items():
        (folder / name).write_bytes(content)
    (folder / "hyp").write_bytes(lines(OUTPUTS))
    (folder / "ref").write_bytes(lines(REFERENCES))
    return folder


def assert_one_line(process, complaint: str) -> None:
    [line] = process.stderr.strip().splitlines()
    assert (process.returncode, process.stdout) == (1, "")
    assert line.startswith("vhm: error: ") and complaint in line


@pytest.mark.parametrize("name", BROKEN_OUTPUTS)
def test_broken_outputs_are_refused_in_one_line(run, folder, tmp_path, name):
    arguments = ("--ref", folder / "ref", "--lang", "en", "--json", tmp_path / "out.json")
    score = run("vhm", "score", "--hyp", folder / name, *arguments, "--official", fails=True)
    assert_one_line(score, BROKEN_OUTPUTS[name][1])
    pair = ("--hyp", folder / "hyp", "--hyp", folder / name)
    compare = run("vhm", "compare", *pair, *arguments, fails=True)
    assert_one_line(compare, BROKEN_OUTPUTS[name][1])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", BROKEN_REFERENCES)
def test_broken_references_are_refused_in_one_line(run, folder, name):
    arguments = ("--hyp", folder / "hyp", "--ref", folder / name, "--lang", "en")
    assert_one_line(run("vhm", "score", *arguments, fails=True), BROKEN_REFERENCES[name][1])


def test_a_folder_is_no_file(run, folder):
    process = run("vhm", "score", "--hyp", folder, "--ref", folder / "ref", "--lang", "en", fails=True)
    assert_one_line(process, "cannot be read: Is a directory")


def test_a_missing_perl_or_module_is_one_line_and_writes_nothing(run, folder, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "no_module").mkdir()
    perl = tmp_path / "no_module" / "perl"
    perl.write_text("#!/bin/sh\nexit 2\n")
    perl.chmod(0o755)
    arguments = ("--hyp", folder / "hyp", "--ref", folder / "ref", "--lang", "en", "--official")
    for path, complaint in (("none", "needs Perl, which"), ("no_module", "needs Perl's module DB_File")):
        process = run(
            "vhm", "score", *arguments, "--json", tmp_path / "out.json", fails=True, PATH=str(tmp_path / path)
        )
        assert process.returncode == 1 and process.stdout == ""
        assert complaint in process.stderr.splitlines()[-1] and "Traceback" not in process.stderr
    assert not (tmp_path / "out.json").exists()


ODD = {
    "en": [
        ("the <unk> court opened < on > monday .", "the court opened on monday ."),
        ("a &lt; b &amp; c <b> storm </b> .", "a storm & rain ."),
        ("the\u2028court\x0bopened\ton\x85monday .", "the court opened . on monday ."),
        ("", "it rained ."),
        ("   ", "it rained ."),
        ("word " * 3000, "word by word ."),
        ("\" quoted \\ back ' slash $x @y %z `w` .", '" quoted " back slash .'),
        ("ＦＵＬＬ width， ｍｉｘｅｄ 混合 text .", "full width , mixed text ."),
        (". . .", "rain ."),
    ],
    "zh": [
        ("法院<unk>周一开庭。审理<案件。", "法院周一开庭，审理案件。"),
        ("法院，开庭！２０１６年", "法院,开庭!2016年"),
        ("the court 开庭 NBA。", "法院开庭NBA。"),
        ("", "下雨。"),
        ("法\u2028院\t开庭\u3000。", "法院开庭。"),
        ("。。。", "下雨。"),
    ],
}


@pytest.mark.parametrize("lang", ODD)
def test_odd_texts_score_the_same_by_both_scorers(run, tmp_path, lang):
    from fairseq_vhm.errors import UserError
    from fairseq_vhm.metrics.rouge155 import find_perl, find_script

    try:
        find_perl(), find_script()
    except UserError as error:
        pytest.skip(str(error))
    for name, texts in zip(("hyp", "ref"), zip(*ODD[lang], strict=True), strict=True):
        (tmp_path / name).write_bytes(lines(list(texts)))
    arguments = ("--hyp", tmp_path / "hyp", "--ref", tmp_path / "ref", "--lang", lang, "--metrics", "rouge")
    tables = [
        run("vhm", "score", *arguments, *flags).stdout.splitlines()[:5] for flags in ((), ("--official",))
    ]
    assert tables[0] == tables[1]
    assert float(tables[0][1].split()[1]) > 20


def test_what_is_no_part_of_the_text_changes_no_figure(run, folder, tmp_path):
    same = {
        "crlf": lines(OUTPUTS, "\r\n"),
        "byte order mark": b"\xef\xbb\xbf" + lines(OUTPUTS),
        "no last end": lines(OUTPUTS)[:-1],
        "log": lines(LOG[::-1]),
        "other blanks": lines([OUTPUTS[0].replace(" ", " \u2028", 1), *OUTPUTS[1:]]),
    }
    arguments = ("--ref", folder / "ref", "--lang", "en", "--metrics", "rouge,bleu")
    plain = run("vhm", "score", "--hyp", folder / "hyp", *arguments)
    for name, written in same.items():
        (tmp_path / name).write_bytes(written)
        other = run("vhm", "score", "--hyp", tmp_path / name, *arguments)
        assert (other.stdout, other.stderr) == (plain.stdout, ""), name


def test_a_new_line_within_a_json_text_ends_a_sentence(run, tmp_path):
    (tmp_path / "hyp").write_bytes(lines(["one two three four"]))
    refs = {"broken": "three four\none two", "whole": "three four one two"}
    for name, text in refs.items():
        (tmp_path / f"{name}.jsonl").write_bytes(json_lines([{"refs": [text]}]))
    rows = {}
    for name in refs:
        arguments = ("--hyp", tmp_path / "hyp", "--ref", tmp_path / f"{name}.jsonl", "--lang", "en")
        out = run("vhm", "score", *arguments, "--metrics", "rouge").stdout.splitlines()
        rows[name] = [line.split()[1] for line in out[1:4]]
    # By hand, from Lin (2004): each sentence has its own longest common subsequence.
    assert rows == {"broken": ["100.00", "66.67", "100.00"], "whole": ["100.00", "66.67", "50.00"]}


@pytest.mark.parametrize(
    ("texts", "references", "lang", "warning"),
    [
        (
            ["a court", ""],
            ["the court", "rain"],
            "en",
            "1 of 2 (first: line 2) outputs are empty and score 0",
        ),
        (
            ["<unk> court", "rain"],
            ["court", "storm"],
            "en",
            "1 of 2 (first: line 1) outputs hold unknown words",
        ),
        (["court", "rain"], ["court", "rain"], "en", "2 of 2 outputs are equal to their reference"),
        (
            ["a,b!c?", "你,他:她;"] * 3,
            ["你，他！她？", "你，他：她；"] * 3,
            "zh",
            "punctuation of outputs are half-width",
        ),
        (["法院開庭審理經濟"] * 6, ["法院开庭审理经济"] * 6, "zh", "characters of outputs are traditional"),
        (["court", "开庭"], ["法院", "开庭审理"], "zh", "1 of 2 (first: line 1) outputs hold no letter"),
        (["court", "rain"], ["法院", "开庭审理"], "zh", "outputs are in LATIN script, references in CJK"),
    ],
)
def test_what_is_odd_is_counted_and_told(run, tmp_path, texts, references, lang, warning):
    (tmp_path / "hyp").write_bytes(lines(texts))
    (tmp_path / "ref").write_bytes(lines(references))
    arguments = ("--hyp", tmp_path / "hyp", "--ref", tmp_path / "ref", "--lang", lang)
    process = run("vhm", "score", *arguments, "--metrics", "length")
    assert f"vhm: warning: {warning}" in process.stderr
