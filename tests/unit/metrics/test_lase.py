"""LaSE against its formula, computed here from the two models themselves."""

import math

import fasttext
import numpy as np
import pytest
import tiny_encoders

from fairseq_vhm.metrics.averages import notes
from fairseq_vhm.metrics.lase import (
    NAMES,
    _counter,
    _meanings,
    language_confidence,
    length_penalty,
    score_lase,
)
from fairseq_vhm.text.encoders import SentenceEncoder
from fairseq_vhm.text.langid import FastTextIdentifier

OUTPUTS = [
    "the court opened on monday",
    "das gericht",
    "rain fell and " * 6,
    "法 院 今 天",
    "a cat\nsat on\n\nthe mat",
    "zoo <unk> 😀 < .",
]
REFERENCES = ["a court opened", "the court", "rain fell", "the court opened", "a cat sat", "the zoo"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_encoders.sentence_transformer(tmp_path_factory.mktemp("models") / "tiny-labse")


@pytest.fixture(scope="module")
def sentences(folder):
    return SentenceEncoder(folder, "cpu")


@pytest.fixture(scope="module")
def lid(tmp_path_factory):
    return tiny_encoders.language_model(tmp_path_factory.mktemp("lid") / "tiny.bin")


@pytest.fixture(scope="module")
def identifier(lid):
    return FastTextIdentifier(lid)


class Vectors:
    """Sentence vectors by heart."""

    identity, max_length = "vectors@0", 8

    def __init__(self, **vectors):
        self.vectors = vectors

    def encode(self, texts, track=iter):
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)

    def cut(self, texts):
        return 0


def one_each(references):
    return [[reference] for reference in references]


def by_name(scores):
    assert tuple(score.name for score in scores) == NAMES
    return {score.name: np.array(score.per_segment) / 100 for score in scores}


def test_lase_is_cosine_times_language_confidence_times_length_penalty(folder, lid, sentences, identifier):
    from sentence_transformers import SentenceTransformer

    encode = SentenceTransformer(str(folder), device="cpu").encode
    predict = fasttext.load_model(str(lid)).predict
    scored = by_name(score_lase(OUTPUTS, one_each(REFERENCES), "en", sentences, identifier))
    for row, (output, reference) in enumerate(zip(OUTPUTS, REFERENCES, strict=True)):
        one, two = encode(output), encode(reference)
        meaning = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
        labels, figures = predict(" ".join(output.replace("<unk>", "").split()), k=-1)
        place = labels.index("__label__en")
        language = 1.0 if place == 0 else figures[place]
        lengths = [
            sum(word.isascii() and word.isalnum() for word in text.split()) for text in (output, reference)
        ]
        lengths[0] += output.count("<unk>")
        allowed = lengths[1] + 6
        length = 1.0 if lengths[0] <= allowed else math.exp(1 - lengths[0] / allowed)
        parts = [scored[name][row] for name in NAMES[1:]]
        assert parts == pytest.approx([meaning, language, length], abs=1e-5), output
        assert scored["lase"][row] == pytest.approx(meaning * language * length, abs=1e-5)


def test_a_text_scores_100_against_itself_in_the_language_it_is_in(sentences, identifier):
    for lang, text in (
        ("en", "the court opened"),
        ("de", "das gericht wurde"),
        ("zho_Hans", "法 院 今 天 开 庭"),
    ):
        for score in score_lase([text], [[text]], lang, sentences, identifier):
            assert score.value == pytest.approx(100, abs=1e-3)


@pytest.mark.parametrize(
    ("generated", "expected", "penalty"),
    [
        (0, 0, 1.0),
        (16, 10, 1.0),
        (17, 10, math.exp(-1 / 16)),
        (32, 10, math.exp(-1)),
        (7, 0, math.exp(-1 / 6)),
    ],
)
def test_the_length_penalty_begins_after_six_tokens_more(generated, expected, penalty):
    assert length_penalty(generated, expected) == pytest.approx(penalty)


def test_a_negative_cosine_is_kept(identifier):
    vectors = Vectors(up=[1, 0], down=[-1, 0], left=[-0.6, 0.8])
    scored = by_name(score_lase(["up", "up"], [["down"], ["left"]], "en", vectors, identifier))
    assert scored["lase_meaning"] == pytest.approx([-1, -0.6])
    assert (scored["lase"] < 0).all()


def test_of_several_references_the_one_of_highest_lase_or_the_mean(identifier):
    vectors = Vectors(up=[1, 0], half=[0.5, 0.75**0.5], right=[0, 1])
    best, mean = (
        score_lase(["up"], [["half", "right"]], "en", vectors, identifier, multi)
        for multi in ("best", "mean")
    )
    assert by_name(best)["lase_meaning"] == pytest.approx([0.5])
    assert by_name(mean)["lase_meaning"] == pytest.approx([0.25])
    assert "refs:2|multi:best" in best[0].signature and "multi:mean" in mean[0].signature


def test_an_unknown_language_counts_as_certain_and_that_is_said(sentences, identifier):
    scores = score_lase(OUTPUTS, one_each(REFERENCES), "fr", sentences, identifier)
    assert by_name(scores)["lase_language"].tolist() == [1.0] * len(OUTPUTS)
    assert "lang:fr(unknown, LC=1)" in scores[0].signature
    assert any("does not know the language" in line for line in notes(scores))
    known = score_lase(OUTPUTS, one_each(REFERENCES), "de", sentences, identifier)
    assert not any("does not know" in line for line in notes(known))


@pytest.mark.parametrize(
    ("output", "reference"), [("", "the court"), (" \n", "a"), ("the court", ""), ("", "")]
)
def test_an_empty_side_scores_0(sentences, identifier, output, reference):
    scored = by_name(score_lase([output], [[reference]], "en", sentences, identifier))
    assert scored["lase"].tolist() == scored["lase_meaning"].tolist() == [0]
    assert output.strip() or scored["lase_language"].tolist() == [0]


def test_chinese_lengths_are_in_words_and_do_not_change_with_blanks(sentences, identifier):
    reference = "北京法院今天开庭。"
    spaced = " ".join(reference * 3)
    lengths = [
        by_name(score_lase([output], [[expected]], "zh", sentences, identifier))["lase_length"][0]
        for output in (spaced, spaced.replace(" ", ""))
        for expected in (reference, " ".join(reference))
    ]
    assert lengths == [pytest.approx(math.exp(1 - 12 / 10))] * 4  # 北京 法院 今天 开庭: 4 words, 6 free


def test_the_signature_names_both_models_the_language_and_the_tokens(sentences, identifier):
    signature = score_lase(["a"], [["a"]], "zh_CN", sentences, identifier)[0].signature
    for field in (
        "sentences:tiny-labse@",
        "lid:tiny.bin@",
        "lang:zh|",
        "length:jieba-words|alpha:6",
        "refs:1",
    ):
        assert field in signature
    english = score_lase(["a"], [["a"]], "en", sentences, identifier)[0].signature
    assert "length:en-rouge155|" in english and "refs-in" not in english
    german = score_lase(["a"], [["a"]], "en", sentences, identifier, reference_lang="de")[0].signature
    assert "|length:pieces-of-the-sentence-encoder|alpha:6|refs-in:de|" in german


def test_every_part_has_its_interval_and_texts_that_were_cut_are_counted(sentences, identifier):
    scores = score_lase(OUTPUTS, one_each(REFERENCES), "en", sentences, identifier)
    for score in scores:
        assert score.parts["low"] <= score.value <= score.parts["high"]
        assert score.value == pytest.approx(np.mean(score.per_segment))
    long = score_lase(["the cat " * 40], [["a"]], "en", sentences, identifier)
    assert long[1].parts["cut"] == 1 and any("cut" in line for line in notes(long))


def test_a_chinese_word_counts_if_one_of_its_characters_is_no_punctuation():
    """jieba keeps 3.5% in one piece."""
    _, length = _counter("zh")
    assert [length(text) for text in ("增长3.5%。", "增长", "。！", "")] == [2, 1, 0, 0]


class _Sure:
    """A classifier whose figures add up to more than 1, as fastText's do by rounding."""

    def probabilities(self, text):
        return {"fr": 0.6, "sr": 0.5, "hr": 0.5001}


def test_no_confidence_is_beyond_1():
    assert language_confidence("a", frozenset({"sr", "hr"}), _Sure()) == 1.0
    assert language_confidence("a", frozenset({"sr"}), _Sure()) == 0.5


class _Unrounded:
    """An encoder whose vectors are longer than 1 by more than rounding."""

    def encode(self, texts, track):
        return np.array([[1.1, 0.0], [1.1, 0.0], [1.1, 0.0], [-1.1, 0.0]])


def test_no_cosine_is_beyond_1():
    assert _meanings([("a", "a"), ("a", "b")], _Unrounded(), None).tolist() == [1.0, -1.0]
