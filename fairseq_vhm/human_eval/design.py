"""The design of a study: which lines are rated, and in which order who sees what.

Lines are drawn without replacement and are the same for all annotators, so that their agreement can
be computed.  Systems stand in orders that are rows of randomised Latin squares: over any S samples of
a block each of S systems stands once at each place, so place and system are not confounded.
Everything is a function of the seed (and, for orders, of the annotator's name) alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from fairseq_vhm.human_eval.material import Material, same_text


@dataclass(frozen=True)
class Item:
    """One text to rate and the systems that wrote it; ``number`` names it and tells nothing."""

    number: str
    text: str
    systems: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """One line of the test set (``line`` from 1) and its different outputs."""

    number: str
    line: int
    source: str | None
    references: list[str]
    items: list[Item]


def draw_samples(material: Material, lines: Sequence[int], count: int, seed: int) -> list[Sample]:
    """``count`` of ``lines`` (from 0), in the order of the test set; outputs that look the same are one.

    The draw depends on ``lines``, ``count`` and ``seed`` alone, not on the systems.
    """
    drawn = sorted(Random(f"{seed} lines").sample(lines, count))
    merged = [_merge({name: texts[line] for name, texts in material.outputs.items()}) for line in drawn]
    numbers = iter(_shuffled(range(1, sum(map(len, merged)) + 1), Random(f"{seed} items")))
    samples = []
    for place, (line, groups) in enumerate(zip(drawn, merged, strict=True), 1):
        items = [Item(f"{next(numbers):03d}", text, names) for text, names in groups]
        source = material.sources[line] if material.sources is not None else None
        references = material.references[line] if material.references is not None else []
        samples.append(Sample(f"{place:02d}", line + 1, source, references, items))
    return samples


def presentation(
    samples: Sequence[Sample], systems: Sequence[str], seed: int, annotator: str
) -> list[tuple[Sample, list[Item]]]:
    """Samples, and the items of each, in the order in which ``annotator`` sees them."""
    random = Random(f"{seed} order {annotator}")
    orders = balanced_orders(systems, len(samples), random)
    return [
        (sample, sorted(sample.items, key=lambda item: min(map(order.index, item.systems))))
        for sample, order in zip(_shuffled(samples, random), orders, strict=True)
    ]


def balanced_orders(names: Sequence[str], count: int, random: Random) -> list[list[str]]:
    """``count`` orders of ``names`` in which each stands equally often (to within one) at each place."""
    orders: list[list[str]] = []
    while len(orders) < count:
        square = _shuffled(names, random)
        shifts = _shuffled(range(len(names)), random)
        starts = _shuffled(range(len(names)), random)
        orders += [[square[(start + shift) % len(names)] for shift in shifts] for start in starts]
    return orders[:count]


def _merge(outputs: Mapping[str, str]) -> list[tuple[str, tuple[str, ...]]]:
    groups: dict[str, list[str]] = {}
    for name, text in outputs.items():
        groups.setdefault(same_text(text), []).append(name)
    return [(text, tuple(names)) for text, names in groups.items()]


def _shuffled(listed: Sequence, random: Random) -> list:
    return random.sample(listed, len(listed))
