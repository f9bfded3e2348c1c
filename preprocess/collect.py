"""Collecting one split: read, check, find duplicates, and write the good pairs line by line."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fairseq_vhm.errors import UserError
from preprocess.corpus import Corpus
from preprocess.duplicates import HeldOut
from preprocess.progress import Progress
from preprocess.records import Dropped, Pair

DEDUP = ("report", "drop")


def collect_split(
    corpus: Corpus,
    split: str,
    sides: tuple[Path, Path],
    listing: Path,
    on_error: str,
    progress: Progress,
    against: HeldOut | None = None,
    drop_duplicates: bool = False,
) -> dict:
    """Write the pairs of a split to ``sides`` and each problem and duplicate to ``listing``.

    Args:
        against: held-out texts in which a pair's duplicates are looked for.
        drop_duplicates: leave duplicates out, and not only count them.

    Returns:
        Counts: ``pairs`` written, ``dropped`` by reason, ``duplicates`` by side and split.

    Raises:
        UserError: a problem under ``stop``, or no pair is left.
    """
    pairs = 0
    duplicates: Counter[str] = Counter()
    source_path, target_path = sides
    with (
        source_path.open("w", encoding="utf-8", newline="\n") as sources,
        target_path.open("w", encoding="utf-8", newline="\n") as targets,
        listing.open("w", encoding="utf-8", newline="\n") as findings,
    ):
        dropped = Dropped(on_error, findings)
        for pair in progress.counted(dropped.filter(corpus.items(split))):
            twin = against.find(pair) if against else None
            if twin:
                duplicates[twin] += 1
                fate = "dropped" if drop_duplicates else "kept"
                findings.write(f"{pair.origin}: held-out text, {fate}: {twin}\n")
                if drop_duplicates:
                    continue
            sources.write(pair.source + "\n")
            targets.write(pair.target + "\n")
            pairs += 1
    if not pairs:
        raise UserError(f"{corpus.task} {split}: no pair is left of {_names(corpus, split)}")
    return {
        "pairs": pairs,
        "dropped": dict(sorted(dropped.reasons.items())),
        "duplicates": dict(sorted(duplicates.items())),
    }


def read_collected(sides: tuple[Path, Path]) -> Iterator[Pair]:
    """The pairs that :func:`collect_split` wrote."""
    with (
        sides[0].open(encoding="utf-8", newline="\n") as sources,
        sides[1].open(encoding="utf-8", newline="\n") as targets,
    ):
        for source, target in zip(sources, targets, strict=True):
            yield Pair(source.removesuffix("\n"), target.removesuffix("\n"), str(sides[0]))


def _names(corpus: Corpus, split: str) -> str:
    part = corpus.parts.get(split, corpus.parts["train"])
    return ", ".join(map(str, part.files))
