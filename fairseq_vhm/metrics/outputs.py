"""Outputs of systems from files, with the references and sources that go with them, text by text.

Outputs are plain lines, a log of ``fairseq-generate`` (:mod:`.generate_log`), or, for some of the examples,
JSON lines.  What does not fit the references is refused.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json
from fairseq_vhm.metrics.generate_log import is_log, outputs_in_order, outputs_of_log
from fairseq_vhm.metrics.lines import SURROGATE, is_json, read_lines, unequal
from fairseq_vhm.metrics.pieces import PostProcess, check_outputs, join_pieces, kind_of_pieces
from fairseq_vhm.metrics.references import check_references, read_references


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
    check_references(references[0], several)
    outputs = {}
    for name, path in hypotheses.items():
        texts = read_outputs(path, len(several), references[0])
        check_outputs(path, texts, post_process)
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


def read_sources(path: Path, count: int, reference: Path) -> list[str]:
    """Sources, one for each of the ``count`` lines of ``reference``, as plain text.

    Raises:
        UserError: as :func:`read_pairs`.
    """
    lines = read_lines(path)
    if len(lines) != count:
        raise unequal(path, len(lines), reference, count)
    if name := kind_of_pieces(lines):
        raise UserError(f"{path}: holds {name} pieces; give the sources as plain text")
    return lines


def read_outputs(path: Path, count: int, reference: Path) -> list[str]:
    """Outputs in the order of the corpus, one for each of the ``count`` lines of ``reference``."""
    lines = read_lines(path)
    if is_log(lines):
        return outputs_in_order(path, lines, count, reference)
    if len(lines) != count:
        raise unequal(path, len(lines), reference, count)
    if is_json(lines):
        raise UserError(f"{path}: holds JSON; give the outputs as plain text, one a line")
    return lines


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
    if is_log(lines):
        outputs = outputs_of_log(path, lines)
    elif is_json(lines):
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
    if post_process == "none" and kind_of_pieces(texts) == "sentencepiece":
        post_process = "sentencepiece"
    check_outputs(path, texts, post_process)
    return {number: join_pieces(outputs[number], post_process, "und") for number in sorted(outputs)}


def _json_outputs(path: Path, lines: Sequence[str]) -> dict[int, str]:
    """Outputs of JSON lines, by the number of the example."""
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
