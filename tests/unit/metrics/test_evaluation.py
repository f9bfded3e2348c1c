"""The set of metrics: BLEU, chrF, length, what is found odd in the texts, and the JSON form."""

from pathlib import Path

import pytest
import sacrebleu

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.bleu import score_bleu, score_chrf
from fairseq_vhm.metrics.display import as_json, print_table
from fairseq_vhm.metrics.evaluation import (
    METRICS,
    evaluate,
    metric_names,
    possible_metrics,
    register_metric,
)
from fairseq_vhm.metrics.length import score_length
from fairseq_vhm.metrics.oddities import findings
from fairseq_vhm.metrics.resources import Given, Resources

FREE = ["rouge", "bleu", "chrf", "offtarget", "length"]
HYPOTHESES = ["the cat sat on the mat today", "a court opened here on monday", ""]
FIRST = ["the cat sat on a mat today", "the court opened on monday", "it rained"]
SECOND = ["a cat sat on the mat", "a court opened here", "rain fell"]


def both() -> list[list[str]]:
    return [list(pair) for pair in zip(FIRST, SECOND, strict=True)]


def test_bleu_and_chrf_are_sacrebleus():
    assert (
        score_bleu(HYPOTHESES, both(), "en").value
        == sacrebleu.corpus_bleu(HYPOTHESES, [FIRST, SECOND]).score
    )
    assert (
        score_chrf(HYPOTHESES, both()).value
        == sacrebleu.corpus_chrf(HYPOTHESES, [FIRST, SECOND]).score
    )


@pytest.mark.parametrize(
    ("lang", "text", "tokenizer"),
    [
        ("en", "the cat sat on the mat", "13a"),
        ("de", "Die Größe zählt, sagt er", "13a"),
        ("zh", "法院周一开庭审理。", "zh"),
        ("ja", "裁判所は月曜日に開いた。", "char"),
        ("th", "ศาลเปิดเมื่อวันจันทร์", "char"),
    ],
)
def test_bleu_of_a_text_against_itself_is_100_by_the_tokenizer_of_its_language(
    lang, text, tokenizer
):
    score = score_bleu([text, text], [[text], [text]], lang)
    assert score.value == pytest.approx(100)
    assert score.per_segment == pytest.approx([100, 100])
    assert f"|tok:{tokenizer}|" in score.signature


def test_bleu_takes_references_of_unequal_number():
    some = [[FIRST[0], SECOND[0]], [FIRST[1]], [FIRST[2]]]
    repeated = [[FIRST[0], SECOND[0]], [FIRST[1]] * 2, [FIRST[2]] * 2]
    assert score_bleu(HYPOTHESES, some, "en").value == pytest.approx(
        score_bleu(HYPOTHESES, repeated, "en").value
    )


def test_length_counts_tokens_and_empty_outputs():
    score = score_length(["a b", "c d e f", " . "], [["a b c"], ["d", "e f g"], ["h"]], "en")
    assert score.per_segment == [2, 4, 0]
    assert score.parts == pytest.approx({"value": 100.0, "hyp": 2.0, "ref": 2.0, "empty": 1})


def test_length_against_references_without_a_token_is_0():
    assert score_length(["a b"], [[" . "]], "en").value == 0.0


def test_every_metric_gives_a_figure_for_each_output_and_a_signature():
    given = Given(src=Path("sources"))
    names = possible_metrics("en", given)
    resources = Resources(names, given, sources=["the cat sat here", "a court", "nothing"])
    scores = evaluate(HYPOTHESES, both(), "en", names, resources=resources)
    rouge = ["rouge1", "rouge2", "rougeL"]
    assert [score.name for score in scores] == [*rouge, "bleu", "chrf", "offtarget", "copy", "length"]
    for score in scores:
        assert len(score.per_segment) == len(HYPOTHESES)
        assert "refs:2" in score.signature or score.name in ("offtarget", "copy", "length")


def test_by_default_every_metric_is_computed_whose_files_are_there(tmp_path):
    free = ["rouge", "bleu", "chrf", "offtarget", "length"]
    assert possible_metrics("en", Given()) == free
    assert possible_metrics("tlh", Given()) == [name for name in free if name != "offtarget"]
    assert {*possible_metrics("en", Given(encoder=tmp_path))} == {*free, "bertscore", "moverscore"}
    assert "lase" not in possible_metrics("en", Given(labse=tmp_path))
    assert "copy" in possible_metrics("en", Given(src=tmp_path))


@pytest.mark.parametrize(
    ("metric", "flags"),
    [("copy", "--src"), ("lase", "--labse and --lid"), ("moverscore", "--encoder")],
)
def test_a_metric_without_what_it_needs_is_refused_by_flag(metric, flags):
    with pytest.raises(UserError, match=f"--metrics {metric} needs {flags}"):
        evaluate(HYPOTHESES, both(), "en", [metric])


def test_json_holds_metric_signature_and_number_of_pairs():
    document = as_json(evaluate(HYPOTHESES, both(), "en", ["rouge", "bleu"]), len(HYPOTHESES))
    assert set(document) == {"metric", "signature", "n"} and document["n"] == 3
    assert set(document["metric"]["rougeL"]) == {"f", "p", "r", "low", "high"}
    assert set(document["metric"]["bleu"]) == {"value"}
    assert set(document["signature"]) == set(document["metric"])


def test_the_table_for_a_terminal_has_the_figures_of_the_plain_one(capsys):
    scores = evaluate(HYPOTHESES, both(), "en", FREE)
    print_table(scores, 3, terminal=False)
    plain = capsys.readouterr().out
    print_table(scores, 3, terminal=True)
    rich = capsys.readouterr().out
    for score in scores:
        assert f"{score.value:.2f}" in plain and f"{score.value:.2f}" in rich
    assert scores[0].signature in plain


@pytest.mark.parametrize("listed", ["", " , ", "rouge,rogue", "bert"])
def test_an_unknown_or_missing_metric_is_refused(listed):
    with pytest.raises(UserError, match="--metrics: .*; choose from rouge,bleu,chrf,bertscore,"):
        metric_names(listed)


@pytest.mark.parametrize("name", ["rouge", "a,b", " ", " novelty"])
def test_a_metric_under_a_name_that_no_list_can_hold_is_refused(name):
    with pytest.raises(ValueError, match=f"a metric named '{name}': take a name that no metric has"):
        register_metric(name)


def test_a_metric_that_needs_a_flag_that_is_none_is_refused_where_it_is_registered():
    with pytest.raises(ValueError, match="metric novelty needs 'source': choose from src, encoder, "):
        register_metric("novelty", needs=("src", "source"))


def test_metric_names_may_repeat_and_carry_blanks():
    assert metric_names("bleu, rouge,bleu") == ["bleu", "rouge"]
    assert metric_names(",".join(METRICS)) == list(METRICS)


@pytest.mark.parametrize(
    ("hypotheses", "references", "lang", "found"),
    [
        (["a", ""], [["a"], ["b"]], "en", ["1 of 2 (first: line 2) outputs are empty and score 0"]),
        (["a", "b"], [[""], ["b"]], "en", ["1 of 2 (first: line 1) references are empty"]),
        (["北京"], [["a"]], "en", ["outputs hold no token that --lang en reads", "in CJK script"]),
        (["a b"], [["北京"]], "zh", ["outputs are in LATIN script, references in CJK"]),
        (["it ends. It begins"], [["it ends . it begins"]], "en", ["do not end in ' .'"]),
        (["it ends . it begins"], [["it ends ."]], "en", []),
        (["北京NBA"], [["北京"]], "zh", []),
        (["東京は雨。", "ひらがな。"], [["カタカナ。"], ["東京の雨。"]], "ja", []),
    ],
)
def test_what_is_odd_in_the_texts_is_told(hypotheses, references, lang, found):
    lines = findings(hypotheses, references, lang)
    assert len(lines) == len(found)
    for line, part in zip(lines, found, strict=True):
        assert part in line
