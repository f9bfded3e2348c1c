"""Test sets: the languages, sources and references that runs were tested on.

Where the user names no files they are those that ``vhm prepare`` keeps beside the binarised data:
``DATA/text/cls.test.LANG``, DATA being the folder that the run was trained from.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.lines import read_lines
from fairseq_vhm.metrics.pieces import PostProcess
from fairseq_vhm.metrics.references import read_references
from fairseq_vhm.metrics.tokens import language_of
from fairseq_vhm.report.runs import Run

TEXT = "text/cls.test."
BINARISED = re.compile(r"\w+\.([^.-]+)-([^.-]+)\.[^.]+\.idx")


@dataclass(frozen=True)
class Given:
    """What the command line says of the test set."""

    source: Path | None = None
    references: tuple[Path, ...] = ()
    lang: str | None = None
    post_process: PostProcess = "none"


@dataclass(frozen=True)
class Place:
    """The languages and files that one run was tested on; runs of equal places can be compared."""

    source_lang: str | None
    target_lang: str | None
    source: Path | None
    references: tuple[Path, ...]


@dataclass
class TestSet:
    """N documents: ``sources`` (or ``None``), and the references of each."""

    __test__ = False  # no test of pytest's

    name: str
    place: Place
    sources: list[str] | None
    references: list[list[str]]
    runs: list[Run] = field(default_factory=list)

    @property
    def lang(self) -> str:
        return self.place.target_lang or ""


def find_place(run: Run, given: Given, root: Path) -> Place:
    """Where a run was tested: what the user says, else what its settings say, else its data."""
    data = find_data(run, root)
    source_lang, target_lang = languages_of(run, data)
    source_lang = run.override.source_lang or source_lang
    target_lang = run.override.target_lang or target_lang or given.lang
    applies = _is_for(given, target_lang)
    references = run.override.references or (given.references if applies else ())
    source = run.override.source or (given.source if applies else None)
    if not references and data and target_lang:
        references = tuple(path for path in [data / f"{TEXT}{target_lang}"] if os.path.isfile(path))
        own = data / f"{TEXT}{source_lang}"
        source = source or (own if references and source_lang and os.path.isfile(own) else None)
    resolved = tuple(Path(os.path.realpath(path)) for path in references)
    source = Path(os.path.realpath(source)) if source else None
    return Place(source_lang, target_lang, source, resolved)


def test_sets(runs: Sequence[Run], given: Given, root: Path) -> list[TestSet]:
    """Runs by the texts that they were tested on, in the order of their names.

    Raises:
        UserError: a named file cannot be read, or sources and references are unequal in number.
    """
    places: dict[Place, list[Run]] = {}
    for run in runs:
        places.setdefault(find_place(run, given, root), []).append(run)
    names = _names(list(places))
    sets = [_read(names[place], place, listed) for place, listed in places.items()]
    return sorted(sets, key=lambda one: one.name)


test_sets.__test__ = False  # type: ignore[attr-defined]  # it is no test of pytest's


def _read(name: str, place: Place, runs: list[Run]) -> TestSet:
    if place.references and place.target_lang is None:
        raise UserError(
            f"{runs[0].name}: the language of its outputs is unknown;"
            " give --lang, or target_lang in report.toml"
        )
    references = read_references(place.references, place.target_lang or "") if place.references else []
    sources = read_lines(place.source) if place.source else None
    if sources and references and len(sources) != len(references):
        raise UserError(
            f"{place.source} has {len(sources)} lines, {place.references[0]} has {len(references)};"
            " give the same texts in the same order"
        )
    for run in runs:
        if run.outputs and not references and not run.pairs:
            run.missing.append("no reference for its outputs: give --ref, or references in report.toml")
    return TestSet(name, place, sources, references, runs)


def _names(places: Sequence[Place]) -> dict[Place, str]:
    """``en2zh``; with the folder or file of the references where several are of one direction."""
    plain = [_direction(place) for place in places]
    names = [
        name if plain.count(name) == 1 else f"{name} ({_origin(place)})"
        for name, place in zip(plain, places, strict=True)
    ]
    return dict(zip(places, told_apart(names, " "), strict=True))


def told_apart(names: Sequence[str], joint: str) -> list[str]:
    """``names`` with a number at those that come again in any case: ``a``, ``a 2``, ``A 3``."""
    taken: set[str] = set()
    free = []
    for name in names:
        tries = chain([name], (f"{name}{joint}{number}" for number in count(2)))
        free.append(next(one for one in tries if one.casefold() not in taken))
        taken.add(free[-1].casefold())
    return free


def _direction(place: Place) -> str:
    if place.target_lang is None:
        return "unknown direction"
    return f"{place.source_lang}2{place.target_lang}" if place.source_lang else f"to {place.target_lang}"


def _origin(place: Place) -> str:
    if not place.references:
        return "no reference"
    path = place.references[0]
    return path.parents[1].name if f"/{TEXT}" in path.as_posix() else "/".join(path.parts[-2:])


def _is_for(given: Given, target_lang: str | None) -> bool:
    """Whether ``--ref`` and ``--src`` are for runs into a language."""
    if given.lang is None or target_lang is None:
        return True
    return language_of(given.lang) == language_of(target_lang)


def find_data(run: Run, root: Path) -> Path | None:
    """The folder a run was trained from; a relative one is looked for here and above the runs."""
    named = run.settings.get("data")
    if not named:
        return None
    bases = [Path(), *root.resolve().parents]
    return next((base / str(named) for base in bases if os.path.isdir(base / str(named))), None)


def languages_of(run: Run, data: Path | None) -> tuple[str | None, str | None]:
    """Source and target language, as far as the settings or the files of ``data`` say them."""
    settings = run.settings
    if settings.get("source_lang") and settings.get("target_lang"):
        return str(settings["source_lang"]), str(settings["target_lang"])
    for folder in [data / "cls", data] if data else []:
        for path in sorted(folder.glob("*.idx")):
            if match := BINARISED.fullmatch(path.name):
                return match[1], match[2]
    return None, None
