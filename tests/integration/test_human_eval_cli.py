"""``vhm human-eval`` as a user runs it, short of the browser (``tests/browser/test_annotate.py``)."""

import json
import re
import zlib

import pytest

CRITERIA = ("informativeness", "conciseness", "fluency")
RATINGS = {"MS-CLS": (2, 3, 4), "VHM": (4, 3, 5)}


@pytest.fixture(scope="module")
def study(run, tmp_path_factory):
    """A study of eight samples from a log in pieces and plain lines, in the folder ``study``."""
    folder = tmp_path_factory.mktemp("human-eval")
    log = [f"H-{number}\t-0.5\t▁summary ▁num ber ▁{number}\n" for number in reversed(range(20))]
    (folder / "vhm.log").write_text("".join(log))
    (folder / "ms_cls.txt").write_text("".join(f"the other {number}\n" for number in range(20)))
    (folder / "test.zh").write_text("".join(f"原文{number}\n" for number in range(20)))
    (folder / "test.en").write_text("".join(f"reference {number}\n" for number in range(20)))
    run("vhm", "human-eval", "sheet", *arguments(folder))
    return folder


def arguments(folder, **changes):
    options = {
        "--src": folder / "test.zh",
        "--ref": folder / "test.en",
        "--source-lang": "zh",
        "--lang": "en",
        "--samples": "8",
        "--annotators": "anna,ben",
        "--out": folder / "study",
    } | changes
    systems = ("--hyp", f"MS-CLS={folder / 'ms_cls.txt'}", "--hyp", f"VHM={folder / 'vhm.log'}")
    processes = ("--post-process", "none", "--post-process", "sentencepiece")
    return [*systems, *processes, *(part for option in options.items() for part in option)]


@pytest.fixture
def exports(study, tmp_path):
    """What the page would export, ben one point below anna on fluency, made from the pages' own data."""
    return [export(study, tmp_path, name, less) for name, less in (("anna", 0), ("ben", 1))]


def data_of(study, annotator) -> dict:
    page = (study / "study" / f"annotate-{annotator}.html").read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def export(study, out, annotator, less):
    data = data_of(study, annotator)
    ratings = {}
    for sample in data["samples"]:
        for output in sample["outputs"]:
            values = RATINGS["VHM" if output["text"].startswith("summary") else "MS-CLS"]
            rated = dict(zip(CRITERIA, values, strict=True))
            ratings[output["item"]] = rated | {"fluency": rated["fluency"] - less}
    values = [(item, *one) for item, rated in ratings.items() for one in rated.items()]
    lines = "\n".join(sorted(f"{item} {name} {value}" for item, name, value in values))
    content = {name: data[name] for name in ("format", "study", "annotator")}
    content |= {"ratings": ratings, "comments": {}, "checksum": f"{zlib.crc32(lines.encode()):08x}"}
    path = out / f"ratings-{annotator}.json"
    path.write_text(json.dumps(content))
    return path


def error_line(process) -> str:
    assert process.returncode == 1 and process.stdout == ""
    [line] = process.stderr.strip().splitlines()
    assert line.startswith("vhm: error: ")
    return line


def test_texts_on_a_page_are_words_in_the_order_of_the_corpus(study):
    data = data_of(study, "anna")
    assert len(data["samples"]) == 8
    for sample in data["samples"]:
        number = sample["source"].removeprefix("原文")
        assert sample["references"] == [f"reference {number}"]
        outputs = {output["text"] for output in sample["outputs"]}
        assert outputs == {f"summary number {number}", f"the other {number}"}


def test_results_are_the_ratings_that_were_given_in_every_form(run, study, exports, tmp_path):
    files = [tmp_path / name for name in ("results.json", "table.md", "table.tex")]
    flags = [part for pair in zip(("--json", "--markdown", "--latex"), files, strict=True) for part in pair]
    key = study / "study" / "key.json"
    process = run("vhm", "human-eval", "results", "--key", key, *exports, *flags)
    content = json.loads(files[0].read_text())
    means = {
        name: [content["average"][name][criterion]["mean"] for criterion in CRITERIA] for name in RATINGS
    }
    assert means == {"MS-CLS": [2, 3, 3.5], "VHM": [4, 3, 4.5]}
    assert content["n"] == 8 and content["annotators"] == ["anna", "ben"]
    assert content["agreement"]["informativeness"]["alpha"] == 1
    assert content["agreement"]["fluency"]["equal"] == 0
    assert content["agreement"]["conciseness"]["reason"] == "all ratings are the same"
    shown = process.stdout.split("\n\n")[0]
    assert re.search(r"^MS-CLS +2\.00 +3\.00 +3\.50$", shown, re.M)
    assert re.search(r"^VHM +4\.00† +3\.00 +4\.50†$", shown, re.M)
    assert re.search(r"^\| MS-CLS +\| +2\.00 \| +3\.00 \| +3\.50 \|$", files[1].read_text(), re.M)
    assert re.search(r"^ VHM +& +4\.00\$\^\{\\dagger\}\$", files[2].read_text(), re.M)
    assert process.stderr == ""


def test_a_missing_annotator_is_a_warning(run, study, exports):
    process = run("vhm", "human-eval", "results", "--key", study / "study" / "key.json", exports[0])
    assert process.stderr == "vhm: warning: no ratings of ben (1 of 2 annotators)\n"
    assert "one annotator" in process.stdout


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"--samples": "21"}, "--samples 21: 20 of 20 lines can be drawn"),
        ({"--seed": "2"}, "holds another study"),
        ({"--out": "nowhere/study"}, "there is no folder nowhere"),
        ({"--src": "nowhere"}, "nowhere: cannot be read"),
    ],
)
def test_a_wrong_sheet_is_one_line(run, study, changes, complaint):
    before = sorted((study / "study").iterdir())
    line = error_line(run("vhm", "human-eval", "sheet", *arguments(study, **changes), fails=True))
    assert complaint in line
    assert sorted((study / "study").iterdir()) == before


def test_wrong_results_are_one_line_and_nothing_is_written(run, study, exports, tmp_path):
    key, out = study / "study" / "key.json", tmp_path / "out.json"
    content = json.loads(exports[0].read_text())
    item = next(iter(content["ratings"]))
    content["ratings"][item]["fluency"] = 7
    exports[0].write_text(json.dumps(content))
    for given, complaint in (
        (["--key", key, exports[0]], "fluency: 7 is not a rating from 1 to 5"),
        (["--key", key, exports[1], exports[1]], "annotator ben again"),
        (["--key", exports[1], exports[1]], "not a key of 'vhm human-eval sheet'"),
        (["--key", key, key], "not the file that the page exports"),
        (["--key", key, exports[1], "--baseline", "Nobody"], "--baseline Nobody: no such system"),
        (["--key", key, exports[1], "--alpha", "2"], "--alpha 2.0: a level lies between 0 and 1"),
    ):
        process = run("vhm", "human-eval", "results", *given, "--json", out, fails=True)
        assert complaint in error_line(process)
    assert not out.exists()


def test_the_command_loads_neither_torch_nor_fairseq(run, study, exports):
    key = study / "study" / "key.json"
    process = run("vhm", "human-eval", "results", "--key", key, *exports, PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert {"fairseq_vhm.human_eval.results", "krippendorff"} <= loaded
    assert not {"torch", "fairseq"} & loaded
