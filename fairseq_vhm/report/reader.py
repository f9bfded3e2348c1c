"""The texts and scores that the page's reader shows: one entry for each test set that has outputs."""

from collections.abc import Sequence

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.rouge import NAMES as ROUGE
from fairseq_vhm.metrics.tokens import language_of
from fairseq_vhm.report.results import Result, TestResults
from fairseq_vhm.report.scoring import Scored
from fairseq_vhm.report.systems import FULL

DECIMALS = 2


def reader_data(all_results: Sequence[TestResults]) -> list[dict]:
    """For JSON: ``name, source_lang, target_lang, sources, references, metrics`` and ``systems``, each
    with ``name, outputs`` and ``scores`` (metric -> F of each sentence, in points); ``pair`` names the
    two systems that are compared at first."""
    return [data for one in all_results if (data := _test_set(one))["systems"]]


def _test_set(one: TestResults) -> dict:
    place = one.test.place
    shown = [(result, scored) for result in one.results for scored in result.scored if scored.outputs]
    return {
        "name": one.test.name,
        "source_lang": _code(place.source_lang),
        "target_lang": _code(place.target_lang),
        "sources": one.test.sources,
        "references": one.test.references,
        "metrics": list(ROUGE),
        "systems": [_system(result, scored) for result, scored in shown],
        "pair": _pair(one, shown),
    }


def _code(lang: str | None) -> str:
    """A language's code, for browsers; nothing where it is called otherwise, as ``article``."""
    try:
        return language_of(lang or "")
    except UserError:
        return ""


def _pair(one: TestResults, shown: Sequence[tuple[Result, Scored]]) -> list[str]:
    """The full model, else the last system, and the baseline, else the first of the others."""
    if not shown:
        return []
    whole = [pair for pair in shown if pair[0].system.fraction == 1] or list(shown)
    full = next((pair for pair in whole if pair[0].system.name == FULL), whole[-1])
    others = [pair for pair in whole if pair is not full] or [full]
    base = next((pair for pair in others if pair[0].system.name == one.baseline), others[0])
    return [_name(*full), _name(*base)]


def _name(result: Result, scored: Scored) -> str:
    """The system's, with the run's where it has several."""
    return f"{result.label} [{scored.run.name}]" if len(result.system.runs) > 1 else result.label


def _system(result: Result, scored: Scored) -> dict:
    return {
        "name": _name(result, scored),
        "outputs": scored.outputs,
        "scores": {
            name: [round(value, DECIMALS) for value in score.per_segment]
            for name, score in scored.rouge.items()
        },
    }
