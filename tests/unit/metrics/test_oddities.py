"""What looks wrong between outputs and references is counted and told; what is right is not."""

import unicodedata

import pytest

from fairseq_vhm.metrics.oddities import oddities_between

CHINESE = ["法院周一开庭，审理三起案件！", "上海经济增长５％，记者报道：“天气很好。”"] * 6
TRADITIONAL = ["法院週一開庭，審理三起案件！", "上海經濟增長５％，記者報道：“天氣很好。”"] * 6


def told(hypotheses, references, lang="zh") -> list[str]:
    return list(oddities_between(hypotheses, [[text] for text in references], lang))


def shortened(texts: list[str]) -> list[str]:
    return [text[1:] for text in texts]


@pytest.mark.parametrize(
    ("hypotheses", "references", "lang"),
    [
        (shortened(CHINESE), CHINESE, "zh"),
        (["NBA " + text for text in CHINESE], CHINESE, "zh_CN"),
        (["the court opened .", ""], ["a court opens", "rain"], "en"),
        (["東京は雨。", "ひらがな。"], ["カタカナ。", "東京の雨。"], "ja"),
        (["法院开庭,审理案件!"], ["法院开庭，审理案件。"], "zh"),  # too few to tell
        (["", ""], ["", ""], "zh"),
    ],
)
def test_texts_in_order_give_no_line(hypotheses, references, lang):
    assert told(hypotheses, references, lang) == []


def test_other_widths_of_punctuation_are_counted_in_chinese_and_japanese():
    narrow = [unicodedata.normalize("NFKC", text[1:]) for text in CHINESE]
    [line] = told(narrow, CHINESE)
    assert line.startswith(
        "punctuation of outputs are half-width (24 of 24), of references full-width (24 of 24)"
    )
    assert len(told(narrow, CHINESE, "ja")) == 1
    [line] = told(shortened(CHINESE), [unicodedata.normalize("NFKC", text) for text in CHINESE])
    assert "outputs are full-width" in line
    assert told(narrow, CHINESE, "en") == []


def test_decimals_and_times_are_no_punctuation():
    figures = ["增长3.5，在10:30，共1,000。"] * 10
    assert told([f"又{text}" for text in figures], figures) == []


def test_traditional_characters_against_simplified_ones_are_told():
    [line] = told(shortened(TRADITIONAL), CHINESE)
    assert line.startswith("characters of outputs are traditional (")
    assert "of references simplified (" in line
    [line] = told(shortened(CHINESE), TRADITIONAL)
    assert "outputs are simplified" in line


def test_unknown_words_are_counted():
    [line] = told(["法院 <unk> 开庭", "法院", "a ⁇ b 法"], ["法院", "北京", "上海"])
    assert line == "2 of 3 (first: line 1) outputs hold unknown words (<unk>), scored as that text"


def test_outputs_equal_to_their_references_are_counted():
    [line] = told(CHINESE, CHINESE)
    assert line.startswith("12 of 12 outputs are equal to their reference")
    assert told([*CHINESE[:6], *shortened(CHINESE[6:])], CHINESE) == []


def test_outputs_in_another_script_are_counted_one_by_one():
    [line] = told(["the court opened", *shortened(CHINESE[1:])], CHINESE)
    assert line == "1 of 12 (first: line 1) outputs hold no letter of the references' CJK script"


def test_references_in_another_script_than_the_language_are_told():
    [line] = told(["a court", "rain"], ["the court", "it rained"], "zh")
    assert line == "references are in LATIN script, --lang zh in CJK; is it the right language?"
    assert told(["суд"], ["дождь идёт"], "ru") == []
