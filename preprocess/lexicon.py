"""A probabilistic bilingual lexicon from a parallel text, as ATS uses it (Zhu et al., ACL 2020, 3.2).

The text is aligned in both directions, the links are counted (:mod:`preprocess.links`), improbable
translations are dropped; the most probable ones that remain are kept and made to sum to 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.lexicon import Entry
from fairseq_vhm.text.symbols import SPECIAL_SYMBOLS
from preprocess.aligner import align, find_aligner
from preprocess.links import Alignments, LinkCounter
from preprocess.progress import Progress
from preprocess.symbols import write_symbols

PARALLEL_TASK, PARALLEL_SPLIT = "mt", "train"


@dataclass(frozen=True)
class LexiconSettings:
    """What is kept of the counts: the only home of these defaults.

    Args:
        min_probability: translations below it are dropped.
        candidates: m, the most translations of a word.
    """

    min_probability: float = 0.05
    candidates: int = 10

    def check(self) -> None:
        """Refuse values that keep nothing.

        Raises:
            UserError: names the flag.
        """
        if not 0 <= self.min_probability <= 1:
            raise UserError(f"--min-probability {self.min_probability}: give a number from 0 to 1")
        if self.candidates < 1:
            raise UserError(f"--candidates {self.candidates}: give at least 1")


@dataclass(frozen=True)
class LexiconInputs:
    """Where the words come from: a prepared folder, or two files of symbols; and their alignments.

    Without ``alignments`` the text is aligned here.
    """

    data: Path | None = None
    source: Path | None = None
    target: Path | None = None
    alignments: Path | None = None
    reverse_alignments: Path | None = None

    def check(self) -> None:
        """Refuse inputs that do not go together, before anything is done.

        Raises:
            UserError: names the flags, or the program that is missing.
        """
        files = (self.source, self.target)
        if any(files) if self.data else not all(files):
            raise UserError("give the parallel text as --data DATA, or as --source FILE and --target FILE")
        if self.reverse_alignments and not self.alignments:
            raise UserError("--reverse-alignments needs --alignments, those of the other direction")
        if not self.alignments:
            find_aligner()

    def open(self, folder: Path, progress: Progress) -> Alignments:
        """The text with its alignments; what has to be made for that is made in ``folder``."""
        source, target = self.source, self.target
        if self.data:
            out = folder / "symbols"
            source, target = write_symbols(self.data, PARALLEL_TASK, PARALLEL_SPLIT, out, progress)
        assert source is not None and target is not None, "see check"
        if self.alignments:
            return Alignments(source, target, self.alignments, self.reverse_alignments)
        return Alignments(source, target, *align(source, target, folder, progress))


def prepare_lexicon(
    inputs: LexiconInputs, settings: LexiconSettings, progress: Progress
) -> tuple[list[Entry], dict]:
    """Make a lexicon and an account of it (see :func:`count_lexicon`).

    Raises:
        UserError: anything wrong with settings or inputs, or no aligner.
    """
    settings.check()
    inputs.check()
    with TemporaryDirectory(prefix="vhm-lexicon-") as folder:
        return count_lexicon(inputs.open(Path(folder), progress), settings, progress)


def count_lexicon(
    alignments: Alignments, settings: LexiconSettings, progress: Progress
) -> tuple[list[Entry], dict]:
    """The lexicon of an aligned text.

    Returns:
        The entries, and ``lines``, ``links`` (of each direction, and in both), ``source_words``
        (different ones), ``translated_words``, ``entries``, ``coverage`` (the share of the running
        source words that have a translation), and the settings.

    Raises:
        UserError: a broken file, or nothing in it that could be kept.
    """
    progress.stage("count links")
    counter = LinkCounter()
    for source, target, links in progress.counted(alignments.read()):
        counter.count(source, target, links)
    entries = likely_translations(counter, settings) if counter.lines else []
    if not entries:
        raise UserError(
            f"{alignments.forward}: of {counter.links['both']:,} links in {counter.lines:,} lines none makes "
            f"a translation of probability {settings.min_probability} or more"
        )
    translated = {entry.source for entry in entries}
    covered = sum(number for word, number in counter.running.items() if word in translated)
    return entries, {
        "lines": counter.lines,
        "links": dict(counter.links),
        "source_words": len(counter.sources),
        "translated_words": len(translated),
        "entries": len(entries),
        "coverage": round(covered / counter.running.total(), 6),
        "min_probability": settings.min_probability,
        "candidates": settings.candidates,
    }


def likely_translations(counter: LinkCounter, settings: LexiconSettings) -> list[Entry]:
    """What is kept of the counts; fairseq's special symbols are left out on both sides."""
    source_ids, target_ids, probability = counter.probabilities()
    likely = probability >= settings.min_probability
    columns = (source_ids[likely], target_ids[likely], probability[likely])
    sources, targets = list(counter.sources), list(counter.targets)
    translations: dict[str, list[tuple[str, float]]] = {}
    for i, j, p in zip(*(column.tolist() for column in columns), strict=True):
        if SPECIAL_SYMBOLS.isdisjoint((sources[i], targets[j])):
            translations.setdefault(sources[i], []).append((targets[j], p))
    kept = (_best(word, found, settings.candidates) for word, found in translations.items())
    return [entry for entries in kept for entry in entries]


def _best(source: str, translations: Iterable[tuple[str, float]], most: int) -> list[Entry]:
    """The most probable translations, made to sum to 1; equally probable ones in alphabetical order."""
    best = sorted(translations, key=lambda pair: (-pair[1], pair[0]))[:most]
    total = sum(probability for _, probability in best)
    return [Entry(source, target, probability / total) for target, probability in best]
