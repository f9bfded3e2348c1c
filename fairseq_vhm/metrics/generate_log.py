"""Logs of ``fairseq-generate``, and the ``generate-test.txt`` of ``--results-path``.

A log is known by lines such as ``H-12<TAB>score<TAB>text``.  It is in the order of batches; the numbers bring
it back into the order of the corpus.  ``D-`` lines (detokenized) are taken where there are any, else ``H-``;
of several outputs for a sentence the one of the highest score, the first of equals.  What cannot be one whole
run is refused.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_vhm.errors import UserError

LOG_LINE = re.compile(r"([STHDP])-(\d{1,18})\t")
LOG_OUTPUT = re.compile(r"[HD]-\d+\t(\S+)\t(.*)", re.DOTALL)
ONCE_A_SENTENCE = "ST"
OUTPUT_KINDS = "DH"
NUMBERS_SHOWN = 3


@dataclass(frozen=True)
class _Entry:
    """A line of a log, with its number."""

    line: int
    rest: str


def is_log(lines: Sequence[str]) -> bool:
    """Whether any line is one of a log's."""
    return any(map(LOG_LINE.match, lines))


def outputs_of_log(path: Path, lines: Sequence[str]) -> dict[int, str]:
    """Outputs of the sentences that a log has, by their number.

    Raises:
        UserError: it is cut short, has no outputs, or is of several runs.
    """
    return {number: _best(path, entries) for number, entries in _output_entries(path, lines).items()}


def outputs_in_order(path: Path, lines: Sequence[str], count: int, reference: Path) -> list[str]:
    """Outputs in the order of the corpus, one for each of the ``count`` lines of ``reference``.

    Raises:
        UserError: likewise; and for sentences that are missing or that ``reference`` lacks.
    """
    entries = _output_entries(path, lines)
    _check_numbers(path, set(entries), count, reference)
    return [_best(path, entries[number]) for number in range(count)]


def _output_entries(path: Path, lines: Sequence[str]) -> dict[int, list[_Entry]]:
    """The ``D-`` lines of a log, else its ``H-`` lines, by the number of the sentence."""
    by_kind = _entries(path, lines)
    _check_whole(path, by_kind)
    outputs = next((by_kind[kind] for kind in OUTPUT_KINDS if by_kind[kind]), None)
    if outputs is None:
        raise UserError(f"{path}: a log without outputs (H- lines); run fairseq-generate again")
    return outputs


def _entries(path: Path, lines: Sequence[str]) -> dict[str, dict[int, list[_Entry]]]:
    """Lines of a log by kind (S, T, H, D, P) and sentence number."""
    by_kind: dict[str, dict[int, list[_Entry]]] = defaultdict(dict)
    last: dict[str, int] = {}
    for line_number, line in enumerate(lines, 1):
        found = LOG_LINE.match(line)
        if found is None:
            continue
        kind, number = found[1], int(found[2])
        again = number in by_kind[kind] and (last[kind] != number or kind in ONCE_A_SENTENCE)
        if again:
            first = by_kind[kind][number][0].line
            raise UserError(
                f"{path}, line {line_number}: sentence {number} again (first on line {first});"
                " give one run of fairseq-generate, not several joined"
            )
        by_kind[kind].setdefault(number, []).append(_Entry(line_number, line))
        last[kind] = number
    return by_kind


def _check_whole(path: Path, by_kind: dict[str, dict[int, list[_Entry]]]) -> None:
    """Where a log has lines of several kinds, each sentence must have all of them."""
    outputs = by_kind["H"] or by_kind["D"]
    for kind in "HDP":
        for number in sorted(outputs.keys() | by_kind["S"].keys()) if by_kind[kind] else ():
            expected = len(outputs.get(number, [0]))
            if len(by_kind[kind].get(number, [])) != expected:
                raise UserError(
                    f"{path}: sentence {number} lacks its {kind}- line; the log is cut short,"
                    " run fairseq-generate again"
                )


def _check_numbers(path: Path, numbers: set[int], count: int, reference: Path) -> None:
    beyond = sorted(number for number in numbers if number >= count)
    if beyond:
        raise UserError(
            f"{path}: sentence {beyond[0]} is unknown: {reference} has {count} lines"
            f" (sentences 0 to {count - 1}); give the reference of this test set"
        )
    missing = sorted(set(range(count)) - numbers)
    if missing:
        shown = ", ".join(map(str, missing[:NUMBERS_SHOWN]))
        more = ", ..." if len(missing) > NUMBERS_SHOWN else ""
        raise UserError(
            f"{path}: {len(missing)} of {count} sentences are missing ({shown}{more}); the log is"
            " cut short, or inputs were skipped (--skip-invalid-size-inputs-valid-test)"
        )


def _best(path: Path, entries: Sequence[_Entry]) -> str:
    """The output of the highest score, the first of equals."""
    scored = [(*_score_and_text(path, entry), -place) for place, entry in enumerate(entries)]
    return max(scored, key=lambda item: (item[0], item[2]))[1]


def _score_and_text(path: Path, entry: _Entry) -> tuple[float, str]:
    found = LOG_OUTPUT.fullmatch(entry.rest)
    try:
        score, text = float(found[1]), found[2]  # type: ignore[index]  # None is the TypeError below
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path}, line {entry.line}: not 'H-NUMBER<TAB>SCORE<TAB>TEXT'; was the log cut short?"
        ) from error
    if math.isnan(score):
        raise UserError(
            f"{path}, line {entry.line}: the score is nan, so the model broke down in decoding;"
            " run fairseq-generate again, in full precision if it was --fp16"
        )
    return score, text
