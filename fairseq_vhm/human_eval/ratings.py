"""Ratings as the page exports them: read, held against the key, and laid out as an array.

An export is ``{"format", "study", "annotator", "complete", "ratings": {ITEM: {CRITERION: 1..5}},
"comments": {SAMPLE: text}, "checksum"}``.  The checksum (CRC-32 of the ratings) tells a file that was
edited by hand from one that was not; it is no protection against anybody.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.human_eval.criteria import HIGHEST, KEYS, LOWEST, SCALE
from fairseq_vhm.human_eval.key import Key, read_object

RATINGS_FORMAT = "vhm human-eval ratings 1"
EXPECTED = "file that the page exports"

Rated = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Ratings:
    """One annotator's ratings by item and criterion, comments by sample, and where they come from."""

    path: Path
    annotator: str
    ratings: Rated
    comments: Mapping[str, str]
    edited: bool

    def missing(self, key: Key) -> int:
        """How many single ratings of the study are not there."""
        return len(key.items) * len(KEYS) - sum(map(len, self.ratings.values()))

    def is_whole(self, sample: Mapping[str, Any]) -> bool:
        """Whether every output of ``sample`` is rated on every criterion."""
        return all(len(self.ratings.get(item, ())) == len(KEYS) for item in sample["items"])


def read_all(paths: Sequence[Path], key: Key, lenient: bool = False) -> list[Ratings]:
    """The ratings of each annotator, in the order of the key's annotators.

    Args:
        paths: files that the page exported.
        key: the study.
        lenient: take files that are incomplete or were edited, too.

    Raises:
        UserError: for a file that is not an export of this study, ratings that cannot be, two files
            of one annotator, and, unless ``lenient``, incomplete and edited files.
    """
    read = [read_ratings(path, key) for path in paths]
    first: dict[str, Path] = {}
    for one in read:
        if first.setdefault(one.annotator, one.path) is not one.path:
            raise UserError(
                f"{one.path}: annotator {one.annotator} again (first in {first[one.annotator]});"
                " give the last export of each annotator"
            )
        if not lenient:
            _check_final(one, key)
    return sorted(read, key=lambda one: list(key.orders).index(one.annotator))


def read_ratings(path: Path, key: Key) -> Ratings:
    """One export, checked against the key.

    Raises:
        UserError: see :func:`read_all`.
    """
    content = read_object(path, EXPECTED)
    if content.get("format") != RATINGS_FORMAT:
        raise UserError(f"{path}: not the {EXPECTED} ('format' is not '{RATINGS_FORMAT}')")
    if content.get("study") != key.study:
        raise UserError(
            f"{path}: of study {content.get('study')}, the key is of {key.study}; give the key that"
            " was made with the annotator's page"
        )
    annotator = content.get("annotator")
    if annotator not in list(key.orders):
        raise UserError(
            f"{path}: annotator '{annotator}' is not of this study; there are {', '.join(key.orders)}"
        )
    ratings, comments = (_mapping(path, content, name) for name in ("ratings", "comments"))
    _check_values(path, ratings, key)
    _check_comments(path, comments, key)
    return Ratings(path, annotator, ratings, comments, content.get("checksum") != checksum(ratings))


def checksum(ratings: Rated) -> str:
    """CRC-32, in eight hex digits, of the sorted lines ``ITEM CRITERION RATING``."""
    values = [(item, name, value) for item, rated in ratings.items() for name, value in rated.items()]
    lines = sorted(f"{item} {name} {value}" for item, name, value in values)
    return format(zlib.crc32("\n".join(lines).encode("ascii")), "08x")


def ratings_array(read: Sequence[Ratings], key: Key) -> np.ndarray:
    """Ratings as annotators x samples x systems x criteria, NaN where an annotator's sample is not whole.

    An annotator's sample counts as a whole or not at all, so that within a sample all systems are
    judged by the same people.
    """
    array = np.full((len(read), len(key.samples), len(key.systems), len(KEYS)), np.nan)
    for place, one in enumerate(read):
        for row, sample in enumerate(key.samples):
            for item, systems in sample["items"].items() if one.is_whole(sample) else ():
                for system in systems:
                    column = key.systems.index(system)
                    array[place, row, column] = [one.ratings[item][name] for name in KEYS]
    return array


def findings(read: Sequence[Ratings], key: Key) -> Iterator[str]:
    """What is not as it should be with the files, counted, a line each."""
    absent = [name for name in key.orders if name not in {one.annotator for one in read}]
    if absent:
        yield f"no ratings of {', '.join(absent)} ({len(read)} of {len(key.orders)} annotators)"
    for one in read:
        partial = sum(not one.is_whole(sample) for sample in key.samples)
        if one.edited:
            yield f"{one.path}: was edited after its export; taken as it is"
        if partial:
            yield (
                f"{one.path}: {one.missing(key)} ratings are missing;"
                f" {partial} of {len(key.samples)} samples of {one.annotator} are left out"
            )


def _check_final(one: Ratings, key: Key) -> None:
    if one.edited:
        raise UserError(
            f"{one.path}: was edited after its export (the checksum differs); ask for the export"
            " itself, or take it as it is with --lenient"
        )
    if missing := one.missing(key):
        raise UserError(
            f"{one.path}: {missing} of {len(key.items) * len(KEYS)} ratings are missing; ask"
            f" {one.annotator} to finish the page, or leave unfinished samples out with --lenient"
        )


def _mapping(path: Path, content: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise UserError(f"{path}: has no {name}; give the {EXPECTED}")
    return value


def _check_values(path: Path, ratings: Mapping[str, Any], key: Key) -> None:
    items = key.items
    for item, rated in ratings.items():
        if item not in items or not isinstance(rated, dict) or not set(rated) <= set(KEYS):
            raise UserError(f"{path}: item '{item}' is not one of this study's; give the {EXPECTED}")
        for name, value in rated.items():
            if type(value) is not int or value not in SCALE:
                raise UserError(
                    f"{path}: item {item}, {name}: {value!r} is not a rating from {LOWEST} to {HIGHEST}"
                )


def _check_comments(path: Path, comments: Mapping[str, Any], key: Key) -> None:
    samples = {sample["number"] for sample in key.samples}
    for sample, text in comments.items():
        if sample not in samples or not isinstance(text, str):
            raise UserError(f"{path}: comment on '{sample}' is not one of this study's samples")
