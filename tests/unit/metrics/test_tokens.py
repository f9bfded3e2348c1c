"""How texts become tokens, by the rule stated for each language."""

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.tokens import rule_for


def test_english_is_lowered_stemmed_and_split_at_blank_full_stop():
    sentences = rule_for("en").sentences("The U.S. courts opened . Sci-fi runs $3,000")
    assert sentences == [["the", "u", "s", "court", "open"], ["sci", "fi", "run", "3", "000"]]


def test_english_words_of_three_letters_are_not_stemmed():
    assert rule_for("en").tokens("his gas is 0s") == ["his", "gas", "is", "0s"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("北京NBA比赛", ["北", "京", "NBA", "比", "赛"]),
        ("增长3.5%，", ["增", "长", "3.5", "%", "，"]),
        ("共1,000名", ["共", "1,000", "名"]),
        ("气温-16度", ["气", "温", "-16", "度"]),
        ("比分6-4", ["比", "分", "6", "-", "4"]),
        ("New York", ["New", "York"]),
        ("<unk>.com", ["<", "unk", ">", ".", "com"]),
        ("４Ｇ！", ["４", "Ｇ", "！"]),
    ],
)
def test_chinese_characters_latin_words_and_numbers_are_tokens(text, tokens):
    assert rule_for("zh").tokens(text) == tokens


def test_blanks_between_chinese_characters_change_nothing():
    rule = rule_for("zh")
    assert rule.sentences("北 京 3.5 元 。 好") == rule.sentences("北京3.5元。好")


def test_the_chinese_full_stop_splits_and_is_not_counted():
    assert rule_for("zh").sentences("你好。再见！") == [["你", "好"], ["再", "见", "！"]]


@pytest.mark.parametrize(
    ("lang", "text", "sentences"),
    [
        ("de", "Größe zählt! Über 3 Äpfel.", [["größe", "zählt"], ["über", "3", "äpfel"]]),
        ("ru", "Ёлка горит.", [["ёлка", "горит"]]),
        ("hi", "नमस्ते दुनिया। ठीक", [["नमस्ते", "दुनिया"], ["ठीक"]]),
        ("ar", "كيف الحال؟ بخير", [["كيف", "الحال"], ["بخير"]]),
        ("fa", "می\u200cروم", [["می\u200cروم"]]),
        ("ko", "한국 경제", [["한국", "경제"]]),
        ("ja", "東京タワー2台。", [["東", "京", "タ", "ワ", "ー", "2", "台"]]),
        ("th", "ไทยดี", [["ไ", "ท", "ย", "ดี"]]),
        ("vi", "Tie\u0302\u0301ng", [["tiếng"]]),
    ],
)
def test_other_languages_are_read_by_the_script_of_each_character(lang, text, sentences):
    read = rule_for(lang).sentences(text)
    assert [sentence for sentence in read if sentence] == sentences


@pytest.mark.parametrize("suffix", ["en_sum", "en_XX", "EN", "en-gb"])
def test_a_language_may_carry_a_suffix(suffix):
    assert rule_for(suffix) is rule_for("en")


@pytest.mark.parametrize("wrong", ["english", "", "e", "42"])
def test_what_is_no_language_code_is_refused(wrong):
    with pytest.raises(UserError, match="not a language code"):
        rule_for(wrong)
