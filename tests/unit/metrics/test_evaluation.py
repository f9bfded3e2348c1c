"""The set of metrics: BLEU, chrF, length, what is found odd in the texts, and the JSON form."""

import pytest
import sacrebleu

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.bleu import score_bleu, score_chrf
from fairseq_vhm.metrics.display import as_json, print_table
from fairseq_vhm.metrics.evaluation import METRICS, evaluate, findings, metric_names
from fairseq_vhm.metrics.length import score_length

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


def test_every_metric_gives_a_figure_for_each_output_and_a_signature():
    scores = evaluate(HYPOTHESES, both(), "en")
    assert [score.name for score in scores] == [
        "rouge1",
        "rouge2",
        "rougeL",
        "bleu",
        "chrf",
        "length",
    ]
    for score in scores:
        assert len(score.per_segment) == len(HYPOTHESES)
        assert "refs:2" in score.signature or score.name in ("length",)


def test_json_holds_metric_signature_and_number_of_pairs():
    document = as_json(evaluate(HYPOTHESES, both(), "en", ["rouge", "bleu"]), len(HYPOTHESES))
    assert set(document) == {"metric", "signature", "n"} and document["n"] == 3
    assert set(document["metric"]["rougeL"]) == {"f", "p", "r", "low", "high"}
    assert set(document["metric"]["bleu"]) == {"value"}
    assert set(document["signature"]) == set(document["metric"])


def test_the_table_for_a_terminal_has_the_figures_of_the_plain_one(capsys):
    scores = evaluate(HYPOTHESES, both(), "en")
    print_table(scores, 3, terminal=False)
    plain = capsys.readouterr().out
    print_table(scores, 3, terminal=True)
    rich = capsys.readouterr().out
    for score in scores:
        assert f"{score.value:.2f}" in plain and f"{score.value:.2f}" in rich
    assert scores[0].signature in plain


@pytest.mark.parametrize("listed", ["", " , ", "rouge,rogue", "bertscore"])
def test_an_unknown_or_missing_metric_is_refused(listed):
    with pytest.raises(UserError, match="--metrics: .*; choose from rouge,bleu,chrf,length"):
        metric_names(listed)


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
    ],
)
def test_what_is_odd_in_the_texts_is_told(hypotheses, references, lang, found):
    lines = findings(hypotheses, references, lang)
    assert len(lines) == len(found)
    for line, part in zip(lines, found, strict=True):
        assert part in line
