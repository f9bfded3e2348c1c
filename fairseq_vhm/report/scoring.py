"""Scores of a run: ROUGE of its outputs, sentence by sentence, and what its score files hold beside.

ROUGE is always computed here where there are outputs and references, so that all systems are scored
alike and the figures of single sentences, which tests of significance need, are those of the table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.base import MultiReference, Score
from fairseq_vhm.metrics.oddities import findings
from fairseq_vhm.metrics.outputs import read_pairs
from fairseq_vhm.metrics.rouge import NAMES as ROUGE
from fairseq_vhm.metrics.rouge import score_rouge
from fairseq_vhm.report.runs import Run
from fairseq_vhm.report.texts import Given, TestSet

TOLERANCE = 0.005  # points within which two figures are the same

Track = Callable[[Iterable, str], Iterable]
"""Wraps an iteration that takes time; the text says of what."""


@dataclass(frozen=True)
class Scoring:
    """How ROUGE is computed."""

    swap_roles: bool = False
    multi_ref: MultiReference = "best"


@dataclass(frozen=True)
class Scored:
    """A run's texts and figures.

    ``outputs`` are ``None`` where they cannot be read; ``rouge`` has the figures of every sentence;
    ``figures`` are the headline figures of all metrics by name, with their ``signatures``.
    """

    run: Run
    outputs: list[str] | None
    rouge: Mapping[str, Score]
    figures: Mapping[str, float]
    signatures: Mapping[str, str]


def score_run(run: Run, test: TestSet, given: Given, scoring: Scoring, track: Track) -> Scored:
    """Score one run on its test set; what cannot be read is said in ``run.missing``."""
    outputs = _outputs(run, test, given)
    rouge = _rouge(run, outputs, test, scoring, track) if outputs and test.references else {}
    figures: dict[str, float] = {}
    signatures: dict[str, str] = {}
    for scores in run.scores:
        figures |= scores.headlines()
        signatures |= scores.signature
    _compare(run, figures, signatures, rouge)
    figures |= {name: score.value for name, score in rouge.items()}
    signatures |= {name: score.signature for name, score in rouge.items()}
    return Scored(run, outputs, rouge, figures, signatures)


def _outputs(run: Run, test: TestSet, given: Given) -> list[str] | None:
    if run.outputs is None or not test.references:
        return None
    post_process = run.override.post_process or given.post_process
    try:
        return read_pairs(run.outputs, test.place.references, test.lang, post_process)[0]
    except UserError as error:
        run.missing.append(str(error))
        return None


def _rouge(
    run: Run, outputs: Sequence[str], test: TestSet, scoring: Scoring, track: Track
) -> dict[str, Score]:
    run.missing += findings(outputs, test.references, test.lang)
    scores = score_rouge(
        outputs,
        test.references,
        test.lang,
        scoring.swap_roles,
        scoring.multi_ref,
        track=lambda pairs: track(pairs, f"ROUGE of {run.name}"),
    )
    return {score.name: score for score in scores}


def _compare(run: Run, figures: Mapping, signatures: Mapping, rouge: Mapping[str, Score]) -> None:
    """Say where a score file has another ROUGE than the outputs have."""
    for name in ROUGE:
        if name not in figures or name not in rouge:
            continue
        found, own = figures[name], rouge[name].value
        if abs(found - own) > TOLERANCE:
            alike = signatures.get(name) == rouge[name].signature
            why = "the same" if alike else "another"
            run.missing.append(
                f"its score file has {name} {found:.2f} with {why} signature; its outputs have {own:.2f}"
            )
            return
