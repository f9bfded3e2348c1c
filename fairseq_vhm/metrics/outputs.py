"""Outputs and references from files: plain lines, ``fairseq-generate`` logs, JSON lines.

A log (or the ``generate-test.txt`` of ``--results-path``) is known by lines such as
``H-12<TAB>score<TAB>text``.  It is in the order of batches; the numbers bring it back into the
order of the corpus.  ``D-`` lines (detokenized) are taken where there are any, else ``H-``; of
several outputs for a sentence the one of the highest score, the first of equals.  What cannot be
one whole run over the reference is refused.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fairseq_vhm.errors import UserError, unreadable
from fairseq_vhm.files import parse_json
from fairseq_vhm.metrics.tokens import language_of
from fairseq_vhm.text.symbols import BLANK, unescape

PostProcess = Literal["none", "sentencepiece", "subword_nmt", "ncls"]

LOG_LINE = re.compile(r"([STHDP])-(\d{1,18})\t")
LOG_OUTPUT = re.compile(r"[HD]-\d+\t(\S+)\t(.*)", re.DOTALL)
ONCE_A_SENTENCE = "ST"
OUTPUT_KINDS = "DH"

FOREIGN_STARTS = {
    b"\x1f\x8b": "compressed by gzip",
    b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
SURROGATE = re.compile("[\ud800-\udfff]")

PIECE_MARKS = {"sentencepiece": BLANK, "subword_nmt": "@@ "}
MARKED_SHARE = 0.1
NCLS_MARK = re.compile(r"</?t>")
NUMBERS_SHOWN = 3


@dataclass(frozen=True)
class _Entry:
    line: int
    rest: str


def read_pairs(
    hypothesis: Path, references: Sequence[Path], lang: str, post_process: PostProcess = "none"
) -> tuple[list[str], list[list[str]]]:
    """N outputs and, for each, its references.

    Args:
        hypothesis: plain lines or a ``fairseq-generate`` log.
        references: plain files, or ``.jsonl`` with several references a line; together they give
            each output all of its references.
        lang: language of both; the key of a ``.jsonl`` that has no ``refs``.
        post_process: how pieces of outputs are joined to words (:func:`join_pieces`).

    Raises:
        UserError: for a file that is missing, empty, not UTF-8, or does not fit the others.
    """
    outputs, several = read_systems({"": hypothesis}, references, lang, post_process)
    return outputs[""], several


def read_systems(
    hypotheses: Mapping[str, Path],
    references: Sequence[Path],
    lang: str,
    post_process: PostProcess = "none",
) -> tuple[dict[str, list[str]], list[list[str]]]:
    """As :func:`read_pairs`, for the outputs of several systems by name; every file is read once."""
    several = read_references(references, lang)
    _check_references(references[0], several)
    outputs = {}
    for name, path in hypotheses.items():
        texts = read_outputs(path, len(several), references[0])
        _check_outputs(path, texts, post_process)
        outputs[name] = [join_pieces(text, post_process, lang) for text in texts]
    return outputs, several


def named_files(given: Sequence[str], flag: str) -> dict[str, Path]:
    """Files given as ``NAME=FILE`` or ``FILE`` by their names; a file without one has its own.

    Raises:
        UserError: for an empty name or file, or a name given twice.
    """
    files: dict[str, Path] = {}
    for text in given:
        name, equals, file = ("", "", text) if Path(text).exists() else text.partition("=")
        path = Path(file if equals or not name else name)
        name = name if equals else path.name
        if not name or not path.name:
            raise UserError(f"{flag} {text}: give it as FILE or NAME=FILE")
        if name in files:
            raise UserError(f"{flag}: two are named {name}; name them, {flag} NAME=FILE")
        files[name] = path
    return files


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file without their ends: ``\\n`` or ``\\r\\n``, and no other character."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if not content.strip():
        raise UserError(f"{path}: is empty; give a file with a text on each line")
    _check_bytes(path, content)
    rows = content.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").split(b"\n")
    return [_decode(path, number, row) for number, row in enumerate(rows, 1)]


def read_sources(path: Path, count: int, reference: Path) -> list[str]:
    """Sources, one for each of the ``count`` lines of ``reference``, as plain text.

    Raises:
        UserError: as :func:`read_pairs`.
    """
    lines = read_lines(path)
    if len(lines) != count:
        raise _unequal(path, len(lines), reference, count)
    if name := _pieces(lines):
        raise UserError(f"{path}: holds {name} pieces; give the sources as plain text")
    return lines


def read_references(paths: Sequence[Path], lang: str) -> list[list[str]]:
    """References of each line, gathered over all files; empty ones are left out beside others."""
    files = [_read_reference(path, lang) for path in paths]
    for path, lines in zip(paths, files, strict=True):
        if len(lines) != len(files[0]):
            raise _unequal(path, len(lines), paths[0], len(files[0]))
    gathered = [[text for texts in row for text in texts] for row in zip(*files, strict=True)]
    return [[text for text in row if text.strip()] or row[:1] for row in gathered]


def read_outputs(path: Path, count: int, reference: Path) -> list[str]:
    """Outputs in the order of the corpus, one for each of the ``count`` lines of ``reference``."""
    lines = read_lines(path)
    if any(LOG_LINE.match(line) for line in lines):
        return read_log(path, lines, count, reference)
    if len(lines) != count:
        raise _unequal(path, len(lines), reference, count)
    if _is_json(lines):
        raise UserError(f"{path}: holds JSON; give the outputs as plain text, one a line")
    return lines


def read_log(path: Path, lines: Sequence[str], count: int, reference: Path) -> list[str]:
    """Outputs of a ``fairseq-generate`` log in the order of the corpus."""
    outputs = _log_outputs(path, lines)
    _check_numbers(path, set(outputs), count, reference)
    return [_best(path, outputs[number]) for number in range(count)]


def read_numbered(path: Path, count: int, post_process: PostProcess = "none") -> dict[int, str]:
    """Outputs for some or all of ``count`` examples by the number of the example.

    Args:
        path: a ``fairseq-generate`` log; JSON lines ``{"id": NUMBER, "output": TEXT}``; or ``count`` plain
            lines.
        post_process: how pieces are joined; those of SentencePiece are joined in any case.

    Raises:
        UserError: for a file of another form, cut short, or of other examples.
    """
    lines = read_lines(path)
    if any(LOG_LINE.match(line) for line in lines):
        outputs = {number: _best(path, entries) for number, entries in _log_outputs(path, lines).items()}
    elif _is_json(lines):
        outputs = _json_outputs(path, lines)
    else:
        outputs = dict(enumerate(lines))
        if len(lines) != count:
            raise UserError(f"{path}: {len(lines)} lines for {count} examples; give an output for each")
    if beyond := sorted(number for number in outputs if not 0 <= number < count):
        raise UserError(
            f"{path}: sentence {beyond[0]} is unknown: there are {count} examples (0 to {count - 1}); is it"
            " the output of this split?"
        )
    texts = list(outputs.values())
    if post_process == "none" and _pieces(texts) == "sentencepiece":
        post_process = "sentencepiece"
    _check_outputs(path, texts, post_process)
    return {number: join_pieces(outputs[number], post_process, "und") for number in sorted(outputs)}


def _log_outputs(path: Path, lines: Sequence[str]) -> dict[int, list[_Entry]]:
    """The ``D-`` lines of a log, else its ``H-`` lines, by the number of the sentence."""
    by_kind = _log_entries(path, lines)
    _check_whole(path, by_kind)
    outputs = next((by_kind[kind] for kind in OUTPUT_KINDS if by_kind[kind]), None)
    if outputs is None:
        raise UserError(f"{path}: a log without outputs (H- lines); run fairseq-generate again")
    return outputs


def _json_outputs(path: Path, lines: Sequence[str]) -> dict[int, str]:
    outputs: dict[int, str] = {}
    for line_number, line in enumerate(lines, 1):
        try:
            record = parse_json(line)
            number, text = record["id"], record["output"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{path}, line {line_number}: not {{"id": NUMBER, "output": TEXT}}') from error
        if type(number) is not int or not isinstance(text, str) or SURROGATE.search(text):
            raise UserError(f"{path}, line {line_number}: id is no whole number, or output no text")
        if number in outputs:
            raise UserError(f"{path}, line {line_number}: example {number} again; give one output for each")
        outputs[number] = text
    return outputs


def join_pieces(text: str, post_process: PostProcess, lang: str) -> str:
    """Text of an output whose symbols are pieces of words.

    ``sentencepiece`` and ``subword_nmt`` do as fairseq's ``--post-process`` of that name; ``ncls``
    treats the published outputs of NCLS systems as they were treated for scoring: SentencePiece
    pieces are joined, ``<t>`` and ``</t>`` dropped, and in Chinese all blanks removed.  Stand-ins
    that ``vhm prepare`` writes for odd characters (:mod:`fairseq_vhm.text.symbols`) are undone.
    """
    match post_process:
        case "sentencepiece":
            text = _join_sentencepiece(text)
        case "subword_nmt":
            text = f"{text} ".replace("@@ ", "").rstrip()
        case "ncls":
            text = NCLS_MARK.sub("", text)
            text = _join_sentencepiece(text) if BLANK in text else text
            text = "".join(text.split()) if language_of(lang) == "zh" else text
    return unescape(text)


def _join_sentencepiece(text: str) -> str:
    return text.replace(" ", "").replace(BLANK, " ").strip()


def _check_bytes(path: Path, content: bytes) -> None:
    """Refuse what is no lines of UTF-8, though parts of it may decode."""
    for start, kind in FOREIGN_STARTS.items():
        if content.startswith(start):
            raise UserError(f"{path}: is {kind}; give plain text in UTF-8")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise UserError(
            f"{path}, line {line}: holds a NUL byte, so it is no text in UTF-8;"
            " if it is UTF-16, convert it, for example with iconv"
        )
    if b"\r" in content.strip() and b"\n" not in content:
        raise UserError(f"{path}: its lines end in CR alone; convert them to LF, for example with tr")


def _decode(path: Path, number: int, row: bytes) -> str:
    try:
        return row.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, line {number}: not UTF-8 from byte 0x{row[error.start]:02x} on;"
            " convert the file, for example with iconv"
        ) from error


def _read_reference(path: Path, lang: str) -> list[list[str]]:
    lines = read_lines(path)
    if path.suffix != ".jsonl":
        _check_plain(path, lines)
        return [[line] for line in lines]
    return [_json_references(path, number, line, lang) for number, line in enumerate(lines, 1)]


def _check_plain(path: Path, lines: Sequence[str]) -> None:
    """Refuse references that would be scored as text with all that stands around them."""
    if _is_json(lines):
        raise UserError(f"{path}: holds JSON lines; name it .jsonl so that it is read as such")
    if any(LOG_LINE.match(line) for line in lines):
        raise UserError(
            f"{path}: is a log of fairseq-generate; give the references as plain text, one a line"
        )


def _is_json(lines: Sequence[str]) -> bool:
    """Is every line a JSON object?  The first one is read, the others looked at."""
    if not all(line.startswith("{") for line in lines):
        return False
    try:
        return isinstance(parse_json(lines[0]), dict)
    except ValueError:
        return False


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


def _log_entries(path: Path, lines: Sequence[str]) -> dict[str, dict[int, list[_Entry]]]:
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


def _check_outputs(path: Path, texts: Sequence[str], post_process: PostProcess) -> None:
    """Refuse pieces that would be scored as words, and blanks that would be removed as pieces'."""
    name = _pieces(texts)
    if post_process == "none" and name:
        raise UserError(
            f"{path}: holds {name} pieces ('{PIECE_MARKS[name].strip()}'), not words;"
            f" join them with --post-process {name}"
        )
    if post_process == "sentencepiece" and not any(BLANK in text for text in texts):
        raise UserError(
            f"{path}: has no '{BLANK}', so --post-process sentencepiece would remove every blank;"
            " leave it out"
        )


def _check_references(path: Path, references: Sequence[Sequence[str]]) -> None:
    name = _pieces([text for several in references for text in several])
    if name:
        raise UserError(
            f"{path}: holds {name} pieces ('{PIECE_MARKS[name].strip()}'); give it as plain text"
        )


def _pieces(texts: Sequence[str]) -> str | None:
    """The kind of pieces that the texts are made of, if they are."""
    for name, mark in PIECE_MARKS.items():
        if sum(mark in f"{text} " for text in texts) > MARKED_SHARE * len(texts):
            return name
    return None


def _unequal(path: Path, lines: int, other: Path, expected: int) -> UserError:
    return UserError(
        f"{path} has {lines} lines, {other} has {expected}; give the same texts in the same order"
    )
