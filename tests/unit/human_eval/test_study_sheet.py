"""Pages tell nothing about the systems; a study's folder is never overwritten."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.human_eval.key import read_key
from fairseq_vhm.human_eval.sheet import make_sheets, parse_annotators


def data_of(page) -> dict:
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_renaming_systems_and_files_changes_nothing_in_a_page_but_the_study(settings_of, texts):
    pages = []
    for number, names in enumerate((("Alpha", "Beta", "Gamma"), ("Zeta", "VHM", "A-1"))):
        hyp = [f"{name}={texts / file}" for name, file in zip(names, ("Alpha", "Beta", "Gamma"), strict=True)]
        made = make_sheets(settings_of(hyp=hyp), texts / str(number))
        study = read_key(made.key_path).study
        pages.append([path.read_text().replace(study, "STUDY") for path in made.written])
    assert pages[0] == pages[1]


def test_a_page_holds_no_name_path_seed_or_hash_of_its_inputs(settings_of, texts):
    for name in ("Alpha", "Beta", "Gamma"):
        (texts / name).rename(texts / f"qx-{name}.log")
    hyp = [f"qy-{name}={texts / f'qx-{name}.log'}" for name in ("Alpha", "Beta", "Gamma")]
    made = make_sheets(settings_of(hyp=hyp, seed=987654), texts / "study")
    key = made.key_path.read_text()
    hidden = ["qx-", "qy-", str(texts), "987654", "seed", *re.findall(r'"sha256": "(\w+)"', key)]
    assert len(hidden) == 9
    for page in made.written:
        assert not [word for word in hidden if word in page.read_text()]


def test_an_output_says_its_number_label_and_text_only(settings_of, texts):
    made = make_sheets(settings_of(), texts / "study")
    for page in made.written:
        data = data_of(page)
        assert set(data) == {"format", "study", "annotator", "lang", "src_lang", "criteria", "samples"}
        for sample in data["samples"]:
            assert set(sample) == {"sample", "source", "references", "outputs"}
            assert all(set(output) == {"item", "label", "text"} for output in sample["outputs"])
            assert [output["label"] for output in sample["outputs"]] == list("ABC")[: len(sample["outputs"])]


def test_the_key_gives_each_text_back_to_its_systems(settings_of, texts):
    made = make_sheets(settings_of(), texts / "study")
    key = read_key(made.key_path)
    lines = {sample["line"]: sample["items"] for sample in key.samples}
    assert set(lines) == set(range(1, 13))
    for page in made.written:
        for sample in data_of(page)["samples"]:
            line = int(sample["source"].split()[1])
            for output in sample["outputs"]:
                systems = lines[line][output["item"]]
                if line == 1:
                    assert (output["text"], systems) == ("shared by all", ["Alpha", "Beta", "Gamma"])
                elif line == 2 and "Gamma" in systems:
                    assert output["text"] == ""
                else:
                    assert output["text"] == f"{systems[0].lower()[0]} wrote {line}"


def test_merged_empty_and_unusable_texts_are_counted(settings_of, texts):
    sources = (texts / "source").read_text().replace("source 7\n", "  \n")
    (texts / "source").write_text(sources)
    made = make_sheets(settings_of(samples=11), texts / "study")
    assert made.findings == [
        "1 lines with an empty source or reference were not drawn from",
        "1 texts are the output of several systems; each is rated once, for all of them",
        "empty outputs (Gamma 1) are shown as such, to be rated 1",
    ]
    assert 7 not in [sample["line"] for sample in read_key(made.key_path).samples]


def test_the_same_command_gives_the_same_study_wherever_it_lies(settings_of, texts):
    one, two = (make_sheets(settings_of(), texts / name) for name in ("one", "two"))
    assert one.key_path.read_bytes() == two.key_path.read_bytes()
    assert [path.read_bytes() for path in one.written] == [path.read_bytes() for path in two.written]
    (texts / "copy").write_bytes((texts / "Alpha").read_bytes())
    hyp = [f"Alpha={texts / 'copy'}", str(texts / "Beta"), str(texts / "Gamma")]
    moved = read_key(make_sheets(settings_of(hyp=hyp), texts / "moved").key_path)
    assert moved.study == read_key(one.key_path).study


def test_annotators_are_added_to_a_study_and_its_pages_stay_as_they_are(settings_of, texts):
    make_sheets(settings_of(), texts / "study")
    page = texts / "study" / "annotate-anna.html"
    page.write_text("opened, sent, precious")
    made = make_sheets(settings_of(annotators="carla"), texts / "study")
    assert [path.name for path in made.written] == ["annotate-carla.html"]
    assert page in made.kept and page.read_text() == "opened, sent, precious"
    assert list(read_key(made.key_path).orders) == ["anna", "ben", "carla"]


@pytest.mark.parametrize("change", [{"seed": 2}, {"samples": 11}, {"lang": "de"}])
def test_another_study_is_not_written_over_one(settings_of, texts, change):
    made = make_sheets(settings_of(), texts / "study")
    before = {path: path.read_bytes() for path in (texts / "study").iterdir()}
    with pytest.raises(UserError, match="holds another study .* give a new folder"):
        make_sheets(settings_of(**change), texts / "study")
    assert {path: path.read_bytes() for path in (texts / "study").iterdir()} == before
    assert made.key_path in before


def test_a_folder_with_other_files_is_left_alone(settings_of, texts):
    with pytest.raises(UserError, match="is not empty and holds no key.json"):
        make_sheets(settings_of(), texts)
    with pytest.raises(UserError, match="is a file; give a folder"):
        make_sheets(settings_of(), texts / "source")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"src": None}, "give --src FILE, --ref FILE or both"),
        ({"src": Path("source.jsonl")}, "--src source.jsonl: give the sources as plain text, one a line"),
        ({"samples": 13}, "--samples 13: 12 of 12 lines can be drawn"),
        ({"samples": 0}, "--samples 0: 12 of 12"),
        ({"lang": "english"}, "--lang english: not a language code"),
        ({"src_lang": "chinese"}, "--source-lang chinese: not a language code"),
        ({"annotators": "anna,../ben"}, "'../ben' cannot be part of a file's name"),
        ({"annotators": "0"}, "no annotator"),
        ({"annotators": "anna,Anna"}, "a name comes twice"),
        ({"post_process": ["none", "ncls"]}, "--post-process: given 2 times for 3 --hyp"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(settings_of, texts, change, complaint):
    with pytest.raises(UserError, match=re.escape(complaint)):
        make_sheets(settings_of(**change), texts / "study")
    assert not (texts / "study").exists()


@pytest.mark.parametrize(
    ("hyp", "complaint"),
    [
        (["Alpha", "Alpha"], "two systems are called 'Alpha'; name them"),
        (["one=Alpha", "two=Alpha"], "--hyp two: the same texts as one"),
        (["Alpha", "short"], "short has 1 lines, "),
        (["=Alpha"], "not NAME=FILE or FILE"),
        (["Alpha", "source"], "--hyp source: the same texts as the reference that is shown"),
        ([f"{n}=Alpha" for n in range(27)], "--hyp: 27 systems; at most 26 can be labelled"),
    ],
)
def test_wrong_systems_are_refused(settings_of, texts, hyp, complaint):
    (texts / "short").write_text("one\n")
    parts = [text.rpartition("=") for text in hyp]
    listed = [f"{name}{equals}{texts / file}" for name, equals, file in parts]
    with pytest.raises(UserError, match=re.escape(complaint)):
        make_sheets(settings_of(hyp=listed, ref=texts / "source"), texts / "study")


def test_references_alone_will_do_and_are_shown(settings_of, texts):
    lines = [json.dumps({"refs": [f"first {n}", f"second\n{n}"]}) for n in range(12)]
    (texts / "refs.jsonl").write_text("\n".join(lines) + "\n")
    made = make_sheets(replace(settings_of(), src=None, ref=texts / "refs.jsonl"), texts / "study")
    sample = data_of(made.written[0])["samples"][0]
    assert sample["source"] is None and len(sample["references"]) == 2
    assert "Read the reference first" in made.written[0].read_text()


def test_a_number_of_annotators_gives_names_and_names_are_kept():
    assert parse_annotators("2") == ["annotator-1", "annotator-2"]
    assert parse_annotators("anna, 李雷") == ["anna", "李雷"]
