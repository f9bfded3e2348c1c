"""Reading outputs and references: what is read right, and what is refused in one line."""

import json

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.outputs import named_files, read_pairs, read_sources, read_systems
from fairseq_vhm.metrics.pieces import join_pieces

# The form of fairseq-generate 0.12 (fairseq_cli/generate.py), batches out of order.
LOG = """2026-01-01 | INFO | fairseq_cli.generate | loading model
S-2\tquelle c
T-2\tref c
H-2\t-0.5\tout c
D-2\t-0.5\tout c .
P-2\t-0.5 -0.5
S-0\tquelle a
T-0\tref a
H-0\t-0.2\tout a
D-0\t-0.2\tout a .
P-0\t-0.1
S-1\tquelle b
T-1\tref b
H-1\t-0.7\t
D-1\t-0.7\t
P-1\t-0.7
Generate test with beam=5: BLEU4 = 1.00
"""
REFERENCE = "ref a\nref b\nref c\n"


@pytest.fixture
def read(tmp_path):
    """Outputs and references of texts written to ``hyp`` and ``ref``."""

    def read_texts(hyp, *refs, lang="en", post_process="none", suffix=""):
        paths = [tmp_path / f"ref{number}{suffix}" for number in range(len(refs))]
        for path, text in zip([tmp_path / "hyp", *paths], [hyp, *refs], strict=True):
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_pairs(tmp_path / "hyp", paths, lang, post_process)

    return read_texts


def test_plain_lines_come_as_they_are(read):
    outputs, references = read("one\n\n two\u2028 \r\n", REFERENCE)
    assert outputs == ["one", "", " two\u2028 "]
    assert references == [["ref a"], ["ref b"], ["ref c"]]


def test_a_missing_last_line_end_changes_nothing(read):
    assert read("a\nb\nc", REFERENCE) == read("a\nb\nc\n", REFERENCE)


def test_a_byte_order_mark_is_no_part_of_the_text(read):
    assert read(b"\xef\xbb\xbfa\nb\nc\n", REFERENCE)[0] == ["a", "b", "c"]


def test_a_log_comes_back_in_the_order_of_the_corpus_detokenized(read):
    assert read(LOG, REFERENCE)[0] == ["out a .", "", "out c ."]


def test_without_detokenized_lines_the_hypotheses_are_read(read):
    log = "".join(line for line in LOG.splitlines(True) if line[0] in "SH")
    assert read(log, REFERENCE)[0] == ["out a", "", "out c"]


def test_a_sorted_log_is_the_same_log(read):
    log = "".join(sorted(LOG.splitlines(True)))
    assert read(log, REFERENCE) == read(LOG, REFERENCE)


def test_of_several_outputs_the_one_of_the_highest_score_is_read(read):
    log = "H-0\t-0.9\tworse\nH-0\t-0.1\tbest\nH-0\t-0.1\tas good\nH-1\t-2\tb\nH-2\t-3e-1\tc\n"
    assert read(log, REFERENCE)[0] == ["best", "b", "c"]


@pytest.mark.parametrize(
    ("log", "complaint"),
    [
        (LOG.replace("-1\t", "-7\t"), "sentence 7 is unknown: .*ref0 has 3 lines"),
        (LOG + LOG, "line 19: sentence 2 again .first on line 2.*not several joined"),
        (LOG[: LOG.index("S-1")], r"1 of 3 sentences are missing \(1\); the log is cut short"),
        (LOG[: LOG.index("D-1")], "sentence 1 lacks its D- line; the log is cut short"),
        (LOG[: LOG.index("P-1")], "sentence 1 lacks its P- line"),
        (LOG[: LOG.index("H-1")], "sentence 1 lacks its H- line"),
        ("S-0\tquelle\n", "a log without outputs"),
        ("H-0\t-0.1\nH-1\t-0.1\tb\nH-2\t-0.1\tc\n", "line 1: not 'H-NUMBER<TAB>SCORE<TAB>TEXT'"),
        ("H-0\tbad\ta\nH-1\t-0.1\tb\nH-2\t-0.1\tc\n", "line 1: not 'H-NUMBER<TAB>SCORE<TAB>TEXT'"),
    ],
)
def test_a_log_that_is_no_whole_run_over_the_reference_is_refused(read, log, complaint):
    with pytest.raises(UserError, match=complaint):
        read(log, REFERENCE)


def test_several_reference_files_give_each_output_all_of_theirs(read):
    _, references = read("x\ny\n", "a\nb\n", "c\n\n")
    assert references == [["a", "c"], ["b"]]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"id": 1, "refs": ["a", "b"]}, ["a", "b"]),
        ({"id": 1, "en": ["x"], "zh": ["甲", "乙"]}, ["甲", "乙"]),
        ({"source": "s", "target": "甲\n乙"}, ["甲\n乙"]),
    ],
)
def test_json_lines_hold_several_references(read, record, expected):
    line = json.dumps(record, ensure_ascii=False) + "\n"
    assert read("x\n", line, lang="zh", suffix=".jsonl")[1] == [expected]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "ref0.jsonl, line 1: not JSON"),
        ("[]", "line 1: no key refs, en or target"),
        ('{"refs": []}', "'refs' is neither a text nor a list of texts"),
        ('{"refs": [1]}', "'refs' is neither a text nor a list of texts"),
    ],
)
def test_json_lines_without_references_are_refused(read, line, complaint):
    with pytest.raises(UserError, match=complaint):
        read("x\n", line, suffix=".jsonl")


@pytest.mark.parametrize(
    ("hyp", "refs", "complaint"),
    [
        ("a\n", ["a\nb\n"], "hyp has 1 lines, .*ref0 has 2; give the same texts"),
        ("a\nb\n", ["a\nb\n", "a\n"], "ref1 has 1 lines, .*ref0 has 2"),
        ("", ["a\n"], "hyp: is empty"),
        ("a\n", ["\n\n"], "ref0: is empty"),
        (b"a\n\xff\n", ["a\nb\n"], "hyp, line 2: not UTF-8 from byte 0xff on; convert"),
        ("▁a ▁b\n", ["a b\n"], "hyp: holds sentencepiece pieces .*--post-process sentencepiece"),
        ("a@@ b\n", ["a b\n"], "hyp: holds subword_nmt pieces .*--post-process subword_nmt"),
        ("a b\n", ["▁a ▁b\n"], "ref0: holds sentencepiece pieces .*give it as plain text"),
    ],
)
def test_files_that_do_not_fit_are_refused(read, hyp, refs, complaint):
    with pytest.raises(UserError, match=complaint):
        read(hyp, *refs)


def test_sources_in_pieces_are_refused(tmp_path):
    """A piece is no word: what is copied of such sources would not be found."""
    (tmp_path / "src").write_text("▁a ▁b\n▁c\n")
    with pytest.raises(UserError, match="src: holds sentencepiece pieces; give the sources as plain text"):
        read_sources(tmp_path / "src", 2, tmp_path / "ref")
    (tmp_path / "src").write_text("a b\nc\n")
    assert read_sources(tmp_path / "src", 2, tmp_path / "ref") == ["a b", "c"]


def test_joining_pieces_of_text_without_any_is_refused(read):
    with pytest.raises(UserError, match="would remove every blank; leave it out"):
        read("a b\n", "a b\n", post_process="sentencepiece")


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="none: cannot be read: No such file"):
        read_pairs(tmp_path / "none", [tmp_path / "none"], "en")


@pytest.mark.parametrize(
    ("post_process", "lang", "text", "joined"),
    [
        ("none", "en", "a b", "a b"),
        ("sentencepiece", "en", "▁the ▁cat s ▁.", "the cats ."),
        ("sentencepiece", "en", "▁price <0xE2> <0x82> <0xAC> 5", "price€5"),
        ("subword_nmt", "en", "the c@@ ats .@@", "the cats ."),
        ("ncls", "en", "▁the ▁cat s <unk>", "the cats<unk>"),
        ("ncls", "en", "<t>the cats</t>", "the cats"),
        ("ncls", "zh", "<t> 北 京 NBA 。 </t>", "北京NBA。"),
    ],
)
def test_pieces_are_joined_as_stated(post_process, lang, text, joined):
    assert join_pieces(text, post_process, lang) == joined


def test_joining_is_what_fairseq_does_under_that_name():
    from fairseq.data.data_utils import post_process

    for name, text in (
        ("sentencepiece", "▁the ▁cat s ▁."),
        ("subword_nmt", "the c@@ ats of@@ ten ."),
    ):
        assert join_pieces(text, name, "en") == post_process(text, name)


def test_characters_that_preparation_replaced_come_back():
    from fairseq_vhm.text.symbols import escape

    text = "full\u3000width▁and\u00a0blank"
    assert join_pieces(escape(text), "none", "en") == text


def test_files_are_named_as_given_or_by_themselves(tmp_path):
    odd = tmp_path / "a=b"
    odd.touch()
    given = ["runs/vhm.txt", "base=runs/x=y.txt", str(odd)]
    assert {name: str(path) for name, path in named_files(given, "--hyp").items()} == {
        "vhm.txt": "runs/vhm.txt",
        "base": "runs/x=y.txt",
        "a=b": str(odd),
    }


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["a/test.log", "b/test.log"], "--hyp: two are named test.log; name them, --hyp NAME=FILE"),
        (["x=a", "x=b"], "two are named x"),
        (["=a"], "--hyp =a: give it as FILE or NAME=FILE"),
        (["a="], "--hyp a=: give it as FILE or NAME=FILE"),
        ([""], "--hyp : give it as FILE or NAME=FILE"),
    ],
)
def test_files_without_a_name_of_their_own_are_refused(given, complaint):
    with pytest.raises(UserError, match=complaint):
        named_files(given, "--hyp")


def test_outputs_of_several_systems_are_each_read_as_one(tmp_path):
    texts = {"lines": "out a\n\nout c\n", "log": "H-2\t0\tc\nH-0\t0\ta\nH-1\t0\tb\n", "ref": REFERENCE}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    systems = {name: tmp_path / name for name in ("lines", "log")}
    outputs, references = read_systems(systems, [tmp_path / "ref"], "en")
    assert outputs == {"lines": ["out a", "", "out c"], "log": ["a", "b", "c"]}
    for name, path in systems.items():
        assert read_pairs(path, [tmp_path / "ref"], "en") == (outputs[name], references)
