"""ROUGE by hand, by closed forms and by what must hold for any text."""

import numpy as np
import pytest
from texts import chinese_summaries, english_summaries, rewritten

from fairseq_vhm.metrics.rouge import NAMES, score_rouge, sentence_rouge

SENTENCES = {
    "en": "The court opened on Monday .",
    "zh": "法院周一开庭。",
    "de": "Das Gericht öffnete am Montag.",
    "ru": "Суд открылся в понедельник.",
    "ar": "افتتحت المحكمة يوم الاثنين.",
    "hi": "अदालत सोमवार को खुली।",
    "ja": "裁判所は月曜日に開いた。",
    "ko": "법원은 월요일에 열렸다.",
    "th": "ศาลเปิดเมื่อวันจันทร์",
    "ur": "عدالت پیر کو کھلی۔",
    "bn": "আদালত সোমবার খুলেছে।",
    "el": "Το δικαστήριο άνοιξε τη Δευτέρα.",
}


def values(scores) -> list[float]:
    return [score.value for score in scores]


def one_each(references) -> list[list[str]]:
    return [[reference] for reference in references]


@pytest.mark.parametrize("lang", SENTENCES)
def test_a_text_scores_100_against_itself_in_every_language(lang):
    scored = sentence_rouge(SENTENCES[lang], SENTENCES[lang], lang)
    assert scored == dict.fromkeys(NAMES, 100.0)


def test_figures_by_hand():
    # 4 of 5 words shared (R) and 4 of 4 (P); 2 of 4 and of 3 bigrams; longest common: "cat sat mat".
    score = score_rouge(["cat sat mat on"], [["the cat sat on mat"]], "en")
    assert [score[0].parts[part] for part in "rp"] == [80.0, 100.0]
    assert [score[1].parts[part] for part in "rp"] == [25.0, 33.333]
    assert [score[2].parts[part] for part in "rp"] == [60.0, 75.0]
    assert score[0].value == pytest.approx(2 * 80 * 100 / 180, abs=5e-3)


def test_a_word_counts_only_as_often_as_both_have_it():
    assert score_rouge(["the the the the"], [["the cat"]], "en")[0].parts["p"] == 25.0


def test_rouge_l_is_the_union_over_sentences():
    # Each sentence of the output finds its words in the one of the reference: together all four.
    united = sentence_rouge("one two . three four", "one two three four", "en")
    assert united["rougeL"] == 100.0
    crossed = sentence_rouge("three four one two", "one two three four", "en")
    assert crossed["rougeL"] == 50.0


@pytest.mark.parametrize(
    ("hypothesis", "reference"), [("", "a b"), ("a b", ""), ("", ""), (" . ", "a")]
)
def test_an_empty_side_scores_0_and_raises_nothing(hypothesis, reference):
    assert sentence_rouge(hypothesis, reference, "en") == dict.fromkeys(NAMES, 0.0)


@pytest.mark.parametrize(
    ("lang", "make", "join"), [("en", english_summaries, " "), ("zh", chinese_summaries, "")]
)
def test_rouge_l_and_rouge_2_never_exceed_rouge_1(lang, make, join):
    references = make(60, seed=3)
    rouge1, rouge2, rouge_l = score_rouge(
        rewritten(references, 4, join), one_each(references), lang
    )
    assert (np.array(rouge_l.per_segment) <= np.array(rouge1.per_segment) + 1e-9).all()
    assert max(rouge2.per_segment) > 0
    assert rouge1.parts["low"] <= rouge1.value <= rouge1.parts["high"]


def test_sentence_scores_are_those_of_the_corpus_scorer():
    references = english_summaries(20, seed=5)
    hypotheses = rewritten(references, 6, " ")
    corpus = score_rouge(hypotheses, one_each(references), "en")
    for name, score in zip(NAMES, corpus, strict=True):
        single = [
            sentence_rouge(h, r, "en")[name] for h, r in zip(hypotheses, references, strict=True)
        ]
        assert score.per_segment == pytest.approx(single, abs=1e-9)


def test_swapped_roles_exchange_precision_and_recall_and_move_only_rouge_l():
    references = english_summaries(60, seed=7)
    hypotheses = rewritten(references, 8, " ")
    normal = score_rouge(hypotheses, one_each(references), "en")
    swapped = score_rouge(hypotheses, one_each(references), "en", swap_roles=True)
    for there, back in zip(normal[:2], swapped[:2], strict=True):
        assert there.parts["p"] == back.parts["r"] and there.parts["r"] == back.parts["p"]
        assert there.per_segment == back.per_segment
    assert normal[2].per_segment != swapped[2].per_segment
    assert "roles:swapped" in swapped[0].signature and "roles:normal" in normal[0].signature


def test_the_best_of_several_references_is_the_highest_f_of_each():
    first, second = english_summaries(30, seed=9), english_summaries(30, seed=10)
    hypotheses = rewritten(first, 11, " ")
    both = [list(pair) for pair in zip(first, second, strict=True)]
    apart = [score_rouge(hypotheses, one_each(side), "en") for side in (first, second)]
    together = score_rouge(hypotheses, both, "en", multi_ref="best")
    for name, one, two, best in zip(NAMES, *apart, together, strict=True):
        assert best.per_segment == np.maximum(one.per_segment, two.per_segment).tolist(), name
    assert "refs:2|multi:best" in together[0].signature


def test_the_mean_over_several_references_is_the_mean_of_their_scores():
    first, second = english_summaries(30, seed=12), english_summaries(30, seed=13)
    hypotheses = rewritten(first, 14, " ")
    both = [list(pair) for pair in zip(first, second, strict=True)]
    apart = [score_rouge(hypotheses, one_each(side), "en") for side in (first, second)]
    together = score_rouge(hypotheses, both, "en", multi_ref="mean")
    for one, two, mean in zip(*apart, together, strict=True):
        assert mean.per_segment == pytest.approx(
            np.mean([one.per_segment, two.per_segment], axis=0)
        )
        for part in ("f", "p", "r"):
            assert mean.parts[part] == pytest.approx(
                (one.parts[part] + two.parts[part]) / 2, abs=2e-3
            )


def test_a_reference_given_twice_changes_nothing():
    references = english_summaries(20, seed=15)
    hypotheses = rewritten(references, 16, " ")
    single = values(score_rouge(hypotheses, one_each(references), "en"))
    for mode in ("best", "mean"):
        twice = score_rouge(hypotheses, [[r, r] for r in references], "en", multi_ref=mode)
        assert values(twice) == single


def test_case_does_not_count_in_english_and_does_in_chinese():
    assert sentence_rouge("NATO Summit", "nato summit", "en")["rouge1"] == 100.0
    assert sentence_rouge("NBA比赛", "nba比赛", "zh")["rouge1"] == pytest.approx(66.667)


def test_unequal_numbers_of_texts_are_refused():
    with pytest.raises(ValueError):
        score_rouge(["a", "b"], [["a"]], "en")
