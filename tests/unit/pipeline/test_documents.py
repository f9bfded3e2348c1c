"""Sentence splitting and joining: what the pipeline relies on the library sentencex for."""

import pytest

from fairseq_vhm.pipeline.documents import Document, join, split

ENGLISH = [
    ["Dr. Smith went to Washington, D.C. on Jan. 5.", "He met Mr. Jones."],
    ["The U.S. economy grew 3.5 percent.", "Prices rose."],
    ["He met Sen. Reid at 10 a.m. in Boston.", "They left."],
    ["J. R. R. Tolkien wrote it.", "It sold well."],
    ["Visit www.example.com.", "It is great."],
    ['He asked, "Why?"', "She did not answer."],
    ["It cost $4.5 million (about 3.2 million pounds).", "Wow!"],
    ["mr . smith said it was fine .", "the u.s. team won 3 - 2 ."],
    ["the cat saw it !", "the dog did not .", "did the bird ?", "no ."],
    ['" great ! " he said .', "then he left ."],
]
CHINESE = [
    ["今天天气很好。", "我们去公园吧！", "你去吗？"],
    ["他说：“今天很好。”", "然后他走了。"],
    ["他喊道：“快跑！！！”", "没人动。"],
    ["她说：「好。」", "他走了。"],
    ["《时代》杂志（2010年。）报道了此事。", "完"],
    ["价格上涨了3.5%。", "专家说……没有办法。"],
    ["苹果公司（Apple Inc.）发布了新手机。", "售价599美元。"],
    ["真的吗？！", "我不信……算了。"],
    ["第一；第二；第三。"],
    ["他觉得太高。", "brown先生同意降价5%，但她要求再降。", "他们走了。"],
    ["没有句号的句子"],
]


@pytest.mark.parametrize("sentences", ENGLISH, ids=lambda s: s[0])
def test_english_sentences_end_where_a_reader_ends_them(sentences):
    assert split(" ".join(sentences), "en") == tuple(sentences)


@pytest.mark.parametrize("sentences", CHINESE, ids=lambda s: s[0])
def test_chinese_sentences_keep_their_closing_quotation_marks_and_brackets(sentences):
    assert split("".join(sentences), "zh") == tuple(sentences)


@pytest.mark.parametrize("lang", ["en", "zh", "tr", "am", "xx"])
def test_splitting_loses_no_character_in_any_language(lang):
    text = "One. Two!  他说：“好。”然后走了。 ሰላም። Three?! x.y 3.5 … «Quatre.» 「五。」"
    assert "".join("".join(split(text, lang)).split()) == "".join(text.split())


def test_a_suffix_stands_for_its_language():
    text = "他说：“今天很好。”然后他走了。"
    assert split(text, "zh_CN") == split(text, "zh")
    assert join(["一。", "二。"], "zh_sum") == "一。二。"
    assert join(["One.", "Two."], "en_sum") == "One. Two."


def test_a_document_of_blanks_is_empty_and_has_no_sentences():
    assert Document.of(" \t ", "en") == Document("", ())
    assert Document.joined(["", " "], "zh") == Document("", ())
    assert Document.of("", "en").is_empty


def test_line_breaks_of_any_kind_become_blanks():
    document = Document.of("One.\u2028Two.\x0bThree.\u3000Four.", "en")
    assert document.text == "One. Two. Three. Four."
    assert len(document.text.splitlines()) == 1
