"""MoverScore by hand, by another solver, and by the words of the authors' second version."""

import math

import numpy as np
import pyemd
import pytest
import tiny_encoders

from fairseq_vhm.metrics.averages import notes
from fairseq_vhm.metrics.moverscore import grams, inverse_frequencies, mover_score, score_moverscore, words
from fairseq_vhm.text.encoders import TokenEncoder, Tokens

OUTPUTS = ["the court opened here on monday", "a cat sat on a mat", "rain fell zoo", "法院今天开庭，"]
REFERENCES = [
    "a court opened on monday, here",
    "the cat sat on the mat",
    "the rain fell here",
    "北京法院开庭。",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_encoders.bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def encoder(folder):
    return TokenEncoder(folder, "cpu")


def one_each(references):
    return [[reference] for reference in references]


def least_cost(weights, others, costs):
    """By pyemd, in its form: both sets in one histogram, all distances in one square."""
    size = len(weights) + len(others)
    first, second, square = np.zeros(size), np.zeros(size), np.zeros((size, size))
    first[: len(weights)], second[len(weights) :] = weights, others
    square[: len(weights), len(weights) :] = costs
    square[len(weights) :, : len(weights)] = costs.T
    return pyemd.emd(first, second, square)


def solve(weights, others, costs):
    from ot import emd2

    return emd2(weights, others, costs)


def slow_moverscore(folder, outputs, references):
    """The second version step by step on one pair after another, moved by pyemd."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)

    def rarity(texts):
        sets = [set(tokenizer(text)["input_ids"]) for text in texts]
        return lambda number: math.log((len(sets) + 1) / (sum(number in one for one in sets) + 1))

    def side(text, idf):
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            vectors = model(**inputs).last_hidden_state[0].double().numpy()
        numbers = inputs["input_ids"][0].tolist()
        weights = np.array([idf(number) for number in numbers])
        for place, piece in enumerate(tokenizer.convert_ids_to_tokens(numbers)):
            if "##" in piece or piece in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~":
                weights[place] = 0
        return weights / weights.sum(), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    idfs = rarity(outputs), rarity(references)
    for pair in zip(outputs, references, strict=True):
        (ours, vectors), (theirs, others) = (side(text, idf) for text, idf in zip(pair, idfs, strict=True))
        costs = np.sqrt(((vectors[:, None] - others[None]) ** 2).sum(-1))
        yield 1 - least_cost(ours, theirs, costs)


@pytest.mark.parametrize(
    ("outputs", "references"),
    [
        (OUTPUTS, REFERENCES),
        (["the cat", "the cat", "the cat sat", "rain fell"], ["the mat", "the cat", "a cat", "the rain"]),
    ],
    ids=["usual", "words that nearly every text has"],
)
def test_scores_are_those_of_the_second_version_moved_by_another_solver(folder, encoder, outputs, references):
    scored = score_moverscore(outputs, one_each(references), encoder)
    expected = [100 * score for score in slow_moverscore(folder, outputs, references)]
    assert scored.per_segment == pytest.approx(expected, abs=1e-3)
    assert scored.value == pytest.approx(np.mean(expected), abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_both_solvers_move_random_words_at_the_same_cost(seed):
    draw = np.random.default_rng(seed)
    weights, others = draw.random(7 + seed), draw.random(12 - seed)
    vectors = [draw.normal(size=(len(some), 5)) for some in (weights, others)]
    figures = [mover_score(weights, vectors[0], others, vectors[1], by) for by in (solve, least_cost)]
    assert figures[0] == pytest.approx(figures[1], abs=1e-9)


def test_moves_by_hand():
    east, north, west = np.eye(2)[0], np.eye(2)[1], -np.eye(2)[0]
    even = np.ones(2)
    assert mover_score(even, np.array([east, north]), even, np.array([north, east]), solve) == 1
    assert mover_score(np.ones(1), east[None], np.ones(1), west[None], solve) == -1
    half = mover_score(even, np.array([east, north]), np.ones(1), east[None], solve)
    assert half == pytest.approx(1 - math.sqrt(2) / 2)
    quarter = mover_score(np.array([3.0, 1.0]), np.array([east, north]), np.ones(1), east[None], solve)
    assert quarter == pytest.approx(1 - math.sqrt(2) / 4)
    assert mover_score(np.zeros(0), np.zeros((0, 2)), even, np.array([east, north]), solve) == 0


def test_a_text_scores_100_against_itself_and_never_more(encoder):
    scored = score_moverscore(OUTPUTS + REFERENCES, one_each(OUTPUTS + REFERENCES), encoder)
    assert scored.per_segment == pytest.approx([100] * 8, abs=1e-6)
    other = score_moverscore(OUTPUTS, one_each(REFERENCES), encoder).per_segment
    assert all(-100 <= score < 100 for score in other)


def test_exchanged_sides_score_the_same(encoder):
    there = score_moverscore(OUTPUTS, one_each(REFERENCES), encoder)
    back = score_moverscore(REFERENCES, one_each(OUTPUTS), encoder)
    assert there.per_segment == pytest.approx(back.per_segment, abs=1e-6)


def test_scores_follow_their_outputs_in_any_order(encoder):
    order = [2, 0, 3, 1]
    plain = score_moverscore(OUTPUTS, one_each(REFERENCES), encoder).per_segment
    mixed = score_moverscore(
        [OUTPUTS[row] for row in order], [[REFERENCES[row]] for row in order], encoder
    ).per_segment
    assert mixed == pytest.approx([plain[row] for row in order], abs=1e-6)


def test_rarity_by_hand():
    texts = [Tokens(ids, (), np.zeros(0, bool), False) for ids in [(1, 2, 2), (1, 3), (1, 4)]]
    expected = {1: 0, 2: math.log(2), 3: math.log(2), 4: math.log(2)}
    assert inverse_frequencies(texts) == pytest.approx(expected)


def test_words_are_first_pieces_without_punctuation_and_special_tokens(encoder):
    (tokens,) = encoder.tokenize(["the zoo, 法院。 opened!"])
    kept = [piece for piece, word in zip(tokens.pieces, words(tokens), strict=True) if word]
    assert kept == ["the", "z", "法", "院", "。", "opened"]


def test_the_same_line_again_and_again_does_not_score_100(encoder):
    # All of its words are in every output, so their IDF is 0; the second version then scores 1.
    scored = score_moverscore([OUTPUTS[0]] * 4, one_each(REFERENCES), encoder)
    assert max(scored.per_segment[1:]) < 99


@pytest.mark.parametrize("nothing", ["", " \n", "...", ",!?"])
def test_a_side_of_which_nothing_is_left_scores_0(encoder, nothing):
    scored = score_moverscore([nothing, "the cat", "rain"], [["the cat"], [nothing], ["rain"]], encoder)
    assert scored.per_segment == pytest.approx([0, 0, 100], abs=1e-6)


def test_neighbours_are_moved_together_by_hand():
    weights, vectors = np.array([1.0, 3.0, 1.0]), np.array([[1.0, 0], [0, 1.0], [-1.0, 0]])
    sums, means = grams(weights, vectors, 2)
    assert sums.tolist() == [4, 4]
    root = math.sqrt(10)
    assert means == pytest.approx(np.array([[1 / root, 3 / root], [-1 / root, 3 / root]]))
    assert grams(weights / 100, vectors, 2)[1] == pytest.approx(means)
    assert grams(weights, vectors, 1)[1] is vectors
    assert len(grams(weights, vectors, 5)[0]) == len(grams(weights[:2], vectors[:2], 2)[0]) == 1


def test_neighbours_without_weight_or_that_point_away_from_each_other_are_nowhere():
    east, none = np.array([1.0, 0.0]), [0.0, 0.0]
    sums, means = grams(np.array([0.0, 0.0, 1.0, 1.0]), np.array([east, east, east, -east]), 2)
    assert sums.tolist() == [0, 1, 2] and means.tolist() == [none, [1.0, 0.0], none]


def test_pairs_of_words_tell_order_that_words_alone_tell_less_of(encoder):
    scored = [score_moverscore(OUTPUTS, one_each(REFERENCES), encoder, ngram=ngram) for ngram in (1, 2)]
    assert scored[0].per_segment != scored[1].per_segment
    assert "ngram:2" in scored[1].signature
    same = score_moverscore(OUTPUTS, one_each(OUTPUTS), encoder, ngram=2)
    assert same.per_segment == pytest.approx([100] * 4, abs=1e-6)


def test_of_several_references_the_best_or_the_mean(encoder):
    both = [[one, two] for one, two in zip(REFERENCES, OUTPUTS, strict=True)]
    best = score_moverscore(OUTPUTS, both, encoder, "best").per_segment
    mean = score_moverscore(OUTPUTS, both, encoder, "mean")
    # Rarity is counted over all references; so the one that equals the output is near 100, not at it.
    assert all(above > 90 for above in best)
    assert all(below < above for below, above in zip(mean.per_segment, best, strict=True))
    assert "refs:2|multi:mean" in mean.signature


def test_the_layer_is_the_last_unless_set_and_in_the_signature(folder, encoder):
    last = score_moverscore(OUTPUTS, one_each(REFERENCES), encoder)
    assert "|layer:3|" in last.signature and "model:tiny-bert@" in last.signature
    same = score_moverscore(OUTPUTS, one_each(REFERENCES), TokenEncoder(folder, "cpu", layer=3))
    lower = score_moverscore(OUTPUTS, one_each(REFERENCES), TokenEncoder(folder, "cpu", layer=1))
    assert same.per_segment == last.per_segment != lower.per_segment


def test_long_texts_are_cut_and_counted(encoder):
    scored = score_moverscore(["the cat " * 40, "rain"], [["rain"], ["rain"]], encoder)
    assert scored.parts["cut"] == 1 and "max:24" in scored.signature
    assert list(notes([scored])) == [
        "moverscore: 1 texts are longer than the encoder reads and were cut (max in the signature)"
    ]
