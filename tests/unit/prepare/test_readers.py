"""Every format is read as its description says, and everything wrong has its file and line."""

import json
import re

import pytest

from fairseq_vhm.errors import UserError
from preprocess.readers import READERS, ReaderOptions, Request, open_spec, register_reader
from preprocess.records import Level, Pair, Problem


def read(spec, task="cls", languages=("en", "zh"), split="train", **options):
    """All items that a specification gives for a split."""
    reader = open_spec(spec, Request(task, *languages, ReaderOptions(**options)))
    return list(reader.read(reader.files(split)))


def texts(items):
    """Sources and targets; fails on problems."""
    assert all(isinstance(item, Pair) for item in items), items
    return [(item.source, item.target) for item in items]


def write(path, *lines, end=b"\n"):
    """Write lines, text or bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
    path.write_bytes(b"".join(line + end for line in encoded))
    return path


BAD_LINES = [
    (b"", "empty line"),
    (b" \t\xe3\x80\x80", "empty line"),
    ("\u200b \ufeff\u200b".encode(), "empty line"),
    (b"caf\xe9", "broken UTF-8: byte 4 of the line"),
    (b"\xef\xbb\xbfa mark", "byte order mark"),
    (b"one\rtwo", "carriage return inside a line"),
    (b"zero\x00byte", "NUL character"),
    ("line\u2028separator".encode(), "line-breaking character U+2028: character 5"),
    ("next\x85line".encode(), "line-breaking character U+0085"),
    (b"form\x0cfeed", "line-breaking character U+000C"),
]


@pytest.mark.parametrize(("line", "message"), BAD_LINES)
@pytest.mark.parametrize("side", ["en", "zh"])
def test_a_bad_line_is_named_by_file_and_line(tmp_path, line, message, side):
    for suffix in ("en", "zh"):
        bad = line if suffix == side else b"good"
        write(tmp_path / f"x.train.{suffix}", "first", bad, "third")
    first, problem, third = read(f"lines:{tmp_path}/x")
    assert (first.source, third.source) == ("first", "third")
    assert str(problem).startswith(f"{tmp_path}/x.train.{side}:2: {message}")
    assert problem.level is Level.ERROR


def test_lines_pairs_line_n_with_line_n(tmp_path):
    write(tmp_path / "x.train.en", "a cat", " two  blanks ")
    write(tmp_path / "x.train.zh", "猫", "两\u3000个")
    items = read(f"lines:{tmp_path}/x")
    assert texts(items) == [("a cat", "猫"), ("two  blanks", "两\u3000个")]
    assert items[1].origin == f"{tmp_path}/x.train.en:2"


def test_windows_line_ends_are_line_ends(tmp_path):
    write(tmp_path / "x.train.en", "a", "b", end=b"\r\n")
    write(tmp_path / "x.train.zh", "一", "二")
    assert texts(read(f"lines:{tmp_path}/x")) == [("a", "一"), ("b", "二")]


def test_a_last_line_without_end_counts(tmp_path):
    write(tmp_path / "x.train.en", "a", end=b"")
    write(tmp_path / "x.train.zh", "一", end=b"")
    assert texts(read(f"lines:{tmp_path}/x")) == [("a", "一")]


@pytest.mark.parametrize(("short", "long"), [("en", "zh"), ("zh", "en")])
def test_unequal_sides_are_fatal_and_say_both_counts(tmp_path, short, long):
    write(tmp_path / f"x.train.{short}", "1", "2")
    write(tmp_path / f"x.train.{long}", "1", "2", "3", "4", "5")
    problem = read(f"lines:{tmp_path}/x")[-1]
    assert problem.level is Level.FATAL
    assert str(problem).startswith(f"{tmp_path}/x.train.{short}:3: unequal sides: ")
    assert f"x.train.{short} has 2 lines" in str(problem)
    assert f"x.train.{long} has 5" in str(problem)


def test_summaries_in_the_same_language_have_a_suffix_of_their_own(tmp_path):
    write(tmp_path / "ms.train.en", "long")
    write(tmp_path / "ms.train.en_sum", "short")
    assert texts(read(f"lines:{tmp_path}/ms", task="ms")) == [("long", "short")]


def test_jsonl_reads_the_keys_that_the_specification_names(tmp_path):
    record = {"source": "s", "target": "t", "document": "d", "summary": "k"}
    write(tmp_path / "train.jsonl", json.dumps(record))
    assert texts(read(f"jsonl:{tmp_path}")) == [("s", "t")]
    assert texts(read(f"jsonl:{tmp_path}#document,summary")) == [("d", "k")]


def test_jsonl_turns_line_breaks_inside_a_value_into_one_blank(tmp_path):
    write(tmp_path / "x.train.jsonl", json.dumps({"source": "one\n\r\ntwo", "target": "一"}))
    assert texts(read(f"jsonl:{tmp_path}/x")) == [("one two", "一")]


def test_jsonl_leaves_out_other_languages_and_counts_them(tmp_path):
    records = [
        {"source_lang": source, "target_lang": target, "source": source, "target": target}
        for source, target in (("en", "zh"), ("fr", "zh"), ("en", "de"))
    ]
    write(tmp_path / "train.jsonl", *map(json.dumps, records))
    first, *others = read(f"jsonl:{tmp_path}")
    assert (first.source, first.target) == ("en", "zh")
    assert [(other.reason, other.level) for other in others] == [("other languages", Level.FILTERED)] * 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "missing key: 'source'"),
        ('{"source": "s"}', "missing key: 'target'"),
        ('{"source": "s", "target": 3}', "not a string key: 'target'"),
        ('{"source": "s", "target": " \\n"}', "empty text: 'target'"),
        ('{"source": "a\\u2028b", "target": "t"}', "line-breaking character U+2028"),
        ('{"source": "\\ud800", "target": "t"}', "broken UTF-8: lone surrogate"),
        ("", "empty line"),
        (b'{"source": "\xff", "target": "t"}', "broken UTF-8"),
    ],
)
def test_a_bad_jsonl_line_is_named_by_file_and_line(tmp_path, line, message):
    good = json.dumps({"source": "s", "target": "t"})
    write(tmp_path / "train.jsonl", good, line, good)
    _, problem, _ = read(f"jsonl:{tmp_path}")
    assert str(problem).startswith(f"{tmp_path}/train.jsonl:2: {message}")


def test_parallel_reads_two_files_or_one_with_both_sides(tmp_path):
    write(tmp_path / "two.zh", "一", "二")
    write(tmp_path / "two.en", "one", "two")
    write(tmp_path / "bars", "一 ||| one", "二|||two")
    write(tmp_path / "tabs", "一\tone", "二\ttwo")
    for name in ("two", "bars", "tabs"):
        items = read(f"parallel:{tmp_path}/{name}", task="mt", languages=("zh", "en"))
        assert texts(items) == [("一", "one"), ("二", "two")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no sides", "no separator"),
        ("a ||| b ||| c", "not two sides: 3 sides"),
        ("a ||| ", "empty line"),
        ("", "no separator"),
    ],
)
def test_a_bad_joined_line_is_named_by_file_and_line(tmp_path, line, message):
    path = write(tmp_path / "mt", "一 ||| one", line)
    _, problem = read(f"parallel:{path}", task="mt")
    assert str(problem).startswith(f"{path}:2: {message}")


LCSTS_BLOCK = """<doc id={}>
    <human_label>{}</human_label>
    <summary>
        摘要{}
    </summary>
    <short_text>
        正文{}
    </short_text>
</doc>"""


def test_lcsts_pairs_short_texts_with_summaries(tmp_path):
    block = LCSTS_BLOCK.replace("    <human_label>{}</human_label>\n", "")
    write(tmp_path / "PART_I.txt", block.format(0, 0, 0), block.format(1, 1, 1))
    items = read(f"lcsts:{tmp_path}", task="ms", languages=("zh", "en"))
    assert texts(items) == [("正文0", "摘要0"), ("正文1", "摘要1")]
    assert items[1].origin == f"{tmp_path}/PART_I.txt:9"


def test_lcsts_leaves_out_low_labels_and_counts_them(tmp_path):
    blocks = [LCSTS_BLOCK.format(n, label, n, n) for n, label in enumerate((5, 2, 3, 1))]
    write(tmp_path / "PART_III.txt", *blocks)
    items = read(f"lcsts:{tmp_path}", "ms", ("zh", "en"), split="test")
    assert [isinstance(item, Pair) for item in items] == [True, False, True, False]
    assert (items[1].reason, items[1].level) == ("human label below 3", Level.FILTERED)
    assert all(
        isinstance(item, Pair)
        for item in read(f"lcsts:{tmp_path}", "ms", ("zh", "en"), "test", lcsts_min_label=1)
    )


def test_lcsts_for_another_task_is_refused():
    with pytest.raises(UserError, match="use it as --ms with --source-lang zh"):
        open_spec("lcsts:x", Request("cls", "zh", "en"))


GOOD = LCSTS_BLOCK.format(9, 5, 9, 9)
BROKEN_BLOCKS = [
    ("<doc id=1>\n<summary>\nx\n</summary>", 2, "cut-off block: no </doc>: the file ends", False),
    ("<doc id=1>\n<summary>\nx\n</summary>", 2, "cut-off block: no </doc>: the next one", True),
    ("<doc id=1>\n<summary>\nx\n</doc>", 5, "cut-off block: <summary> is not closed", True),
    ("<doc id=1>\n<summary>\nx\n<short_text>\ny", 5, "cut-off block: <summary> is not", True),
    ("<doc id=1>\n</summary>\n</doc>", 3, "cut-off block: </summary>", True),
    ("<doc id=1>\n<title>\nx\n</title>\n</doc>", 3, "unknown tag: <title>; pass over it", True),
    ("<doc id=1>\nstray\n</doc>", 3, "text outside of tags: stray", True),
    ("stray", 2, "text outside of blocks", True),
    ("<doc id=1>\n<summary>\nx\n</summary>\n</doc>", 2, "missing element: no <short_text>", True),
    (
        "<doc id=1>\n<short_text>\n</short_text>\n<summary>\nx\n</summary>\n</doc>",
        2,
        "empty text: <short_text>",
        True,
    ),
    (GOOD.replace("5<", "five<"), 2, "human label is no number: five", True),
]


@pytest.mark.parametrize(("block", "line", "message", "goes_on"), BROKEN_BLOCKS)
def test_a_broken_block_is_one_problem_and_the_next_is_read(tmp_path, block, line, message, goes_on):
    path = write(tmp_path / "x.txt", "", block, *([GOOD] if goes_on else []))
    problem, *rest = read(f"lcsts:{path}", "ms", ("zh", "en"), split=None)
    assert str(problem).startswith(f"{path}:{line}: {message}")
    assert isinstance(problem, Problem)
    assert texts(rest) == [("正文9", "摘要9")] * goes_on


def test_broken_utf8_in_a_block_costs_that_block_only(tmp_path):
    path = write(tmp_path / "x.txt", GOOD, GOOD.encode().replace("摘要".encode(), b"\xff"), GOOD)
    first, problem, last = read(f"lcsts:{path}", "ms", ("zh", "en"), split=None)
    assert (first.source, last.source) == ("正文9", "正文9")
    assert str(problem).startswith(f"{path}:13: broken UTF-8")


def test_an_ignored_tag_is_passed_over_with_any_case_and_number(tmp_path):
    block = GOOD.replace("<summary>", "<Title-2>\n你\n</Title-2>\n<summary>", 1)
    path = write(tmp_path / "x.txt", block)
    items = read(f"lcsts:{path}", "ms", ("zh", "en"), None, ignore_tags=("title-1",))
    assert texts(items) == [("正文9", "摘要9")]


def test_text_that_looks_like_a_tag_stays_text(tmp_path):
    path = write(tmp_path / "x.txt", GOOD.replace("摘要9", "<unk>"))
    assert texts(read(f"lcsts:{path}", "ms", ("zh", "en"), None)) == [("正文9", "<unk>")]


def tagged(tag, text):
    """An element as NCLS writes it, on three lines."""
    return f"<{tag}>\n{text}\n</{tag}>"


def document(number, *elements):
    """A block of NCLS."""
    return "\n".join([f"<doc id={number}>", *elements, "</doc>"])


EN2ZH_TRAIN = document(
    7,
    tagged("Article", "A long story ."),
    *(
        tagged(tag, text)
        for n in (1, 2)
        for tag, text in (
            (f"EN-REF{n}", f"Fact {n} ."),
            (f"ZH-REF{n}", f"事实{n}。"),
            (f"back-translated-EN-REF{n}", f"Truth {n} ."),
        )
    ),
)
EN2ZH_TEST = document(
    8,
    tagged("Article", "Another story ."),
    tagged("EN-REF1", "Fact ."),
    tagged("ZH-REF1", "机器翻译。"),
    tagged("ZH-REF1-human-corrected", "人工校正。"),
    tagged("back-translated-EN-REF1", "Truth ."),
)
ZH2EN_TRAIN = document(
    3,
    tagged("EN-summary", "flood closes schools"),
    tagged("back-translated-ZH-summary", "洪水关闭学校"),
)
ZH2EN_TEST = document(
    5,
    tagged("EN-summary", "machine output"),
    tagged("EN-summary-human-corrected", "corrected output"),
    tagged("back-translated-ZH-summary", "机器输出"),
)
LCSTS_PART_I = [
    LCSTS_BLOCK.replace("    <human_label>{}</human_label>\n", "").format(n, n, n) for n in (5, 3, 4)
]


@pytest.fixture
def ncls(tmp_path):
    """Both corpora in the released layout, Zh2EnSum beside LCSTS."""
    write(tmp_path / "EN2ZHSUM" / "EN2ZHSUM_train.txt", EN2ZH_TRAIN)
    write(tmp_path / "EN2ZHSUM" / "EN2ZHSUM_test.txt", EN2ZH_TEST)
    write(tmp_path / "ZH2ENSUM" / "ZH2ENSUM_train.txt", ZH2EN_TRAIN)
    write(tmp_path / "ZH2ENSUM" / "ZH2ENSUM_test.txt", ZH2EN_TEST)
    write(tmp_path / "PART_I.txt", *LCSTS_PART_I)
    return tmp_path


@pytest.mark.parametrize(
    ("languages", "split", "task", "expected"),
    [
        ("en zh", "train", "cls", ("A long story .", "事实1。事实2。")),
        ("en zh", "train", "ms", ("A long story .", "Fact 1 . Fact 2 .")),
        ("en zh", "train", "mt", ("Fact 1 . Fact 2 .", "事实1。事实2。")),
        ("en zh", "test", "cls", ("Another story .", "人工校正。")),
        ("zh en", "train", "cls", ("正文3", "flood closes schools")),
        ("zh en", "train", "ms", ("正文3", "摘要3")),
        ("zh en", "train", "mt", ("摘要3", "flood closes schools")),
        ("zh en", "test", "cls", ("正文5", "corrected output")),
    ],
)
def test_ncls_gives_three_tasks_in_each_direction(ncls, languages, split, task, expected):
    assert texts(read(f"ncls:{ncls}", task, languages.split(), split)) == [expected]


def test_ncls_finds_its_files_in_the_folder_itself(ncls):
    assert texts(read(f"ncls:{ncls}/EN2ZHSUM"))
    assert texts(read(f"ncls:{ncls}/ZH2ENSUM", languages=("zh", "en")))


def test_ncls_without_lcsts_translates_back_translations_but_has_no_documents(ncls):
    (ncls / "PART_I.txt").unlink()
    mt = read(f"ncls:{ncls}", "mt", ("zh", "en"))
    assert texts(mt) == [("洪水关闭学校", "flood closes schools")]
    (problem,) = read(f"ncls:{ncls}", "cls", ("zh", "en"))
    assert problem.level is Level.FATAL
    assert "--ncls-articles" in str(problem)


def test_ncls_takes_the_lcsts_file_that_is_named(ncls):
    (ncls / "PART_I.txt").rename(ncls / "elsewhere")
    items = read(f"ncls:{ncls}", "cls", ("zh", "en"), ncls_articles=str(ncls / "elsewhere"))
    assert texts(items) == [("正文3", "flood closes schools")]


def test_ncls_names_a_document_that_lcsts_lacks(ncls):
    path = ncls / "ZH2ENSUM" / "ZH2ENSUM_train.txt"
    write(path, ZH2EN_TRAIN, ZH2EN_TRAIN.replace("id=3", "id=44"))
    _, problem = read(f"ncls:{ncls}", "cls", ("zh", "en"))
    assert str(problem) == f"{path}:9: no article: {ncls}/PART_I.txt has no <doc id=44>"


def test_ncls_names_the_lcsts_line_of_a_broken_document(ncls):
    write(ncls / "PART_I.txt", *(block.replace("</summary>", "") for block in LCSTS_PART_I))
    (problem,) = read(f"ncls:{ncls}", "cls", ("zh", "en"))
    assert str(problem).startswith(f"{ncls}/PART_I.txt:13: cut-off block")


def test_an_unknown_ncls_tag_is_named(ncls):
    path = write(ncls / "EN2ZHSUM" / "EN2ZHSUM_valid.txt", document(1, tagged("FR-REF1", "x")))
    (problem,) = read(f"ncls:{ncls}", split="valid")
    assert str(problem).startswith(f"{path}:2: unknown tag: <FR-REF1>")


def test_ncls_takes_a_validation_file_that_is_named_by_itself_with_lcsts_beside_it(ncls):
    named = ncls / "ZH2ENSUM" / "ZH2ENSUM_train.txt"
    (ncls / "PART_I.txt").rename(named.with_name("PART_I.txt"))
    reader = open_spec(f"ncls:{named}", Request("cls", "zh", "en"))
    assert list(reader.read(reader.files(None))) == read(f"ncls:{ncls}", "cls", ("zh", "en"))


def test_ncls_names_a_block_without_a_summary_in_the_language_that_is_asked_for(ncls):
    path = write(ncls / "EN2ZHSUM" / "EN2ZHSUM_train.txt", "<doc id=1>", "<Article>a</Article>", "</doc>")
    (problem,) = read(f"ncls:{ncls}")
    assert str(problem) == f"{path}:1: missing element: no <zh-summary>"


def test_ncls_names_a_document_that_ends_with_the_file_of_lcsts(ncls):
    write(ncls / "PART_I.txt", LCSTS_PART_I[0], LCSTS_PART_I[1].rpartition("</doc>")[0])
    (problem,) = read(f"ncls:{ncls}", "cls", ("zh", "en"))
    assert problem.reason == "cut-off block" and "the file ends" in problem.detail


def test_ncls_in_other_languages_is_refused():
    with pytest.raises(UserError, match="NCLS holds zh and en, not fr and en"):
        open_spec("ncls:x", Request("cls", "fr", "en"))


@pytest.mark.parametrize("spec", ["", "lines", "lines:", "csv:x", "x/y"])
def test_a_specification_without_format_or_path_is_refused(spec):
    with pytest.raises(UserError, match="write FORMAT:PATH, FORMAT one of lines, jsonl"):
        open_spec(spec, Request("cls", "en", "zh"))


@pytest.mark.parametrize("keys", ["text", "a,b,c", "a,"])
def test_jsonl_wants_two_keys(keys):
    with pytest.raises(UserError, match="name two keys after '#', as in #source,target"):
        open_spec(f"jsonl:x#{keys}", Request("cls", "en", "zh"))


@pytest.mark.parametrize("name", ["lines", "two words", "a:b", "2nd", "a-b", ""])
def test_a_format_whose_name_is_taken_or_cannot_stand_before_a_path_is_no_format(name):
    before = dict(READERS)
    told = f"a format named '{name}': take a name that no format has, of letters, _ and digits (not first)"
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        register_reader(name, READERS["lines"])
    assert before == READERS


def test_a_formats_name_may_be_what_the_refusal_says():
    register_reader("_my_2nd", READERS["lines"])
    assert READERS.pop("_my_2nd") is READERS["lines"]
