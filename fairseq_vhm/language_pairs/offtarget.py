"""Outputs in another language than was asked for: how many, of which targets, and in which language instead.

A model of many languages may answer in the wrong one and still score on those that it hits; users of the
published many-to-many model found about a tenth of its outputs so.  Outputs are counted one by one, over
pairs of any size, by what :mod:`fairseq_vhm.metrics.offtarget` found.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fairseq_vhm.language_pairs.results import PairScores
from fairseq_vhm.metrics.offtarget import NAME
from fairseq_vhm.text.langid import language_code

LIMIT = 5.0
"""Points by which the share of outputs may exceed that of references, which is what the identifier gets
wrong, before it is warned of."""

_IN = "in_"
_NEEDED = {"empty", "unidentified", "identified", "references"}
_MOST_NAMED = 3


@dataclass(frozen=True)
class OffTarget:
    """Outputs of some pairs: ``identified`` have a language that can be told, ``instead`` counts those that
    are in another one, by that language; ``untold`` are empty or tell nothing; ``references`` is the
    percentage of references that the identifier takes for another language."""

    name: str
    identified: int
    untold: int
    instead: Counter[str]
    references: float

    @property
    def off(self) -> int:
        """Outputs in another language."""
        return self.instead.total()

    @property
    def share(self) -> float:
        """They in percent of those whose language can be told."""
        return 100 * self.off / self.identified if self.identified else 0.0

    def is_over(self, limit: float) -> bool:
        """Whether there are more than ``limit`` points beyond the identifier's own mistakes."""
        return self.share - self.references > limit

    def languages(self, most: int = _MOST_NAMED) -> str:
        """``en 20, hi 3``: what was written instead, the most frequent first."""
        listed = [f"{language} {count}" for language, count in self.instead.most_common(most)]
        return ", ".join([*listed, *["..."] * (len(self.instead) > most)])

    def as_json(self) -> dict:
        """All of it; shares in percent."""
        shares = {"share": round(self.share, 5), "references": round(self.references, 5)}
        counts = {"off": self.off, "identified": self.identified, "untold": self.untold}
        return {**shares, **counts, "instead": dict(self.instead.most_common())}


def told(pairs: Iterable[PairScores]) -> list[PairScores]:
    """The pairs of which it is known."""
    return [pair for pair in pairs if pair.metric.get(NAME, {}).keys() >= _NEEDED]


def over_all(pairs: Sequence[PairScores], name: str = "all") -> OffTarget:
    """All pairs together."""
    known = [_of_pair(pair) for pair in told(pairs)]
    weights = [one.identified + one.untold for one in known]
    wrong = sum(weight * one.references for weight, one in zip(weights, known, strict=True))
    return OffTarget(
        name,
        sum(one.identified for one in known),
        sum(one.untold for one in known),
        sum((one.instead for one in known), Counter()),
        wrong / sum(weights) if sum(weights) else 0.0,
    )


def by_target(pairs: Sequence[PairScores]) -> list[OffTarget]:
    """The pairs of each target language, the largest share first."""
    return _grouped(pairs, lambda pair: pair.target)


def by_pair(pairs: Sequence[PairScores]) -> list[OffTarget]:
    """Each pair, that with the most such outputs first."""
    return sorted(_grouped(pairs, lambda pair: pair.name), key=lambda one: -one.off)


def not_told(pairs: Iterable[PairScores]) -> list[str]:
    """Target languages of which it is not known, since the identifier does not know them."""
    pairs = list(pairs)
    known = {pair.name for pair in told(pairs)}
    return sorted({pair.target for pair in pairs if pair.name not in known})


def warning(pairs: Sequence[PairScores], limit: float = LIMIT) -> str | None:
    """One line on outputs in wrong languages; ``None`` where neither all outputs nor any target have more
    than ``limit`` points of them beyond what the identifier gets wrong."""
    everything = over_all(pairs)
    over = [one for one in by_target(pairs) if one.is_over(limit)]
    if not over and not everything.is_over(limit):
        return None
    named = [f"to {one.name} {one.share:.1f} % ({one.languages()})" for one in over[:_MOST_NAMED]]
    more = [f"{len(over) - _MOST_NAMED} more targets"] * (len(over) > _MOST_NAMED)
    return (
        f"WRONG LANGUAGE: {everything.off:,} of {everything.identified:,} outputs ({everything.share:.1f} %;"
        f" of references {everything.references:.1f} %) are in another language than was asked for"
        + (f": {'; '.join([*named, *more])}" if over else "")
    )


def _grouped(pairs: Sequence[PairScores], key: Callable[[PairScores], str]) -> list[OffTarget]:
    groups: dict[str, list[PairScores]] = {}
    for pair in told(pairs):
        groups.setdefault(key(pair), []).append(pair)
    found = [over_all(group, name) for name, group in groups.items()]
    return sorted(found, key=lambda one: (-one.share, -one.off, one.name))


def _of_pair(pair: PairScores) -> OffTarget:
    parts, target = pair.metric[NAME], language_code(pair.target)
    counts = {name.removeprefix(_IN): int(count) for name, count in parts.items() if name.startswith(_IN)}
    instead = Counter({language: count for language, count in counts.items() if language != target})
    untold = int(parts["empty"] + parts["unidentified"])
    return OffTarget(pair.name, int(parts["identified"]), untold, instead, float(parts["references"]))
