"""References from files: plain lines, or JSON lines with several references each."""

from collections.abc import Sequence
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json
from fairseq_vhm.metrics.generate_log import is_log
from fairseq_vhm.metrics.lines import SURROGATE, is_json, read_lines, unequal
from fairseq_vhm.metrics.pieces import PIECE_MARKS, kind_of_pieces
from fairseq_vhm.metrics.tokens import language_of


def read_references(paths: Sequence[Path], lang: str) -> list[list[str]]:
    """References of each line, gathered over all files; empty ones are left out beside others.

    Args:
        paths: plain files, or ``.jsonl`` with several references a line.
        lang: the key of a ``.jsonl`` that has no ``refs``.

    Raises:
        UserError: a file cannot be read, is something else, or has more or fewer lines than the first.
    """
    files = [_read_reference(path, lang) for path in paths]
    for path, lines in zip(paths, files, strict=True):
        if len(lines) != len(files[0]):
            raise unequal(path, len(lines), paths[0], len(files[0]))
    gathered = [[text for texts in row for text in texts] for row in zip(*files, strict=True)]
    return [[text for text in row if text.strip()] or row[:1] for row in gathered]


def check_references(path: Path, references: Sequence[Sequence[str]]) -> None:
    """Refuse pieces, with which no output that is joined to words would agree."""
    name = kind_of_pieces([text for several in references for text in several])
    if name:
        raise UserError(
            f"{path}: holds {name} pieces ('{PIECE_MARKS[name].strip()}'); give it as plain text"
        )


def _read_reference(path: Path, lang: str) -> list[list[str]]:
    lines = read_lines(path)
    if path.suffix != ".jsonl":
        _check_plain(path, lines)
        return [[line] for line in lines]
    return [_json_references(path, number, line, lang) for number, line in enumerate(lines, 1)]


def _check_plain(path: Path, lines: Sequence[str]) -> None:
    """Refuse references that would be scored as text with all that stands around them."""
    if is_json(lines):
        raise UserError(f"{path}: holds JSON lines; name it .jsonl so that it is read as such")
    if is_log(lines):
        raise UserError(
            f"{path}: is a log of fairseq-generate; give the references as plain text, one a line"
        )


def _json_references(path: Path, number: int, line: str, lang: str) -> list[str]:
    """References of one JSON line: under ``refs``, else the language's code, else ``target``."""
    try:
        record = parse_json(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number}: not JSON ({error})") from error
    keys = ("refs", language_of(lang), "target")
    key = next((key for key in keys if isinstance(record, dict) and key in record), None)
    if key is None:
        raise UserError(f"{path}, line {number}: no key {', '.join(keys[:-1])} or {keys[-1]}")
    texts = [record[key]] if isinstance(record[key], str) else record[key]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{path}, line {number}: '{key}' is neither a text nor a list of texts")
    if any(SURROGATE.search(text) for text in texts):
        raise UserError(f"{path}, line {number}: '{key}' holds half of a character (a lone \\uD800-\\uDFFF)")
    return texts
