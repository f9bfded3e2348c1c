"""Whether the references in a ``fairseq-generate`` log (T- lines) are those that its outputs are scored by.

A log's references may be in pieces, cut, lower-cased, of other widths, or with unknown words; so pairs of
neighbouring letters and digits are compared, and the file as a whole is judged, not a line of it.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from fairseq_vhm.metrics.generate_log import is_log
from fairseq_vhm.metrics.lines import read_lines
from fairseq_vhm.text.symbols import unescape

REFERENCE_LINE = re.compile(r"T-(\d{1,18})\t(.*)", re.DOTALL)
UNKNOWN = re.compile(r"<?<unk>>?")
ALIKE = 0.6
"""Share of a T- line's pairs of letters that a reference needs to hold to be the same text."""
FEWEST_TELLING = 3


def other_references(log: Path, references: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line where not one sentence of a log has the reference that the log printed; none for plain lines."""
    lines = read_lines(log) if log.is_file() else []  # a pipe has been read
    found = [REFERENCE_LINE.match(line) for line in lines] if is_log(lines) else []
    told = {int(one[1]): _letters(unescape(UNKNOWN.sub("", one[2]))) for one in found if one}
    told = {number: pairs for number, pairs in told.items() if pairs and number < len(references)}
    if len(told) >= FEWEST_TELLING and not any(_is_told(told[n], references[n]) for n in told):
        yield (
            f"none of {len(told)} references is the one that the log has (its T- lines);"
            " is --ref that of this test set, task and language?"
        )


def _is_told(pairs: set[str], several: Sequence[str]) -> bool:
    return any(len(pairs & _letters(text)) >= ALIKE * len(pairs) for text in several)


def _letters(text: str) -> set[str]:
    """Neighbouring letters and digits of a text, blanks and case aside."""
    kept = filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold())
    return {first + second for first, second in pairwise(kept)}
