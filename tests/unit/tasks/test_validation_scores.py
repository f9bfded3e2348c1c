"""Scores of validation are those of ``vhm score`` on the same texts, however these are cut into batches."""

import random
import statistics

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.logging import metrics

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.evaluation import evaluate
from fairseq_vhm.tasks.evaluation import GenerationMetrics, detect_pieces

WORDS = {
    "en": ["the", "cats", "sat", "on", "a", "mat", ".", "dogs"],
    "zh-CN": ["猫", "坐在", "垫子", "上", "。", "狗"],
    "ja_sum": ["猫が", "マット", "の上に", "座った", "。", "犬"],
}
NAMES = ("bleu", "chrf", "rouge1", "rouge2", "rougeL")


def dictionary_of(words) -> Dictionary:
    dictionary = Dictionary()
    for word in words:
        dictionary.add_symbol(word)
    return dictionary


def ids_of(dictionary: Dictionary, text: str) -> torch.Tensor:
    return dictionary.encode_line(text, add_if_not_exist=False).long()


def padded(rows: list[torch.Tensor], pad: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)


def validated(language: str, dictionary: Dictionary, pairs: list, sizes: tuple[int, ...]) -> dict:
    """What is logged for texts that come in batches of these sizes, after one without texts."""
    scorer = GenerationMetrics(dictionary, language, None, rouge=True, bleu=True, further=["chrf"])
    rest = list(pairs)
    with metrics.aggregate(new_root=True) as logged:
        for size in sizes:
            batch, rest = rest[:size], rest[size:]
            hypos = [[{"tokens": ids_of(dictionary, output)}] for output, _ in batch]
            targets = padded([ids_of(dictionary, reference) for _, reference in batch], dictionary.pad())
            scorer.reduce([scorer.empty(), scorer.score(hypos, targets, print_sample=False)])
    assert not rest
    return logged.get_smoothed_values()


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("sizes", [(9,), (1, 5, 3)], ids=str)
def test_scores_summed_over_batches_are_those_of_all_texts_at_once(language, sizes):
    """But for ROUGE's mean over draws, of which validation has the expectation."""
    rng, words = random.Random(3), WORDS[language]
    texts = [[" ".join(rng.choices(words, k=rng.randint(4, 9))) for _ in range(2)] for _ in range(9)]
    texts[0][0] = texts[0][1]
    found = validated(language, dictionary_of(words), texts, sizes)
    outputs, references = zip(*texts, strict=True)
    expected = evaluate(outputs, [[one] for one in references], language, ["rouge", "bleu", "chrf"])
    values = {score.name: score.value for score in expected}
    values |= {s.name: statistics.mean(s.per_segment) for s in expected if s.name.startswith("rouge")}
    assert set(NAMES) <= set(found) and set(NAMES) <= set(values)
    for name in NAMES:
        assert found[name] == pytest.approx(values[name], abs=0.006) and found[name] > 1, name


@pytest.mark.parametrize(
    ("symbols", "kind", "text"),
    [
        (["▁a", "b", "▁c"], "sentencepiece", "ab c"),
        (["a@@", "b", "c"], "subword_nmt", "ab c"),
        (["a", "b", "c"], None, "a b c"),
    ],
)
def test_pieces_are_joined_as_their_marks_say(symbols, kind, text):
    dictionary = dictionary_of(symbols)
    assert detect_pieces(dictionary) == kind
    scorer = GenerationMetrics(dictionary, "en", None, rouge=False, bleu=False)
    assert scorer.text(torch.tensor([*range(4, 7), dictionary.eos()])) == text


def test_a_target_of_no_language_is_refused_before_training():
    with pytest.raises(UserError, match=r"files end in \.summaries, which names no language"):
        GenerationMetrics(dictionary_of("a"), "summaries", None, rouge=True, bleu=False)
