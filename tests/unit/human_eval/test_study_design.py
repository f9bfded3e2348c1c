"""Which samples are drawn, and who sees what in which order."""

from collections import Counter
from random import Random

import pytest

from fairseq_vhm.human_eval.design import balanced_orders, draw_samples, presentation
from fairseq_vhm.human_eval.material import Material


def material(systems="ABC", lines=40, **changed) -> Material:
    outputs = {name: [f"{name} {line}" for line in range(lines)] for name in systems}
    return Material(outputs | changed, [f"source {line}" for line in range(lines)], None)


@pytest.mark.parametrize("systems", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("count", [1, 7, 25])
def test_every_system_stands_equally_often_at_every_place_to_within_one(systems, count):
    orders = balanced_orders(range(systems), count, Random(4))
    assert len(orders) == count and all(sorted(order) == list(range(systems)) for order in orders)
    for place in range(systems):
        at_place = Counter(order[place] for order in orders)
        assert max(at_place.values()) - min(at_place[system] for system in range(systems)) <= 1


def test_a_draw_has_no_line_twice_and_only_those_allowed():
    drawn = draw_samples(material(), range(5, 35), 25, seed=1)
    lines = [sample.line for sample in drawn]
    assert lines == sorted(set(lines)) and len(lines) == 25
    assert set(lines) <= set(range(6, 36))
    assert [sample.number for sample in drawn] == [f"{place:02d}" for place in range(1, 26)]
    assert draw_samples(material(), range(5, 35), 25, seed=2) != drawn


def test_the_lines_drawn_do_not_depend_on_the_systems():
    one, other = (draw_samples(material(names), range(40), 25, seed=1) for names in ("AB", "WXYZ"))
    assert [sample.line for sample in one] == [sample.line for sample in other]


def test_every_line_is_drawn_about_equally_often():
    counts = Counter(
        sample.line for seed in range(400) for sample in draw_samples(material(), range(40), 10, seed)
    )
    # 400 draws of 10 of 40: 100 expected, standard deviation 8.7; five of them are far enough out.
    assert len(counts) == 40 and all(56 < count < 144 for count in counts.values())


def test_outputs_that_look_the_same_are_one_item_of_all_their_systems():
    [sample] = draw_samples(material(B=["A  0"] * 40), [0], 1, seed=1)
    assert [(item.text, item.systems) for item in sample.items] == [("A 0", ("A", "B")), ("C 0", ("C",))]


def test_annotators_see_all_items_once_in_orders_of_their_own():
    samples = draw_samples(material(), range(40), 25, seed=1)
    shown = {name: presentation(samples, "ABC", 1, name) for name in ("anna", "ben")}
    for order in shown.values():
        assert sorted(sample.line for sample, _ in order) == [sample.line for sample in samples]
        assert all(sorted(items, key=samples_key) == sorted(s.items, key=samples_key) for s, items in order)
    sequences = [[sample.line for sample, _ in order] for order in shown.values()]
    assert sequences[0] != sequences[1] != sorted(sequences[1])
    by_line = [{s.line: [i.number for i in items] for s, items in order} for order in shown.values()]
    assert any(by_line[0][line] != by_line[1][line] for line in by_line[0])


def test_on_a_page_every_system_has_every_label_equally_often():
    samples = draw_samples(material(), range(40), 24, seed=1)
    for annotator in ("anna", "ben"):
        shown = presentation(samples, "ABC", 1, annotator)
        places = Counter((item.systems[0], place) for _, items in shown for place, item in enumerate(items))
        assert set(places.values()) == {8} and len(places) == 9


def test_a_shared_text_stands_where_the_first_of_its_systems_does():
    """Of 24 samples each of three systems is the first in 8, so a text of two of them in 16."""
    texts = [f"A {line}" for line in range(40)]
    samples = draw_samples(material(B=texts), range(40), 24, seed=1)
    first = [items[0].systems for _, items in presentation(samples, "ABC", 1, "anna")]
    assert Counter(first) == {("A", "B"): 16, ("C",): 8}


def samples_key(item):
    return item.number


def test_item_numbers_do_not_follow_the_order_of_systems():
    samples = draw_samples(material("AB"), range(40), 40, seed=1)
    first = sum(sample.items[0].number < sample.items[1].number for sample in samples)
    assert 8 < first < 32  # of 40 fair coins, 20 expected; P of 8 or fewer is below 0.0002
    numbers = [item.number for sample in samples for item in sample.items]
    assert sorted(numbers) == [f"{number:03d}" for number in range(1, 81)]
