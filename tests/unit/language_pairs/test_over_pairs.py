"""What holds over all pairs: wrong languages counted output by output, means pair by pair."""

from collections import Counter
from dataclasses import replace

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.language_pairs import files, means, offtarget, tables
from fairseq_vhm.language_pairs.evaluation import oddities
from fairseq_vhm.language_pairs.results import MIN_PAIR_SIZE, PairScores, counted
from fairseq_vhm.metrics.offtarget import score_offtarget
from fairseq_vhm.text.langid import FastTextIdentifier

ENGLISH, GERMAN = "the court opened on a monday", "das gericht wurde am montag und"
CHINESE = "法院今天开庭审理"


def pair(source, target, count, off=None, references=0.0, untold=0, **figures):
    """A pair with figures; ``off``: language -> outputs, of which those in the target are on it."""
    metric = {name: {"f" if name.startswith("rouge") else "value": value} for name, value in figures.items()}
    if off is not None:
        found = {f"in_{language}": float(number) for language, number in off.items()}
        identified = float(sum(off.values()))
        metric["offtarget"] = {
            **{"value": 0.0, "references": references, "identified": identified},
            **{"empty": 0.0, "unidentified": float(untold), **found},
        }
    return PairScores(source, target, count, metric)


def test_wrong_languages_are_counted_over_outputs_not_over_pairs():
    pairs = [pair("en", "fr", 90, {"fr": 90}), pair("de", "fr", 10, {"en": 8, "fr": 1}, untold=1)]
    everything = offtarget.over_all(pairs)
    assert (everything.off, everything.identified, everything.untold) == (8, 99, 1)
    assert everything.share == pytest.approx(100 * 8 / 99)
    assert everything.instead == Counter(en=8)
    assert [(one.name, one.share) for one in offtarget.by_pair(pairs)] == [
        ("de-fr", pytest.approx(800 / 9)),
        ("en-fr", 0),
    ]


def test_the_share_of_one_pair_is_the_metrics_own(models):
    hypotheses = [ENGLISH, GERMAN, CHINESE, GERMAN, "", "123"]
    references = [[GERMAN]] * 6
    score = score_offtarget(hypotheses, references, "de", FastTextIdentifier(models.lid))
    found = offtarget.over_all([PairScores.of("en", "de", [score], 6)])
    assert found.share == pytest.approx(score.value)
    assert found.instead == Counter(en=1, zh=1) and found.untold == 2


def test_a_code_with_a_region_is_its_language():
    found = offtarget.over_all([pair("en", "zh-CN", 3, {"zh": 2, "en": 1})])
    assert found.instead == Counter(en=1)


def test_the_warning_names_the_targets_and_what_was_written_instead():
    pairs = [
        pair("en", "fr", 100, {"fr": 100}),
        pair("en", "bn", 20, {"bn": 4, "hi": 10, "en": 6}, references=1.0),
    ]
    line = offtarget.warning(pairs)
    assert "\n" not in line
    assert line.startswith("WRONG LANGUAGE: 16 of 120 outputs (13.3 %; of references 0.2 %)")
    assert "to bn 80.0 % (hi 10, en 6)" in line and "to fr" not in line


def test_a_target_is_warned_of_where_all_together_would_not_be():
    pairs = [pair("en", "fr", 1000, {"fr": 1000}), pair("en", "bn", 10, {"bn": 1, "en": 9})]
    assert "to bn 90.0 %" in offtarget.warning(pairs)


@pytest.mark.parametrize(("off", "references", "warns"), [(5, 0, False), (6, 0, True), (20, 16, False)])
def test_what_the_identifier_gets_wrong_on_references_is_not_warned_of(off, references, warns):
    one = pair("en", "sr", 100, {"hr": off, "sr": 100 - off}, references=references)
    assert (offtarget.warning([one], limit=5.0) is not None) == warns


def test_without_offtarget_there_is_nothing_to_warn_of_and_no_table():
    pairs = [pair("en", "rn", 5, rouge2=3.0)]
    assert offtarget.warning(pairs) is None and tables.off_target_tables(pairs) == []
    assert offtarget.not_told(pairs) == ["rn"]


def test_targets_that_the_identifier_does_not_know_are_named_below_the_table():
    pairs = [pair("en", "fr", 9, {"fr": 9}), pair("en", "rn", 5, rouge2=3.0), pair("fr", "om", 5)]
    (table,) = tables.off_target_tables(pairs)
    assert table.notes[1:] == ["Not told, as the identifier does not know them: om, rn."]
    assert [row[0] for row in table.rows] == ["all", "fr"]


def test_what_a_reader_must_know_besides_the_figures_is_a_line_each():
    known = PairScores("en", "fr", 2, {"lase_language": {"known": 1.0}, "lase_meaning": {"cut": 3.0}})
    unknown = PairScores("en", "rn", 1, {"lase_language": {"known": 0.0}, "lase_meaning": {"cut": 1.0}})
    told = pair("en", "fr", 2, {"fr": 2})
    both = replace(known, metric={**known.metric, **told.metric})
    assert list(oddities([known], ["a", "b"])) == [
        "LaSE: 3 texts are longer than --labse reads and were cut (max in the signatures)"
    ]
    assert list(oddities([both, unknown], ["a", " ", ""])) == [
        "2 of 3 outputs are empty and score 0",
        "the identifier does not know rn: wrong languages are not told there",
        "LaSE: --lid does not know rn, so its confidence counts as 1 there",
        "LaSE: 4 texts are longer than --labse reads and were cut (max in the signatures)",
    ]
    assert list(oddities([told], ["a"])) == []


def test_of_many_languages_the_first_are_named_and_the_others_counted():
    pairs = [PairScores("en", f"q{n:02}", 1, {"lase_language": {"known": 0.0}}) for n in range(11)]
    (line,) = oddities(pairs, ["a"] * 11)
    assert "q00, q01, q02, q03, q04, q05, q06, q07 and 3 more" in line


def test_scores_are_not_written_where_no_folder_can_be(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "gone" / "scores"):
        with pytest.raises(UserError, match=f"^--out {out}: not a folder, nor can it be made"):
            files.check_out(out)
    files.check_out(tmp_path / "new")
    with pytest.raises(UserError, match=f"^--out {tmp_path}/file: cannot be written: File exists"):
        files.write(tmp_path / "file", [pair("en", "fr", 3, {"fr": 3})], 1, 5.0)


def test_means_are_over_pairs_by_target_source_and_pivot():
    pairs = [
        pair("en", "fr", 50, rouge2=10.0),
        pair("de", "fr", 500, rouge2=20.0),
        pair("fr", "en", 50, rouge2=6.0, lase=50.0),
        pair("fr", "fr", 50, rouge2=90.0),
    ]
    found = means.by_language(pairs, ["rouge2", "lase"])
    assert found["target"]["fr"] == means.Mean(3, {"rouge2": pytest.approx(40.0)})
    assert found["source"]["fr"] == means.Mean(2, {"rouge2": 48.0, "lase": 50.0})
    assert found["pivot"]["fr"] == means.Mean(3, {"rouge2": pytest.approx(12.0), "lase": 50.0})
    assert "de" not in found["target"] and found["pivot"]["de"].values["rouge2"] == 20.0


def test_small_pairs_are_counted_and_stay_out_of_means():
    pairs = [pair("en", "fr", MIN_PAIR_SIZE, rouge2=10.0), pair("en", "de", MIN_PAIR_SIZE - 1, rouge2=90.0)]
    assert counted(pairs, MIN_PAIR_SIZE) == pairs[:1]
    overall = tables.overall_table([("m2m", pairs, MIN_PAIR_SIZE)])
    assert overall.rows[0][:4] == ["m2m", "1 of 2", "59", "10.00"]
    assert "1 of 2 pairs have fewer than 30 examples (29 together)" in overall.notes[1]
    assert [row[0] for row in tables.pair_table(pairs, MIN_PAIR_SIZE).rows] == ["en-fr", "en-de *"]


def test_where_no_pair_is_large_enough_no_mean_is_made():
    pairs = [pair("en", "fr", 3, {"fr": 3}, rouge2=10.0)]
    assert tables.language_table(pairs, 30) is None
    assert tables.overall_table([("m2m", pairs, 30)]).rows[0][1:4] == ["0 of 1", "3", "-"]
    assert tables.off_target_tables(pairs)[0].rows[0][3] == "3"


def test_the_table_of_wrong_languages_begins_with_all_and_the_worst_target():
    pairs = [
        pair("en", "fr", 10, {"fr": 9, "en": 1}),
        pair("en", "bn", 10, {"bn": 2, "hi": 8}),
        pair("fr", "bn", 1, {"en": 1}),
    ]
    by_target, by_pair = tables.off_target_tables(pairs, "m2m")
    assert by_target.title == "Wrong language: 47.6 % of outputs, m2m"
    assert [row[0] for row in by_target.rows] == ["all", "bn", "fr"]
    assert by_target.rows[1][-1] == "hi 8, en 1"
    assert [row[0] for row in by_pair.rows] == ["en-bn", "fr-bn", "en-fr"]
