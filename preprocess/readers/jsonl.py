"""JSON lines: one object a line, ``jsonl:PATH`` or ``jsonl:PATH#SOURCE_KEY,TARGET_KEY``.

``PATH`` is a folder with ``SPLIT.jsonl`` or the front of ``PATH.SPLIT.jsonl``.  Line breaks inside
a value become one blank.  Objects that say ``source_lang`` and ``target_lang`` are taken if these
are the languages that are asked for, so that one file can hold many pairs of languages.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json
from fairseq_vhm.text.invisible import shows_nothing
from fairseq_vhm.text.segment import language_of
from preprocess.readers.base import Request
from preprocess.records import Level, Pair, Problem, origin
from preprocess.text import BadText, clean, decode, numbered_lines

_DEFAULT_KEYS = "source,target"
_LINE_BREAKS = re.compile(r"[\r\n]+")
_LANGUAGE_KEYS = ("source_lang", "target_lang")


class JsonlReader:
    """Reads the values of two keys of each object."""

    def __init__(self, path: str, request: Request) -> None:
        self.path, _, keys = path.partition("#")
        self.keys = (keys or _DEFAULT_KEYS).split(",")
        languages = map(language_of, request.suffixes)
        self.languages = dict(zip(_LANGUAGE_KEYS, languages, strict=True))
        if len(self.keys) != 2 or not all(self.keys):
            raise UserError(f"jsonl:{path}: name two keys after '#', as in #{_DEFAULT_KEYS}")

    def files(self, split: str | None) -> list[Path]:
        """``FOLDER/SPLIT.jsonl`` or ``PATH.SPLIT.jsonl``; for ``None`` the path itself."""
        path = Path(self.path)
        if split is None:
            return [path]
        return [path / f"{split}.jsonl" if path.is_dir() else Path(f"{path}.{split}.jsonl")]

    def read(self, files: list[Path]) -> Iterator[Pair | Problem]:
        """Pairs in the order of the lines."""
        for path in files:
            for number, line in numbered_lines(path):
                yield self._item(line, origin(path, number))

    def _item(self, line: bytes, where: str) -> Pair | Problem:
        try:
            record = parse_object(line)
            if any(record.get(key, lang) != lang for key, lang in self.languages.items()):
                return Problem("other languages", where, level=Level.FILTERED)
            source, target = (text_value(record, key) for key in self.keys)
            return Pair(source, target, where)
        except BadText as bad:
            return Problem(bad.reason, where, bad.detail)


def parse_object(line: bytes) -> dict:
    """The object of a line.

    Raises:
        BadText: it is not text, or no JSON object.
    """
    text = decode(line)
    if not text.strip():
        raise BadText("empty line")
    try:
        record = parse_json(text)
    except ValueError as error:
        raise BadText("not JSON", str(error)) from error
    if not isinstance(record, dict):
        raise BadText("not a JSON object")
    return record


def text_value(record: dict, key: str, line_breaks: re.Pattern = _LINE_BREAKS) -> str:
    """The text under ``key``, each run of line breaks in it a blank.

    Raises:
        BadText: there is none, it is empty, or cannot be a line of text.
    """
    value = record.get(key)
    if not isinstance(value, str):
        missing = "missing" if key not in record else "not a string"
        raise BadText(f"{missing} key", f"'{key}'")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadText("broken UTF-8", f"lone surrogate in '{key}'") from error
    text = clean(line_breaks.sub(" ", value))
    if shows_nothing(text):
        raise BadText("empty text", f"'{key}'")
    return text
