"""The files that articles come in: found, and told by name what language and split they are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.language_codes import SPLIT_NAMES, language_code

_NAME = re.compile(rf"(?P<language>.+)[._-](?P<split>{'|'.join(SPLIT_NAMES)})")


@dataclass(frozen=True)
class Source:
    """A file of articles of one language; ``split`` is ``None`` where its name does not tell."""

    path: Path
    language: str
    split: str | None


def find_sources(inputs: Sequence[Path], languages: Mapping[str, str]) -> list[Source]:
    """The ``.jsonl`` files named or in the folders named, in the order of language and name.

    Args:
        inputs: files, and folders that are searched through.
        languages: name of a file -> its language, where the name itself does not tell.

    Raises:
        UserError: nothing there, no language known, or only one.
    """
    paths = sorted({path.resolve(): path for given in inputs for path in _files(given)}.values())
    unknown = set(languages) - {path.name for path in paths}
    if unknown:
        raise UserError(f"--lang {sorted(unknown)[0]}=...: none of the files has this name")
    sources = [_source(path, languages) for path in paths]
    if len({source.language for source in sources}) < 2:
        raise UserError(
            f"{inputs[0]}: files of one language, {sources[0].language}; alignment needs two or more"
        )
    return sorted(sources, key=lambda source: (source.language, source.path.name, str(source.path)))


def parse_languages(given: Sequence[str]) -> dict[str, str]:
    """``FILE=CODE`` of ``--lang``, as file name -> code."""
    found = {}
    for text in given:
        name, sign, code = text.rpartition("=")
        if not sign or not name:
            raise UserError(f"--lang {text}: give FILE=CODE, as in --lang articles_train.jsonl=en")
        found[Path(name).name] = language_code(code)
    return found


def _files(given: Path) -> list[Path]:
    if given.is_dir():
        for packed in given.rglob("*.jsonl.gz"):
            _refuse_packed(packed)
        found = [path for path in given.rglob("*.jsonl") if path.is_file()]
        if not found:
            raise UserError(f"{given}: no .jsonl file in this folder; give XL-Sum's files or their folder")
        return found
    if not given.is_file():
        raise UserError(f"{given}: no such file or folder")
    if given.suffix == ".gz":
        _refuse_packed(given)
    return [given]


def _refuse_packed(path: Path) -> None:
    raise UserError(f"{path}: packed; unpack .gz files first, since articles are read where they stand")


def _source(path: Path, languages: Mapping[str, str]) -> Source:
    name, split = _name_and_split(path)
    if path.name in languages:
        return Source(path, languages[path.name], split)
    try:
        return Source(path, language_code(name), split)
    except UserError as error:
        raise UserError(
            f"{path}: its name does not begin with a language, as en_train.jsonl does; rename it, or give"
            f" --lang {path.name}=CODE"
        ) from error


def _name_and_split(path: Path) -> tuple[str, str | None]:
    """``english``, ``valid`` of ``english_val.jsonl`` and of ``english/val.jsonl``."""
    if path.stem in SPLIT_NAMES:
        return path.parent.name, SPLIT_NAMES[path.stem]
    match = _NAME.fullmatch(path.stem)
    return (match["language"], SPLIT_NAMES[match["split"]]) if match else (path.stem, None)
