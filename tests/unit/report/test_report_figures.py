"""What figures are named, what they show, and which of them there are."""

import html
import json
import os
import re

import pytest
from reports import write_scores

from fairseq_vhm.errors import UserError
from fairseq_vhm.report.build import Options, build, write
from fairseq_vhm.report.figures import canvas, in_legend, legend, thin
from fairseq_vhm.report.pairs import bars_by_pivot

DRAWN = re.compile(r"<!-- (.*?) -->")
"""Texts, as matplotlib notes them beside their outlines."""


def test_a_long_curve_is_thinned_evenly_and_keeps_both_ends():
    x = [float(update) for update in range(0, 5001, 5)]
    updates, values = thin((x, [2 * one for one in x]), points=101)
    assert updates == [float(update) for update in range(0, 5001, 50)]
    assert values == [2 * one for one in updates]


def test_a_short_curve_is_shown_as_it_is():
    assert thin(([1.0, 2.0], [3.0, 4.0]), points=2) == ([1.0, 2.0], [3.0, 4.0])


def test_the_legend_has_every_system_once_also_one_that_begins_with_a_line():
    names = ["_draft", "VHM"]
    with canvas(2, columns=2) as (figure, axes):
        for ax in axes:
            for name in reversed(names):
                ax.plot([1, 2], [1, 2], label=in_legend(name))
        legend(figure, axes, names)
        assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == names


@pytest.mark.parametrize("name", [r"$\mathematics$", "5$ and 6$", "a_b^c", r"\$x", r"\\$_$"])
def test_names_of_systems_and_languages_are_shown_as_they_are(tmp_path, name):
    """Between two dollars matplotlib reads mathematics, and fails where it is none."""
    for system, score in ((name, 5), (f"{name}2", 7)):
        path = write_scores(tmp_path / system / "scores.one.pair-each.json", rouge2=score)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"source": "$en$", "target": r"$\fr$"}))
    report = build(tmp_path, Options(), lambda pairs, what: pairs)
    assert len(report.figures) == 4
    for figure in report.figures:
        drawn = [html.unescape(text) for text in DRAWN.findall(figure.svg.decode())]
        assert any("$en$" in text for text in drawn) and any(r"$\fr$" in text for text in drawn)
        assert any(text.removesuffix("2") == name for text in drawn)


def test_a_name_of_any_bytes_is_reported_in_files_of_utf_8(tmp_path):
    name = os.fsdecode(b"r\xfcn")
    write_scores(tmp_path / "runs" / name / "scores.en-fr.json", rouge2=5)
    files = write(build(tmp_path / "runs", Options(), lambda pairs, what: pairs), tmp_path / "out")
    texts = {path.name: path.read_text(encoding="utf-8") for path in files if path.suffix != ".png"}
    assert json.loads(texts["report.json"])["runs"][0]["run"] == name
    assert all(r"r\udcfcn" in texts[one] for one in ("index.html", "report.md", "report.tex"))


def test_no_figure_takes_the_file_of_another(tmp_path):
    """Names of systems that differ in signs alone, or in case, make equal names of files."""
    names = ("m2m+", "m2m-", "M2M")
    for number, name in enumerate(names):
        write_scores(tmp_path / name / "scores.en-fr.json", rouge2=number)
    report = build(tmp_path, Options(), lambda pairs, what: pairs)
    plots = {one.name: one for one in report.figures if one.name.casefold().startswith("pairs_rouge2")}
    assert len({name.casefold() for name in plots}) == len(plots) == 3
    shown = {one.title.rpartition(", ")[2]: one.data["en-fr"] for one in plots.values()}
    assert shown == dict(zip(names, (0, 1, 2), strict=True))
    assert set(report.as_json()["figures"]) == {one.name for one in report.figures}


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("scores.en-fr.json", "--pivots de: no pair is of that language; there are en, fr"),
        ("scores.json", "--pivots de: no pair is of that language; no run has scores of pairs"),
    ],
)
def test_a_pivot_that_no_pair_has_is_refused(file, complaint, tmp_path):
    write_scores(tmp_path / "m2m" / file, rouge2=3)
    with pytest.raises(UserError, match=complaint):
        build(tmp_path, Options(pivots=("de",)), lambda pairs, what: pairs)


def test_a_pivot_of_which_no_pair_counts_has_no_figure():
    """Its pairs may be too small, or have other metrics."""
    assert bars_by_pivot({"m2m": {("en", "fr"): 3.0}}, "rouge2", "ROUGE-2", ("de",)) == []
    (figure,) = bars_by_pivot({"m2m": {("en", "fr"): 3.0}}, "rouge2", "ROUGE-2", ("de", "fr"))
    assert figure.data == {"to fr": {"m2m": {"en": 3.0}}}
