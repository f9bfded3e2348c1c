"""Tables and figures: means over seeds, marks, differences, times, pairs of languages."""

import re
from statistics import fmean, stdev, variance
from xml.etree import ElementTree

import pytest
from reports import spoilt, write_log, write_outputs, write_run, write_scores, write_texts
from scipy.stats import t, ttest_rel

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.rouge import score_rouge
from fairseq_vhm.metrics.significance import Comparison
from fairseq_vhm.report.build import Options, build
from fairseq_vhm.report.figures import few_shot_figure
from fairseq_vhm.report.pairs import around, by_language, scores_of, usual_pivots
from fairseq_vhm.report.reader import reader_data
from fairseq_vhm.report.results import (
    Mean,
    Testing,
    TestResults,
    _welch,
    check_baseline,
    collect,
    mean_of,
)
from fairseq_vhm.report.runs import Run
from fairseq_vhm.report.tables import batch_of, main_table, make_tables

SHARES = {1: 0.30, 2: 0.36, 3: 0.33}  # of words that a seed's outputs have wrong


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of seeds, ablations and shares of the training pairs on one test set."""
    folder = tmp_path_factory.mktemp("runs")
    data = folder / "DATA"
    references = write_texts(data)
    runs = folder / "runs"
    for seed, share in SHARES.items():
        write_run(runs / f"vhm{seed}", data, spoilt(references, share, seed), seed=seed)
    write_run(runs / "base", data, spoilt(references, 0.6), latents="none")
    write_run(runs / "no_mt", data, spoilt(references, 0.35, 9), latents="ms,cls")
    for share in (0.01, 0.1):
        write_run(runs / f"few{share}", data, spoilt(references, 0.8 - share), cls_fraction=share)
    few = spoilt(references, 0.9)
    write_run(runs / "few_base", data, few, cls_fraction=0.1, latents="none")
    own = score_rouge(few, [[one] for one in references], "en")
    write_scores(runs / "few_base" / "scores.json", **{one.name: one.value for one in own})
    write_scores(runs / "vhm1" / "scores.json", rouge1=12.3, moverscore=61.5, bleu=20)
    return folder, references


@pytest.fixture(scope="module")
def report(folder):
    return build(folder[0] / "runs", Options(), lambda pairs, what: pairs)


def table(report, title: str) -> dict[str, list[str]]:
    """Rows of a table by their first cell, and its columns."""
    (found,) = [one for one in report.tables if one.title == title]
    return {"columns": list(found.columns), "notes": list(found.notes)} | {
        row[0]: row[1:] for row in found.rows
    }


def rouge1(references, share: float, seed: int = 1) -> float:
    return score_rouge(spoilt(references, share, seed), [[one] for one in references], "en")[0].value


def test_seeds_are_shown_by_their_mean_and_standard_deviation(folder, report):
    values = [rouge1(folder[1], share, seed) for seed, share in SHARES.items()]
    rows = table(report, "Results on zh2en")
    assert rows["columns"] == ["system", "RG1", "RG2", "RGL", "MVS", "n"]
    assert rows["VHM"][0] == f"{fmean(values):.2f} ± {stdev(values):.2f}‡"
    assert rows["VHM"][-1] == "3" and rows["MT-MS-CLS"][-1] == "1"


def test_a_metric_of_score_files_stands_beside_for_the_runs_that_have_it(report):
    rows = table(report, "Results on zh2en")
    assert rows["VHM"][3] == "61.50" and rows["MT-MS-CLS"][3] == "-"
    further = table(report, "Further scores, zh2en")
    assert further["VHM"] == ["20.00"] and further["notes"] == ["bleu: bleu|version:test"]


def test_a_score_file_with_another_rouge_than_the_outputs_is_named_and_not_shown(folder, report):
    (run,) = [one for one in report.runs if one.name == "vhm1"]
    own = rouge1(folder[1], SHARES[1], 1)
    said = f"its score file has rouge1 12.30 with another signature; its outputs have {own:.2f}"
    assert run.missing == [said]
    (agreeing,) = [one for one in report.runs if one.name == "few_base"]
    assert agreeing.missing == []


def test_marks_follow_a_paired_t_test_of_the_means_of_sentences(folder, report):
    references = folder[1]
    pairs = [[one] for one in references]
    seeds = [score_rouge(spoilt(references, s, n), pairs, "en")[0].per_segment for n, s in SHARES.items()]
    means = [fmean(values) for values in zip(*seeds, strict=True)]
    base = score_rouge(spoilt(references, 0.6), pairs, "en")[0].per_segment
    (found,) = [
        one
        for one in report.results[0].comparisons
        if (one.system, one.metric) == ("VHM", "rouge1")
    ]
    assert found.p == pytest.approx(ttest_rel(means, base).pvalue)
    assert found.difference == pytest.approx(fmean(means) - fmean(base))
    assert found.p_corrected < 0.01  # hence the double dagger


def test_worse_systems_and_the_baseline_have_no_mark(report):
    (one,) = report.results
    scored = {run.run.name: run for result in one.results for run in result.scored}
    again = collect(one.test, scored, Testing(baselines=("VHM",)))
    found = main_table([again])
    assert not re.search("[†‡]", "".join(cell for row in found.rows for cell in row))
    assert "better than VHM with p < 0.05, 0.01 (paired-t-test" in found.notes[0]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Two systems of three runs each, of small spread, and one of two that scatters."""
    folder = tmp_path_factory.mktemp("seeds")
    references = write_texts(folder / "DATA")
    shares = {"none": (0.5, 0.5, 0.5), "mt,ms,cls": (0.40, 0.41, 0.42), "cls": (0.2, 0.55)}
    for latents, wrong in shares.items():
        for seed, share in enumerate(wrong, 1):
            run, texts = folder / "runs" / f"{latents}{seed}", spoilt(references, share, seed)
            write_run(run, folder / "DATA", texts, seed=seed, latents=latents)
    return build(folder / "runs", Options(), lambda pairs, what: pairs)


def welch(own: list[float], against: list[float]) -> float:
    """p by the formula of Welch (1947) and Student's distribution."""
    errors = [variance(values) / len(values) for values in (own, against)]
    freedom = sum(errors) ** 2 / sum(e**2 / (len(v) - 1) for e, v in zip(errors, (own, against), strict=True))
    return 2 * t.sf(abs(fmean(own) - fmean(against)) / sum(errors) ** 0.5, freedom)


def test_p_over_seeds_is_welchs_corrected_by_holm(seeds):
    (one,) = seeds.results
    runs = {result.label: result.of_runs("rouge1") for result in one.results}
    base = runs.pop("MT-MS-CLS")
    p = {label: welch(values, base) for label, values in runs.items()}
    smaller, larger = sorted(p, key=p.get)
    assert one.over_seeds[smaller, "rouge1"] == pytest.approx(2 * p[smaller])
    assert one.over_seeds[larger, "rouge1"] == pytest.approx(max(p[larger], 2 * p[smaller]))


def test_a_mark_needs_the_seeds_to_agree(seeds):
    """The system that scatters is better on these sentences, and three other seeds might be worse."""
    (one,) = seeds.results
    scattered = one.p_values("rouge1")["w/o z_mt & z_ms"]
    assert scattered.difference > 0 and scattered.p_corrected < 0.05
    values = {result.label: result.rouge()[0] for result in one.results}
    means = [fmean(values[label].per_segment) for label in ("w/o z_mt & z_ms", "MT-MS-CLS")]
    assert scattered.difference == pytest.approx(means[0] - means[1])
    (result,) = [result for result in one.results if result.label == "w/o z_mt & z_ms"]
    of_runs = [fmean(run.rouge["rouge1"].per_segment) for run in result.scored]
    assert len(of_runs) == 2 and means[0] == pytest.approx(fmean(of_runs))
    assert "†" not in table(seeds, "Ablation, zh2en")["3 w/o z_mt & z_ms"][0]
    assert one.p_of_gain("w/o z_mt & z_ms", "rouge1") > 0.05
    assert re.search("[†‡]", table(seeds, "Results on zh2en")["VHM"][0])
    shown = table(seeds, "Differences to MT-MS-CLS, zh2en")
    assert shown["columns"][-1] == "p over seeds"
    assert shown["VHM, RG1"][-1] == f"{one.over_seeds['VHM', 'rouge1']:.2g}"


def test_one_run_a_system_has_no_p_over_seeds(report):
    assert report.results[0].over_seeds == {}
    assert "p over seeds" not in table(report, "Differences to MT-MS-CLS, zh2en")["columns"]


def test_a_baseline_that_is_no_system_is_refused(report):
    with pytest.raises(UserError, match="--baseline mBART: no such system; there are MT-MS-CLS, VHM"):
        check_baseline(report.results, Testing(baselines=("mBART",)))


def test_an_ablation_stands_with_its_difference_to_the_full_model(folder, report):
    rows = table(report, "Ablation, zh2en")
    full = fmean(rouge1(folder[1], share, seed) for seed, share in SHARES.items())
    own = rouge1(folder[1], 0.35, 9)
    assert rows["1 w/o z_mt"][0] == f"{own:.2f} ({own - full:+.2f})"
    assert "(" not in rows["0 VHM"][0] and list(rows)[2:] == ["0 VHM", "1 w/o z_mt"]
    assert "w/o z_mt" not in table(report, "Results on zh2en")


def test_few_shot_rows_are_the_systems_that_have_several_shares(folder, report):
    rows = table(report, "Few-shot, zh2en")
    shares = ["VHM, 1 %", "VHM, 10 %", "VHM, 100 %"]
    assert list(rows)[2:] == ["MT-MS-CLS, 10 %", "MT-MS-CLS, 100 %", *shares]
    assert rows["VHM, 1 %"][0] == f"{rouge1(folder[1], 0.79):.2f}"


def test_notes_on_marks_tell_the_family_of_the_systems_that_are_shown(report):
    """Two systems of all pairs are tested against the baseline, and of a tenth of them one."""
    main = table(report, "Results on zh2en")["notes"][0]
    assert "family:2" in main and "family:1" not in main
    for title in ("Few-shot, zh2en", "Differences to MT-MS-CLS, zh2en"):
        notes = " ".join(table(report, title)["notes"])
        assert "family:1" in notes and "family:2" in notes


def test_systems_of_one_share_alone_are_few_shot_rows_too(tmp_path):
    references = write_texts(tmp_path / "DATA")
    for name, latents, share in (("a", "none", 0.6), ("b", "mt,ms,cls", 0.3)):
        texts = spoilt(references, share)
        write_run(tmp_path / "runs" / name, tmp_path / "DATA", texts, latents=latents, cls_fraction=0.1)
    made = build(tmp_path / "runs", Options(), lambda pairs, what: pairs)
    rows = table(made, "Few-shot, zh2en")
    assert list(rows)[2:] == ["MT-MS-CLS, 10 %", "VHM, 10 %"]
    assert rows["VHM, 10 %"][0].endswith("‡")


def test_a_run_without_outputs_is_not_counted_and_one_of_an_equal_seed_is_named(tmp_path):
    references = write_texts(tmp_path / "DATA")
    for number, seed in (1, 1), (2, 2), (3, 1), (4, 2):
        texts = spoilt(references, 0.3, seed)
        write_run(tmp_path / "runs" / f"s{number}", tmp_path / "DATA", texts, seed=seed)
    (tmp_path / "runs" / "s3" / "test.log").unlink()
    made = build(tmp_path / "runs", Options(), lambda pairs, what: pairs)
    assert table(made, "Results on zh2en")["VHM"][-1] == "3"
    said = [line for run in made.runs for line in run.missing if "seed" in line]
    assert said == ["has the seed of s2; both count as runs of VHM"]


def test_two_runs_have_a_spread_and_one_has_none():
    assert mean_of([1.0, 3.0]) == Mean(2.0, pytest.approx(2**0.5), 2)
    assert mean_of([1.5]) == Mean(1.5, None, 1) and mean_of([]) is None


@pytest.mark.parametrize(("difference", "p"), [(0.5, 0.03), (0.0, 1.0), (-0.5, 1.0)])
def test_a_gain_has_the_larger_p_of_both_questions_and_anything_else_one_of_1(difference, p):
    usual = dict(metric="rouge1", system="b", baseline="a", value=30.5, baseline_value=30.0, low=0, high=1)
    tested = dict(p=0.01, p_corrected=0.02, test="t-test", n=9, signature="t", metric_signature="tok")
    one = TestResults(None, [], "a", [Comparison(difference=difference, **usual, **tested)])
    assert one.p_of_gain("b", "rouge1") == (0.02 if difference > 0 else 1.0)
    one.over_seeds["b", "rouge1"] = 0.03
    assert one.p_of_gain("b", "rouge1") == p
    assert one.p_of_gain("b", "rouge2") == one.p_of_gain("c", "rouge1") == 1.0


def test_p_over_seeds_of_runs_that_are_all_alike_is_one():
    assert _welch([31.2, 31.2], [31.2, 31.2, 31.2]) == 1.0
    assert _welch([1.0, 2.0, 4.0], [2.0, 3.0]) == pytest.approx(welch([1.0, 2.0, 4.0], [2.0, 3.0]))


def test_size_and_time_stand_beside_rouge(report):
    rows = table(report, "Size and time, zh2en")
    assert rows["VHM"][:3] == ["0.15", "25.00 ± 0.00", "1 cls + 1 mt + 1 ms"]
    assert "CPU; time from training steps of epochs." in rows["notes"][1]


@pytest.mark.parametrize(
    ("settings", "batch"),
    [
        ({"tasks": "cls,mt,ms"}, "1 cls + 1 mt + 1 ms"),
        ({"tasks": "cls"}, "1 cls"),
        ({"tasks": "cls,mt", "task_ratio": "mt:3", "update_freq": [2]}, "2 cls + 6 mt"),
        ({"tasks": "mt,ms,cls", "task_ratio": "1,2,4"}, "1 mt + 2 ms + 4 cls"),
        ({"tasks": "cls,mt,ms", "task_schedule": "alternate", "distributed_world_size": 8}, "8 of one task"),
        ({}, None),
    ],
)
def test_what_an_update_holds_is_read_from_the_schedule(settings, batch):
    class Known(Run):
        settings = {}

    Known.settings = settings
    assert batch_of(Known("x")) == batch


def test_published_figures_stand_beside_only_where_asked(report):
    assert not any("published" in row[0] for one in report.tables for row in one.rows)
    rows = {row[0]: row[1:] for row in make_tables(report.results, report.runs, beside=True)[0].rows}
    assert rows["TNCLS (published)"][:3] == ["38.85", "21.93", "35.05"]


def test_latex_has_no_character_that_pdflatex_cannot_set(report):
    assert not re.search("[\u2e80-\u9fff]", report.latex())
    assert report.latex().count(r"\begin{table}") == len(report.tables)


def test_every_figure_is_a_png_and_an_svg(report):
    assert {one.name for one in report.figures} == {
        "training_zh2en",
        "training_zh2en_10_of_CLS",
        "training_zh2en_1_of_CLS",
        "few_shot_zh2en",
    }
    for one in report.figures:
        assert one.png.startswith(b"\x89PNG")
        assert ElementTree.fromstring(one.svg).tag.endswith("svg")


def test_the_same_runs_give_the_same_bytes(report):
    (one,) = report.results
    again = few_shot_figure(one)
    (first,) = [figure for figure in report.figures if figure.name == again.name]
    assert (again.png, again.svg) == (first.png, first.svg)


def test_the_curves_are_those_of_the_log(report):
    (figure,) = [one for one in report.figures if one.name == "training_zh2en"]
    updates, values = figure.data["vhm1"]["train_inner"]["kl_cls"]
    assert updates[:2] == [25, 50] and values[:2] == [36, 18]
    assert figure.data["vhm1"]["valid"]["au_mt"] == ([100, 200, 300, 400], [1, 1, 1, 1])
    assert "kl_cls" not in figure.data["base"]["train_inner"]
    assert "kl_weight" not in figure.data["base"]["train_inner"]


def test_a_system_that_one_direction_lacks_has_dashes_there(tmp_path):
    for name, direction in (("a/one", "zh2en"), ("a/two", "zh2en"), ("b/one", "en2zh")):
        write_scores(tmp_path / name / "scores.json", rouge1=40, rouge2=20, rougeL=30)
        source, target = direction.split("2")
        with (tmp_path / "report.toml").open("a") as file:
            file.write(f'[runs."{name}"]\nname = "{name[2:]}"\n')
            file.write(f'source_lang = "{source}"\ntarget_lang = "{target}"\n')
    report = build(tmp_path, Options(), lambda pairs, what: pairs)
    rows = table(report, "Results on en2zh and zh2en")
    assert rows["one"] == ["40.00", "20.00", "30.00"] * 2
    assert rows["two"] == ["-", "-", "-", "40.00", "20.00", "30.00"]


def test_runs_with_scores_alone_have_a_table(tmp_path):
    write_scores(tmp_path / "vhm" / "scores.json", rouge1=40, rouge2=20, rougeL=30)
    report = build(tmp_path, Options(), lambda pairs, what: pairs)
    assert table(report, "Results on unknown direction")["vhm"] == ["40.00", "20.00", "30.00"]


def test_a_running_training_has_curves_and_no_results(tmp_path):
    (tmp_path / "vhm").mkdir()
    write_log(tmp_path / "vhm")
    report = build(tmp_path, Options(), lambda pairs, what: pairs)
    assert [one.title for one in report.tables] == ["Size and time, unknown direction", "Runs"]
    assert [one.name for one in report.figures] == ["training_unknown_direction"]


def test_sources_in_a_language_of_any_name_are_shown(tmp_path):
    references = write_texts(tmp_path / "DATA", count=5, languages=("article", "en"))
    write_run(tmp_path / "runs" / "vhm", tmp_path / "DATA", spoilt(references, 0.1))
    (test,) = reader_data(build(tmp_path / "runs", Options(), lambda pairs, what: pairs).results)
    assert (test["name"], test["source_lang"], test["target_lang"]) == ("article2en", "", "en")


def test_outputs_that_do_not_fit_are_said_and_the_rest_is_made(folder, tmp_path):
    (tmp_path / "ref").write_text("one\ntwo\n")
    write_outputs(tmp_path / "runs" / "short", ["one"])
    write_outputs(tmp_path / "runs" / "whole", ["one", "two"])
    (tmp_path / "runs" / "report.toml").write_text(
        '[runs."."]\nreferences = ["../ref"]\ntarget_lang = "en"\n'
    )
    report = build(tmp_path / "runs", Options(), lambda pairs, what: pairs)
    assert table(report, "Results on to en")["whole"][0] == "100.00"
    (short,) = [run for run in report.runs if run.name == "short"]
    assert "test.log" in short.missing[0]


# CrossSum

PAIRS = {("en", "fr"): 10.0, ("en", "hi"): 4.0, ("fr", "en"): 8.0, ("hi", "en"): 6.0, ("hi", "fr"): 2.0}


def test_a_languages_mean_is_over_its_pairs_on_a_side():
    assert by_language(PAIRS, 1) == {"en": 7.0, "fr": 6.0, "hi": 4.0}
    assert by_language(PAIRS, 0) == {"en": 7.0, "fr": 8.0, "hi": 4.0}


def test_around_a_pivot_stand_its_pairs_by_the_other_language():
    assert around(PAIRS, "en", 1) == {"fr": 8.0, "hi": 6.0}
    assert around(PAIRS, "en", 0) == {"fr": 10.0, "hi": 4.0}


def test_pivots_are_the_languages_of_the_most_pairs():
    assert usual_pivots({"m2m": PAIRS}) == ["en", "fr", "hi"]
    assert usual_pivots({"m2m": {("a", "b"): 1, ("c", "b"): 1}})[0] == "b"


def test_pairs_are_drawn_for_each_metric_that_there_is(tmp_path):
    for name, more in (("m2m", 1), ("m2o", 0)):
        for (source, target), score in PAIRS.items():
            path = tmp_path / name / f"scores.{source}-{target}.json"
            write_scores(path, rouge2=score + more, **({"lase": 40 + score} if more else {}))
    report = build(tmp_path, Options(pivots=("en",)), lambda pairs, what: pairs)
    assert {one.name for one in report.figures} == {
        *("pairs_lase_m2m", "languages_lase", "pivots_lase"),
        *("pairs_rouge2_m2m", "pairs_rouge2_m2o", "languages_rouge2", "pivots_rouge2"),
    }
    data = {one.name: one.data for one in report.figures}
    assert data["pairs_rouge2_m2o"]["hi-fr"] == 2.0
    assert data["languages_rouge2"]["target"]["m2m"] == {"en": 8.0, "fr": 7.0, "hi": 5.0}
    assert data["pivots_lase"] == {
        "to en": {"m2m": {"fr": 48.0, "hi": 46.0}},
        "from en": {"m2m": {"fr": 50.0, "hi": 44.0}},
    }
    assert report.figures[-1].caption.endswith("into and out of en.")
    rows = table(report, "Pairs of languages")
    assert rows["columns"][1:] == ["pairs", "examples", "ROUGE-2", "LaSE", "wrong language %"]
    assert rows["m2o"][::2] == ["5 of 5", "6.00", "-"] and rows["m2m"][2:4] == ["7.00", "46.00"]
    assert scores_of(report.runs[0], "lase")["en", "fr"] == 50
