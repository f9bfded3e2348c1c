"""vhm score --corpus, and vhm report on the folder that it writes."""

import json

import many_languages as many
import pytest

from fairseq_vhm.data.corpus import Corpus
from fairseq_vhm.report.build import Options, build

WRONG = "the court opened on a monday and it was open when rain fell"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """DATA, and a log in which outputs to German are the references and those to Chinese English."""
    folder = tmp_path_factory.mktemp("pairs")
    examples = many.examples_of(Corpus.open(many.write_corpus(folder / "DATA")))
    outputs = {
        number: WRONG if target == "zh-CN" else reference
        for number, (_, target, reference, _) in enumerate(examples)
    }
    many.write_outputs(folder / "test.log", outputs)
    return folder


@pytest.fixture(scope="module")
def score(forked, folder):
    """vhm score of the corpus: the process, and what is in its folder."""

    def command(out, *flags, hyp="test.log", **settings):
        given = ("--corpus", folder / "DATA", "--hyp", folder / hyp, "--out", out)
        return forked("vhm", "score", *given, *flags, **settings)

    return command


@pytest.fixture(scope="module")
def runs(score, folder):
    (folder / "runs").mkdir()
    process = score(folder / "runs" / "m2m", "--min-pair-size", 2)
    return folder / "runs", process


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_each_pair_has_a_file_and_all_have_a_summary(runs):
    out = runs[0] / "m2m"
    names = ["de-en", "en-de", "en-en", "en-zh-CN", "zh-CN-en"]
    files = [f"scores.{name}.json" for name in names] + ["scores.pairs.json", "scores.pairs.md"]
    assert sorted(path.name for path in out.iterdir()) == sorted(files)
    one = read(out / "scores.en-zh-CN.json")
    assert (one["source"], one["target"], one["n"]) == ("en", "zh-CN", 3)
    whole = read(out / "scores.pairs.json")
    assert whole["examples"] == 12 and whole["discarded"] == {"de-en": 1}
    assert whole["means"]["all"]["pairs"] == 4
    assert whole["pairs"]["en-de"]["rouge2"] == 100
    assert whole["means"]["target"]["de"] == {"pairs": 1, **_headlines(whole["pairs"]["en-de"])}


def _headlines(pair):
    return {name: value for name, value in pair.items() if name != "n"}


def test_a_pairs_file_is_what_scoring_its_files_writes(forked, folder, runs, tmp_path):
    examples = many.examples_of(Corpus.open(folder / "DATA"))
    some = [reference for source, target, reference, _ in examples if (source, target) == ("en", "zh-CN")]
    (tmp_path / "ref").write_text("".join(f"{text}\n" for text in some), encoding="utf-8")
    (tmp_path / "hyp").write_text(f"{WRONG}\n" * len(some), encoding="utf-8")
    given = ("--hyp", tmp_path / "hyp", "--ref", tmp_path / "ref", "--lang", "zh-CN")
    forked("vhm", "score", *given, "--metrics", "rouge,offtarget,length", "--json", tmp_path / "out.json")
    own = read(runs[0] / "m2m" / "scores.en-zh-CN.json")
    assert read(tmp_path / "out.json") == {key: own[key] for key in ("metric", "signature", "n")}


def test_a_wrong_language_is_the_first_thing_that_is_said(runs):
    process = runs[1]
    [line] = [line for line in process.stderr.splitlines() if "WRONG LANGUAGE" in line]
    assert "3 of 12 outputs (25.0 %" in line and "to zh-CN 100.0 % (en 3)" in line
    printed = process.stdout.splitlines()
    assert printed[0] == "Wrong language: 25.0 % of outputs"
    assert printed[4].split()[:2] == ["all", "25.0"]
    assert printed[5].split()[:2] == ["zh-CN", "100.0"] and printed[5].endswith("en 3")
    text = (runs[0] / "m2m" / "scores.pairs.md").read_text(encoding="utf-8")
    assert text.startswith("**WRONG LANGUAGE: 3 of 12 outputs")


def test_what_is_left_out_is_said(runs):
    assert "LaSE is left out: it needs --labse and --lid" in runs[1].stderr
    assert "1 of 5 pairs have fewer than 2 examples (1 together)" in runs[1].stdout
    assert read(runs[0] / "m2m" / "scores.pairs.json")["remarks"] == [
        "LaSE is left out: it needs --labse and --lid"
    ]


def test_by_default_pairs_of_fewer_than_30_examples_count_in_no_mean(score, tmp_path):
    score(tmp_path / "out")
    whole = read(tmp_path / "out" / "scores.pairs.json")
    assert whole["min_pair_size"] == 30 and whole["means"]["all"] == {"pairs": 0}
    assert len(whole["discarded"]) == 5 and whole["off_target"]["all"]["off"] == 3


def test_a_second_scoring_replaces_the_files_of_the_first_and_no_others(score, folder, tmp_path):
    score(tmp_path / "out")
    (tmp_path / "out" / "scores.fr-en.json").write_text("{}")
    examples = many.examples_of(Corpus.open(folder / "DATA"))
    some = {n: "x" for n, (source, target, *_) in enumerate(examples) if (source, target) == ("en", "de")}
    many.write_outputs(folder / "some.jsonl", some)
    process = score(tmp_path / "out", hyp="some.jsonl")
    names = sorted(path.name for path in (tmp_path / "out").glob("*.json"))
    assert names == ["scores.en-de.json", "scores.fr-en.json", "scores.pairs.json"]
    said = "4 pairs of 'test' have no outputs in some.jsonl: de-en, en-en, en-zh-CN, zh-CN-en"
    assert said in process.stderr


def test_models_give_lase_by_both_references(score, tmp_path):
    import tiny_encoders

    labse = tiny_encoders.sentence_transformer(tmp_path / "labse")
    lid = tiny_encoders.language_model(tmp_path / "lid.bin")
    process = score(tmp_path / "out", "--labse", labse, "--lid", lid, "--device", "cpu")
    metric = read(tmp_path / "out" / "scores.en-de.json")["metric"]
    assert metric["lase"]["value"] == pytest.approx(100)  # the outputs are the references
    assert metric["lase_source"]["n"] == 4 and metric["lase_source"]["value"] < 100
    assert "LaSE by source" in process.stdout and "left out" not in process.stderr


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--split", "valid"), "has no split 'valid'; it has test"),
        (("--ref", "x"), "--ref: does nothing beside --corpus; leave it out"),
        (("--swap-roles",), "--swap-roles: does nothing beside --corpus"),
        (("--metrics", "copy"), "--metrics copy: needs sources as text"),
        (("--metrics", "lase"), "--metrics lase needs --labse and --lid"),
        (("--hyp", "none"), "none: cannot be read"),
        (("--corpus", "none"), "none/corpus.json: missing"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_writes_nothing(score, tmp_path, flags, complaint):
    process = score(tmp_path / "out", *flags, fails=True)
    [line] = process.stderr.strip().splitlines()
    assert line.startswith("vhm: error: ") and complaint in line and process.returncode == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--hyp", "h"), "give --ref and --lang, or --corpus"),
        (("--hyp", "h", "--ref", "r"), "give --ref and --lang, or --corpus"),
        (("--hyp", "h", "--ref", "r", "--lang", "en", "--out", "o"), "--out: does nothing beside --ref"),
        (("--hyp", "h", "--corpus", "DATA"), "--corpus: give --out"),
    ],
)
def test_flags_that_lack_or_exclude_each_other_are_one_line(forked, flags, complaint):
    process = forked("vhm", "score", *flags, fails=True)
    [line] = process.stderr.strip().splitlines()
    assert complaint in line and process.returncode == 1


@pytest.fixture(scope="module")
def report(runs):
    return build(runs[0], Options(), lambda pairs, what: pairs)


def test_the_report_begins_with_wrong_languages(report):
    [line] = report.warnings
    assert line.startswith("m2m: WRONG LANGUAGE: 3 of 12 outputs")
    assert report.tables[0].title == "Wrong language: 25.0 % of outputs, m2m"
    assert report.figures[0].name == "wrong_language_m2m"
    assert report.figures[0].data["en-zh-CN"]["instead"] == {"en": 3}
    assert report.markdown().splitlines()[2] == f"**{line}**"
    assert report.as_json()["warnings"] == [line]
    page = report.page()
    assert 0 < page.index(line) < page.index('role="tablist"' if 'role="tablist"' in page else "<section")


def test_the_report_leaves_the_same_pairs_out_of_the_same_means(runs, report):
    whole = read(runs[0] / "m2m" / "scores.pairs.json")
    (table,) = [one for one in report.tables if one.title == "Pairs of languages"]
    assert table.rows[0][1:3] == ["4 of 5", "12"]
    assert table.rows[0][3] == f"{whole['means']['all']['rouge2']:.2f}"
    (bars,) = [one for one in report.figures if one.name == "languages_rouge2"]
    expected = {lang: mean["rouge2"] for lang, mean in whole["means"]["target"].items()}
    assert bars.data["target"]["m2m"] == pytest.approx(expected)
    (bubbles,) = [one for one in report.figures if one.name == "pairs_rouge2_m2m"]
    assert set(bubbles.data) == {"en-de", "en-zh-CN", "zh-CN-en", "en-en"}
    assert "1 of 5 pairs have fewer than 2 examples" in bubbles.caption


def test_a_run_with_its_log_beside_its_scores_lacks_nothing(runs, folder, report):
    import shutil

    shutil.copy(folder / "test.log", runs[0] / "m2m" / "test.log")
    again = build(runs[0], Options(), lambda pairs, what: pairs)
    assert [run.missing for run in again.runs] == [[]]
    assert [one.title for one in again.tables] == [one.title for one in report.tables]
