"""Segmentation: what is encoded comes back, and a prepared folder's segmentation loads."""

import json
import pickle
import random

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.segment import Segmenter, SubwordSegmenter, WordSegmenter, language_of
from fairseq_vhm.text.subword import train_model
from fairseq_vhm.text.symbols import SPECIAL_SYMBOLS, escape, unescape

ENGLISH = ("the", "river", "rose", "after", "heavy", "rain", "and", "bridges", "closed", "today")
CHINESE = ("大雨", "之后", "河水", "上涨", "桥梁", "关闭", "今天", "学校", "停课", "恢复")

ODD_TEXTS = [
    "the river rose",
    "今天大雨之后河水上涨。",
    "a  b   c",
    " leading and trailing ",
    "▁ ▁▁ a▁b",
    "@@ sub@@ word @@",
    "<unk> <s> </s> <pad> <cls>",
    "ideographic\u3000blank, no-break\xa0blank\ttab",
    "\u2028line\u2029breaks\x85in\x0btext\x1c",
    "never seen: 𠮷野家 ✓ é ф",
    "private use \U0010ff00\U0010ff01\U0010ff17 stays",
    "",
    " ",
    "0",
]


def sentences(count: int = 300) -> list[str]:
    """Bilingual sentences from two small vocabularies."""
    draw = random.Random(7)
    return [
        " ".join(draw.choices(ENGLISH, k=6)) if n % 2 else "".join(draw.choices(CHINESE, k=6))
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("spm") / "spm.model"
    path.write_bytes(train_model(sentences(), vocab_size=80, character_coverage=1.0))
    return path


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_subword_decoding_gives_back_exactly_what_was_encoded(model, text):
    segmenter = SubwordSegmenter(model)
    assert segmenter.decode(segmenter.encode(text, "en"), "en") == text


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_symbols_split_at_any_blank_are_the_symbols_split_at_u0020(model, text):
    """fairseq splits at every Unicode blank (``fairseq.tokenizer.tokenize_line``)."""
    for segmenter in (SubwordSegmenter(model), WordSegmenter("char"), WordSegmenter("jieba")):
        for lang in ("en", "zh"):
            symbols = segmenter.encode(text, lang)
            assert symbols.split() == [part for part in symbols.split(" ") if part]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_no_symbol_is_one_of_fairseqs_special_ones(model, text):
    for segmenter in (SubwordSegmenter(model), WordSegmenter("char"), WordSegmenter("jieba")):
        for lang in ("en", "zh"):
            assert not SPECIAL_SYMBOLS & set(segmenter.encode(text, lang).split(" "))


def test_escaping_is_one_to_one_on_all_blanks_and_on_its_own_block():
    characters = [chr(code) for code in (*range(0x3100), *range(0x10FE00, 0x110000))]
    text = "".join(characters)
    assert unescape(escape(text)) == text
    assert len({escape(char) for char in characters}) == len(characters)
    assert {char for char in escape(text) if char.isspace()} == {" "}


def test_plain_text_is_not_touched_by_escaping():
    assert escape("plain text, 中文。") == "plain text, 中文。"


def test_lowercase_is_applied_before_encoding(model):
    lower = SubwordSegmenter(model, lowercase=True)
    assert lower.decode(lower.encode("The RIVER", "en"), "en") == "the river"
    assert WordSegmenter(lowercase=True).encode("The RIVER", "en") == "the river"


def test_equal_texts_train_equal_models():
    first, second = (train_model(sentences(100), 80, 1.0) for _ in range(2))
    assert first == second


def test_a_vocabulary_that_the_text_cannot_fill_names_the_flag_and_the_limit():
    with pytest.raises(UserError, match=r"--vocab-size 5000 .* use at most \d+"):
        train_model(sentences(50), 5000, 1.0)


def test_english_words_follow_the_moses_tokenizer():
    """Expected tokens: Moses ``tokenizer.perl -l en -no-escape``, by its rules."""
    words = WordSegmenter().encode("The river's bank, e.g. here, wasn't safe.", "en")
    assert words == "The river 's bank , e.g. here , wasn 't safe ."


def test_chinese_characters_stand_alone_and_latin_runs_stay_whole():
    assert WordSegmenter("char").encode("用Instagram拍852张，好", "zh") == ("用 Instagram 拍 852 张 ， 好")


def test_jieba_joins_characters_to_words():
    assert WordSegmenter("jieba").encode("今天大雨之后学校停课", "zh").split(" ") != list(
        "今天大雨之后学校停课"
    )


@pytest.mark.parametrize("chinese_words", ["char", "jieba"])
def test_chinese_words_detokenize_to_the_same_text(chinese_words):
    segmenter = WordSegmenter(chinese_words)
    for text in ("今天大雨之后，学校停课。", "用Instagram拍852张照片"):
        assert segmenter.decode(segmenter.encode(text, "zh"), "zh") == text


def test_english_words_detokenize_to_the_usual_text():
    segmenter = WordSegmenter()
    text = "The river's bank, here, wasn't safe."
    assert segmenter.decode(segmenter.encode(text, "en"), "en") == text


def test_a_language_without_blanks_or_rule_is_refused():
    with pytest.raises(UserError, match="'ja': use subword"):
        WordSegmenter().encode("今日は", "ja")


def test_the_language_of_a_suffix_is_its_part_before_the_underscore():
    assert [language_of(suffix) for suffix in ("en", "en_sum", "zh_sum")] == ["en", "en", "zh"]


def test_a_segmenter_survives_the_way_to_another_process(model):
    for segmenter in (SubwordSegmenter(model, True), WordSegmenter("char", True)):
        segmenter.encode("今天", "zh")
        copy = pickle.loads(pickle.dumps(segmenter))
        assert copy.encode("今天 The", "zh") == segmenter.encode("今天 The", "zh")


@pytest.mark.parametrize("lowercase", [True, False])
def test_load_gives_the_segmentation_of_a_prepared_folder(model, tmp_path, lowercase):
    (tmp_path / "spm.model").write_bytes(model.read_bytes())
    for segmenter in (SubwordSegmenter(model, lowercase), WordSegmenter("char", lowercase)):
        manifest = json.dumps({"segmentation": segmenter.settings()})
        (tmp_path / "manifest.json").write_text(manifest)
        loaded = Segmenter.load(tmp_path)
        assert loaded.settings() == segmenter.settings()
        assert loaded.encode("今天 The river", "zh") == segmenter.encode("今天 The river", "zh")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [(None, "missing; prepare"), ("{}", "prepare it again"), ("not json", "prepare it again")],
)
def test_loading_from_something_else_says_so(tmp_path, manifest, message):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(UserError, match=message):
        Segmenter.load(tmp_path)


def test_a_lost_or_broken_model_is_said_when_loading(tmp_path):
    settings = SubwordSegmenter(tmp_path / "spm.model").settings()
    (tmp_path / "manifest.json").write_text(json.dumps({"segmentation": settings}))
    with pytest.raises(UserError, match="no such SentencePiece model"):
        Segmenter.load(tmp_path)
    (tmp_path / "spm.model").write_bytes(b"something else")
    with pytest.raises(UserError, match="not a SentencePiece model"):
        Segmenter.load(tmp_path)


def test_texts_that_no_model_can_be_trained_on_are_refused_with_the_size_that_was_asked():
    with pytest.raises(UserError, match="--vocab-size 1000 is more than this text can fill: use at most"):
        train_model(["the river rose"] * 20, 1000, 1.0)
    with pytest.raises(UserError, match="^--vocab-size 100: SentencePiece cannot train: "):
        train_model([], 100, 1.0)


def test_words_of_chinese_are_jiebas_or_characters():
    with pytest.raises(UserError, match="--chinese-words pkuseg: choose one of jieba, char"):
        WordSegmenter("pkuseg")


@pytest.mark.parametrize("lang", ["ja", "th", "yue_Hant"])
def test_a_language_without_blanks_and_rules_has_no_words(lang):
    with pytest.raises(UserError, match=f"no rule for '{lang}': use subword"):
        WordSegmenter.check_language(lang)
    with pytest.raises(UserError, match="no rule for"):
        WordSegmenter().encode("今日天氣", lang)
