"""How much of an output stands in its source: closed forms, and the definitions written out slowly."""

import random

import pytest

from fairseq_vhm.metrics.copying import copied_runs, fragments, score_copy
from fairseq_vhm.metrics.tokens import BY_SCRIPT

SOURCE = "The court opened on Monday , and the storm came on Tuesday ."


def parts(output: str, source: str = SOURCE, reference: str = "rain") -> dict[str, float]:
    return dict(score_copy([output], [source], [[reference]]).parts)


def random_pairs(seed: int, count: int = 60) -> list[tuple[list[str], list[str]]]:
    draw = random.Random(seed)
    return [
        (draw.choices("abcd", k=draw.randint(0, 25)), draw.choices("abcde", k=draw.randint(0, 40)))
        for _ in range(count)
    ]


def test_shares_of_n_grams_by_hand():
    # court opened | yesterday | and the storm: bigrams 1, 3 and 4 of 5, trigram 4 of 4, no 4-gram of 3.
    found = parts("court opened yesterday and the storm")
    assert [found[f"copied{n}"] for n in (1, 2, 3, 4)] == pytest.approx([500 / 6, 60, 25, 0])
    assert [found[f"novel{n}"] for n in (1, 2, 3, 4)] == pytest.approx([100 / 6, 40, 75, 100])
    assert found["density"] == pytest.approx((2 * 2 + 3 * 3) / 6)
    assert (found["longest"], found["whole"], found["value"]) == (3, 0, pytest.approx(60))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_shares_are_those_of_a_search_for_each_n_gram(order):
    for text, source in random_pairs(seed=1):
        grams = [text[i : i + order] for i in range(len(text) - order + 1)]
        held = [source[i : i + order] for i in range(len(source) - order + 1)]
        if grams:
            expected = 100 * sum(gram in held for gram in grams) / len(grams)
            assert parts(" ".join(text), " ".join(source))[f"copied{order}"] == pytest.approx(expected)


def fragments_of_grusky(text: list[str], source: list[str]) -> list[int]:
    """The procedure of Grusky et al. (NAACL 2018), step by step: lengths of the shared fragments."""
    found, i, j = [], 0, 0
    while i < len(text):
        longest = 0
        while j < len(source):
            if text[i] == source[j]:
                i_, j_ = i, j
                while i_ < len(text) and j_ < len(source) and text[i_] == source[j_]:
                    i_, j_ = i_ + 1, j_ + 1
                longest = max(longest, i_ - i)
                j = j_
            else:
                j += 1
        i, j = i + max(longest, 1), 0
        found += [longest] if longest else []
    return found


def test_fragments_are_those_of_the_published_procedure():
    """Its search goes on behind each match, so it may miss a longer one that overlaps; that is rare."""
    same = 0
    for text, source in random_pairs(seed=2):
        ours = fragments(copied_runs(" ".join(text), " ".join(source)))
        published = fragments_of_grusky(text, source)
        assert sum(ours) == sum(published)
        assert ours[:1] >= published[:1]
        same += ours == published
    assert same > 50


def test_the_longest_run_is_that_of_a_search_for_every_span():
    for text, source in random_pairs(seed=3):
        spans = {tuple(source[i:j]) for i in range(len(source)) for j in range(i + 1, len(source) + 1)}
        expected = [
            max((j - i for j in range(i + 1, len(text) + 1) if tuple(text[i:j]) in spans), default=0)
            for i in range(len(text))
        ]
        assert copied_runs(" ".join(text), " ".join(source)).tolist() == expected


def test_a_text_is_a_whole_copy_of_itself():
    found = parts(SOURCE, reference=SOURCE)
    tokens = len(BY_SCRIPT.tokens(SOURCE))
    for name in ("copied1", "copied4", "whole", "ref_copied2", "ref_whole"):
        assert found[name] == 100
    assert found["novel1"] == 0 and found["density"] == found["longest"] == tokens


def test_nearly_whole_copies_count_and_short_ones_do_not():
    ten = "one two three four five six seven eight nine ten"
    assert parts(f"{ten[4:]} zero", ten)["whole"] == 100  # 9 of 10
    assert parts(f"{ten[8:]} zero one", ten)["whole"] == 0  # 8 of 10
    assert parts("one two three", ten)["whole"] == 0
    assert parts("one two three four", ten)["whole"] == 100


def test_case_punctuation_and_tokenization_do_not_hide_a_copy():
    assert parts("THE COURT OPENED ON MONDAY, and the storm")["copied4"] == 100


def test_chinese_is_compared_by_character():
    found = parts("法院今天开庭。", "上海法院周一开庭审理。")
    assert found["copied1"] == pytest.approx(100 * 4 / 6)
    assert found["copied2"] == pytest.approx(100 * 2 / 5)


def test_text_left_untranslated_is_found_in_a_source_of_another_language():
    source = "FearNet is a memory efficient network ."
    assert parts("fearnet是一个网络", source)["copied1"] == pytest.approx(100 / 6)
    assert parts("memory efficient network", source, "高效的网络")["copied3"] == 100
    assert parts("高效的网络", source)["novel1"] == 100


def test_short_and_empty_texts_are_left_out_of_the_means():
    score = score_copy(["", "the", "the court", "no match here"], [SOURCE] * 4, [["a", ""]] * 4)
    assert score.per_segment == [0, 0, 100, 0]
    assert score.value == score.parts["copied2"] == 50
    assert score.parts["copied1"] == pytest.approx((100 + 100 + 0) / 3)
    assert score.parts["copied4"] == score.parts["novel4"] == 0
    assert score.parts["ref_novel1"] == 100


def test_empty_sources_hold_nothing():
    assert parts("the court", source="")["novel1"] == 100


def test_all_references_of_all_outputs_are_measured():
    score = score_copy(["x", "y"], [SOURCE] * 2, [["the court", "rain fell"], ["on monday"]])
    assert score.parts["ref_copied2"] == pytest.approx(200 / 3)
    assert score.parts["copied1"] == 0


def test_each_output_is_measured_against_its_own_source():
    outputs, sources = ["the court opened", "a storm came"], ["the court opened .", "it rained ."]
    forth = score_copy(outputs, sources, [["r"], ["s"]])
    back = score_copy(outputs[::-1], sources[::-1], [["s"], ["r"]])
    assert forth.per_segment == back.per_segment[::-1] == [100, 0]
    assert forth.parts == back.parts
    assert "|tok:by-script" in forth.signature


def test_the_signature_names_the_orders_that_are_parts():
    score = score_copy(["a b"], [SOURCE], [["a"]])
    assert score.signature.startswith("copy|ngrams:1-4|value:2-grams|")
    assert [f"copied{order}" for order in range(6) if f"copied{order}" in score.parts] == [
        f"copied{order}" for order in (1, 2, 3, 4)
    ]
