"""Rows of JSONL: an article of one language, a summary of the same or another, and the pages they are from.

========  =========================================================  ==============================
form      keys                                                       languages
========  =========================================================  ==============================
XL-Sum    ``text``, ``summary``, ``url``, ``id`` (``title`` unused)  of the file's name: one
CrossSum  ``text``, ``summary``, ``source_url``, ``target_url``      of the file's name: two
neutral   ``source``, ``target``, ``source_id``, ``target_id``       ``source_lang``, ``target_lang``
========  =========================================================  ==============================

A page is what a URL or id names: in its language it has an article and its own summary.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.language_codes import language_code
from preprocess.crosssum.inputs import Languages, languages_of
from preprocess.readers.jsonl import parse_object, text_value
from preprocess.records import Level, Pair, Problem, origin
from preprocess.text import BadText, numbered_lines

LINE_BREAKS = re.compile("[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]+")
SURROGATE = re.compile("[\ud800-\udfff]")
_TEXTS = (("source", "text"), ("target", "summary"))
_PAGES = (("source_url", "source_id", "url", "id"), ("target_url", "target_id", "url", "id"))
_LANGUAGES = ("source_lang", "target_lang")


@dataclass(frozen=True, slots=True)
class Row(Pair):
    """An article (``source``) and a summary (``target``), with languages and, if known, pages."""

    source_lang: str
    target_lang: str
    source_page: str | None
    target_page: str | None

    @property
    def direction(self) -> Languages:
        return self.source_lang, self.target_lang


def read_rows(path: Path, languages: Languages | None) -> Iterator[Row | Problem]:
    """The rows of a file; ``languages`` are for one whose name tells none and whose rows tell none."""
    named = languages_of(path) or languages
    for number, line in numbered_lines(path):
        where = origin(path, number)
        try:
            yield _row(parse_object(line), named, where)
        except BadText as bad:
            yield Problem(bad.reason, where, bad.detail)
        except UserError as error:
            yield Problem("unknown language", where, str(error), Level.FATAL)


def _row(record: dict, named: Languages | None, where: str) -> Row:
    source, target = (text_value(record, _key(record, names), LINE_BREAKS) for names in _TEXTS)
    pages = (_page(record, names) for names in _PAGES)
    return Row(source, target, where, *_languages(record, named), *pages)


def _key(record: dict, names: tuple[str, str]) -> str:
    """The first of two names that the record has; the second where it has neither."""
    return names[0] if names[0] in record else names[1]


def _page(record: dict, names: tuple[str, ...]) -> str | None:
    values = (str(record[name]).strip() for name in names if record.get(name) is not None)
    page = next(filter(None, values), None)
    if page and SURROGATE.search(page):
        raise BadText("broken UTF-8", f"lone surrogate in '{names[0]}'")
    return page


def _languages(record: dict, named: Languages | None) -> Languages:
    given = tuple(record.get(key) for key in _LANGUAGES)
    if all(isinstance(name, str) for name in given):
        return _code(given[0]), _code(given[1])
    if named is None:
        raise UserError(
            "the file's name tells no language (as english_train.jsonl or en-bn_train.jsonl does), nor does "
            "the row (source_lang, target_lang): give --lang en, or --lang en-bn for article and summary"
        )
    return named


_code = cache(language_code)
