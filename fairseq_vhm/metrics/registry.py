"""The metrics by name: what ``--metrics`` and ``--eval-metrics`` know, and how a plugin adds one.

A metric is a function from :class:`Texts` to its scores, put into :data:`METRICS` by :func:`register_metric`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.base import MultiReference, Score, Track
from fairseq_vhm.metrics.resources import NEEDS, Given, Resources


@dataclass(frozen=True)
class Texts:
    """What is scored, and how.

    Args:
        hypotheses: N outputs.
        references: for each output, one or several.
        lang: the language of both, as ``--lang``.
        swap_roles, multi_ref, official: the flags of ``vhm score``.
        resources: models on disk and sources.
        follow: wraps what a metric iterates over, to show progress.
    """

    hypotheses: Sequence[str]
    references: Sequence[Sequence[str]]
    lang: str
    swap_roles: bool = False
    multi_ref: MultiReference = "best"
    official: bool = False
    resources: Resources = field(default_factory=lambda: Resources(()))
    follow: Track = iter


Scorer = Callable[[Texts], list[Score]]

METRICS: dict[str, Scorer] = {}
"""Name -> what computes its scores, in the order in which they are shown."""


def register_metric(name: str, needs: Sequence[str] = ()) -> Callable[[Scorer], Scorer]:
    """Add a metric: ``@register_metric("novelty", needs=("src",))`` above its function.

    Args:
        needs: names of the flags that it cannot do without, fields of
            :class:`~fairseq_vhm.metrics.resources.Given`.

    Raises:
        ValueError: there is one of that name, the name cannot stand in a list, or there is no such flag.
    """
    if name in METRICS or "," in name or not name or name != name.strip():
        raise ValueError(f"a metric named '{name}': take a name that no metric has, without commas or blanks")
    flags = [field.name for field in fields(Given)]
    if unknown := [flag for flag in needs if flag not in flags]:
        raise ValueError(f"metric {name} needs '{unknown[0]}': choose from {', '.join(flags)}")

    def register(scorer: Scorer) -> Scorer:
        METRICS[name] = scorer
        if needs:
            NEEDS[name] = tuple(needs)
        return scorer

    return register


def metric_names(listed: str, flag: str = "--metrics") -> list[str]:
    """Names in a comma-separated list, each once.

    Raises:
        UserError: for an empty list or a name that is not one of ``METRICS``.
    """
    names = list(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        what = f"unknown metric '{unknown[0]}'" if unknown else "no metric named"
        raise UserError(f"{flag}: {what}; choose from {','.join(METRICS)}")
    return names
