"""The noise of pre-training: what is masked, moved and dropped, and that nothing else happens."""

import numpy as np
import pytest

from fairseq_vhm.data.noise import SpanMasking, WordNoise, Words

MASK = 999
LENGTHS = (1, 2, 3, 7, 20, 101)
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "a@@", "b@@", "c", "d"]


def masking(share=0.15, span=1.0, target="masked") -> SpanMasking:
    return SpanMasking(MASK, share, span, target)


def denoising(shuffle=0, drop=0.0, blank=0.0, symbols=None) -> WordNoise:
    return WordNoise(MASK, shuffle, drop, blank, Words(symbols or [f"w{i}" for i in range(500)]))


def text_of(length: int) -> np.ndarray:
    return np.arange(10, 10 + length)


def rng(seed=0):
    return np.random.default_rng(seed)


def filled(source, target) -> list[int]:
    """The source with each mask replaced by the span that the target writes behind its own."""
    spans = [[]]
    for token in target:
        spans += [[]] if token == MASK else []
        spans[-1] += [] if token == MASK else [token]
    assert spans.pop(0) == []
    whole = []
    for token in source:
        whole += spans.pop(0) if token == MASK else [token]
    assert spans == []
    return whole


@pytest.mark.parametrize("span", [1.0, 3.0])
@pytest.mark.parametrize("share", [0.15, 0.4])
def test_the_share_of_the_tokens_is_masked_exactly_and_at_least_one(share, span):
    for length in LENGTHS:
        for seed in range(20):
            masked = masking(share, span).masked_positions(length, rng(seed))
            assert len(masked) == length and masked.sum() == max(1, round(share * length))


@pytest.mark.parametrize("span", [1.0, 3.0])
def test_source_and_target_together_hold_the_text(span):
    for length in LENGTHS:
        for seed in range(20):
            source, target = masking(span=span)(text_of(length), rng(seed))
            assert filled(source.tolist(), target.tolist()) == text_of(length).tolist()


def test_spans_have_the_mean_length_asked_for_and_lie_apart():
    for span, expected in ((1.0, 15), (3.0, 5)):
        source, target = masking(0.15, span)(text_of(100), rng())
        assert (source == MASK).sum() == (target == MASK).sum() == expected
        assert not ((source[1:] == MASK) & (source[:-1] == MASK)).any()


def test_no_position_is_spared():
    """Single tokens that lie apart fall on the two ends a little more often than elsewhere, never less."""
    rounds, length = 4000, 10
    together = sum(masking(0.2).masked_positions(length, rng(seed)).astype(int) for seed in range(rounds))
    deviation = (0.2 * 0.8 * rounds) ** 0.5
    assert (abs(together[1:-1] - together[1:-1].mean()) < 4 * deviation).all()
    assert (together[[0, -1]] > together[1:-1].mean() - 4 * deviation).all()


def test_the_whole_text_is_written_where_that_is_asked_for():
    source, target = masking(target="text")(text_of(20), rng())
    assert np.array_equal(target, text_of(20)) and (source == MASK).sum() == 3


@pytest.mark.parametrize(
    "noise", [masking(), masking(0.4, 2.0), masking(target="text"), denoising(3, 0.1, 0.1)]
)
def test_the_target_is_as_long_as_announced(noise):
    for length in LENGTHS:
        assert len(noise(text_of(length), rng())[1]) == noise.target_length(length)


@pytest.mark.parametrize("noise", [masking(), denoising(3, 0.2, 0.2)])
def test_noise_is_a_function_of_text_and_seed(noise):
    text = text_of(50)
    once, again, other = (noise(text, rng(seed))[0].tolist() for seed in (4, 4, 5))
    assert once == again != other
    assert np.array_equal(text, text_of(50))


def test_without_shuffling_dropping_and_masking_denoising_copies():
    for length in LENGTHS:
        source, target = denoising()(text_of(length), rng())
        assert np.array_equal(source, text_of(length)) and np.array_equal(target, text_of(length))


@pytest.mark.parametrize("shuffle", [1, 3])
def test_no_word_moves_by_more_positions_than_allowed_and_the_first_may_move(shuffle):
    sources = [denoising(shuffle)(text_of(60), rng(seed))[0] for seed in range(200)]
    moved = np.array([np.argsort(source) - np.arange(60) for source in sources])
    assert all(sorted(source) == text_of(60).tolist() for source in sources)
    assert abs(moved).max() == shuffle
    assert (moved[:, 0] > 0).any()


def test_words_are_dropped_and_masked_with_the_probabilities_given():
    length, rounds = 100, 200
    sources = [denoising(0, 0.1, 0.2)(text_of(length), rng(seed))[0] for seed in range(rounds)]
    kept = sum(map(len, sources))
    words, masked = length * rounds, sum(int((source == MASK).sum()) for source in sources)
    assert abs(kept - 0.9 * words) < 4 * (0.09 * words) ** 0.5
    assert abs(masked - 0.2 * kept) < 4 * (0.16 * kept) ** 0.5


def test_one_word_always_stays():
    assert all(len(denoising(0, 0.99)(text_of(3), rng(seed))[0]) >= 1 for seed in range(100))


@pytest.mark.parametrize(
    ("symbols", "text", "words"),
    [
        (PIECES, [4, 5, 6, 7, 4, 7], [[4, 5, 6], [7], [4, 7]]),
        (["x", "▁a", "b", "▁c"], [1, 2, 2, 3, 1], [[1, 2, 2], [3], [1]]),
        (["x", "a", "b"], [1, 2, 1], [[1], [2], [1]]),
    ],
)
def test_pieces_of_a_word_stay_together(symbols, text, words):
    assert [word.tolist() for word in Words(symbols)(np.array(text))] == words
    source, _ = denoising(3, 0.0, 0.0, symbols)(np.array(text), rng(2))
    assert sorted(w.tolist() for w in Words(symbols)(source)) == sorted(words)


def test_a_masked_word_is_one_mask():
    source, _ = denoising(0, 0.0, 0.999999, PIECES)(np.array([4, 5, 6, 7]), rng())
    assert source.tolist() == [MASK, MASK]
