"""Which files make up each split, and the languages that the name of a file tells.

``english_train.jsonl`` (XL-Sum), ``english-bengali_val.jsonl`` (CrossSum), ``en-bn.test.jsonl.gz`` and
``english-bengali/train.jsonl`` are understood.
"""

import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.language_codes import SPLIT_NAMES, XLSUM, language_code
from preprocess.readers import SPLITS

SUFFIXES = (".jsonl", ".jsonl.gz")
_NAME = re.compile(rf"(?:(?P<languages>.+?)[._-])?(?P<split>{'|'.join(SPLIT_NAMES)})", re.IGNORECASE)

Languages = tuple[str, str]


def find_inputs(anything: Iterable[str], by_split: dict[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The files of each split that has some, in order.

    Args:
        anything: files and folders whose file names say the split.
        by_split: split -> files, folders and patterns of that split, whatever their names.

    Raises:
        UserError: something is missing, a name says no split, or a file stands in two.
    """
    found: dict[str, dict[Path, Path]] = {split: {} for split in SPLITS}
    for split, given in by_split.items():
        for name in given:
            for path in _files(name, f"--{split}"):
                found[split].setdefault(path.resolve(), path)
    for name in anything:
        for path in _files(name, "INPUT"):
            found[_split_of(path)].setdefault(path.resolve(), path)
    _refuse_twice(found)
    return {split: tuple(map(str, files.values())) for split, files in found.items() if files}


def _files(name: str, flag: str) -> list[Path]:
    """The file ``name``, or the JSONL files below that folder or of that pattern."""
    path = Path(name)
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES) and p.is_file())
    else:
        files = sorted(p for p in Path(path.anchor or ".").glob(str(path).lstrip("/")) if p.is_file())
    if not files:
        what = "no .jsonl or .jsonl.gz file in this folder" if path.is_dir() else "no such file or folder"
        raise UserError(f"{flag} {name}: {what}")
    return files


def _split_of(path: Path) -> str:
    match = _NAME.fullmatch(_stem(path))
    if match is None:
        raise UserError(
            f"{path}: its name does not say which split it is (as english_train.jsonl does); give it with "
            "--train, --valid or --test, written before each file, folder or quoted pattern"
        )
    return SPLIT_NAMES[match["split"].lower()]


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _refuse_twice(found: dict[str, dict[Path, Path]]) -> None:
    for (split, files), (other, more) in combinations(found.items(), 2):
        both = [path for real, path in files.items() if real in more]
        if both:
            raise UserError(f"{both[0]}: given as {split} and as {other}; give each file once")


def languages_of(path: Path) -> Languages | None:
    """Source and target language by the name of a file, or else of its folder; ``None`` if it tells none.

    Of folders only XL-Sum's languages are taken: ``raw`` and ``new`` are codes of languages too.
    """
    match = _NAME.fullmatch(_stem(path))
    named = match["languages"] if match else _stem(path)
    try:
        languages = parse_languages(named or path.parent.name)
    except UserError:
        return None
    return languages if named or set(languages) <= set(XLSUM.values()) else None


def parse_languages(name: str) -> Languages:
    """``english-bengali``, ``en-bn``, ``zh-CN-en``: two languages; ``english``, ``zh-CN``: one, twice.

    What could be both (``en-bn``: English of Brunei) is two languages, unless XL-Sum has it as one.

    Raises:
        UserError: it is neither.
    """
    folded = name.replace("_", "-").lower()
    known = {text.replace("_", "-").lower() for item in XLSUM.items() for text in item}
    if folded not in known:
        parts = [(name[: m.start()], name[m.end() :]) for m in re.finditer("-", name)]
        pairs = [codes for left, right in parts if (codes := _both(left, right))]
        if len(pairs) == 1:
            return pairs[0]
    return language_code(name), language_code(name)


def _both(source: str, target: str) -> Languages | None:
    try:
        return language_code(source), language_code(target)
    except UserError:
        return None
