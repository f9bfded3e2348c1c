"""Sheets: a page for each annotator, which tells nothing about the systems, and the organiser's key.

A page is one HTML file that works by itself from a disk or an e-mail (:mod:`fairseq_vhm.pages`).
It holds texts, numbers drawn at random and the criteria; names, files and settings are in the key.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fairseq_vhm
from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import check_folder, write_json, write_text
from fairseq_vhm.human_eval.criteria import CRITERIA
from fairseq_vhm.human_eval.design import Item, Sample, draw_samples, presentation
from fairseq_vhm.human_eval.key import ANNOTATOR, KEY_FILE, Key, read_key
from fairseq_vhm.human_eval.material import LABELS, System, parse_systems, read_material
from fairseq_vhm.human_eval.ratings import RATINGS_FORMAT
from fairseq_vhm.metrics.pieces import PostProcess
from fairseq_vhm.metrics.tokens import language_of
from fairseq_vhm.pages import render

TITLE = "Rating summaries"
STUDY_DIGITS = 12

Order = list[tuple[Sample, list[Item]]]


@dataclass(frozen=True)
class Settings:
    """What a study is made from and how; 25 samples are those of the paper's study.

    ``hyp`` lists ``[NAME=]FILE``; ``annotators`` is a number or names with commas between them;
    ``post_process`` holds one value for all systems or one for each.
    """

    hyp: Sequence[str]
    lang: str
    src: Path | None = None
    ref: Path | None = None
    src_lang: str | None = None
    samples: int = 25
    seed: int = 1
    annotators: str = "3"
    post_process: Sequence[PostProcess] = ()


@dataclass(frozen=True)
class Made:
    """What became of a study's folder; ``findings`` are counted facts about its texts, a line each."""

    key_path: Path
    written: list[Path]
    kept: list[Path]
    findings: list[str]


def make_sheets(settings: Settings, out: Path) -> Made:
    """Write the key and the pages of a study into the folder ``out``, which is made.

    A folder that holds this very study keeps its pages and gets those that it lacks, so annotators
    can be added at any time.

    Raises:
        UserError: for wrong settings or input, and for a folder that holds anything else.
    """
    annotators = parse_annotators(settings.annotators)
    _check_language("--lang", settings.lang)
    _check_language("--source-lang", settings.src_lang or settings.lang)
    systems = parse_systems(settings.hyp, settings.post_process)
    samples, findings = _draw(settings, systems)
    key = _key(settings, systems, samples)
    key.orders = _known_orders(out, key)
    shown = {
        name: presentation(samples, key.systems, settings.seed, name)
        for name in dict.fromkeys([*key.orders, *annotators])
    }
    key.orders = {name: _items(order) for name, order in shown.items()} | key.orders
    pages = {page_path(out, name): _page(settings, key, name, order) for name, order in shown.items()}
    kept = [path for path in pages if path.exists()]
    written = [path for path in pages if path not in kept]
    _write(out, key, {path: pages[path] for path in written})
    return Made(out / KEY_FILE, written, kept, findings)


def parse_annotators(text: str) -> list[str]:
    """Names of annotators: listed with commas, or ``annotator-1``, ``annotator-2``, ... of a number.

    Raises:
        UserError: for no annotator, a name that no file can bear, or one that comes twice.
    """
    if text.strip().isdecimal():
        names = [f"annotator-{number}" for number in range(1, int(text) + 1)]
    else:
        names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = next((name for name in names if not ANNOTATOR.fullmatch(name)), None)
    if wrong is not None or not names:
        what = f"'{wrong}' cannot be part of a file's name" if names else "no annotator"
        raise UserError(
            f"--annotators {text}: {what}; give a number, or names of letters, digits, '-', '_', '.'"
        )
    if len({name.casefold() for name in names}) < len(names):
        raise UserError(f"--annotators {text}: a name comes twice")
    return names


def page_path(out: Path, annotator: str) -> Path:
    """The file for an annotator."""
    return out / f"annotate-{annotator}.html"


def _check_language(flag: str, lang: str) -> None:
    try:
        language_of(lang)
    except UserError as error:
        raise UserError(str(error).replace("--lang", flag, 1)) from error


def _draw(settings: Settings, systems: Sequence[System]) -> tuple[list[Sample], list[str]]:
    material = read_material(systems, settings.src, settings.ref, settings.lang)
    lines = material.ratable()
    total = len(material.outputs[systems[0].name])
    if not 1 <= settings.samples <= len(lines):
        raise UserError(f"--samples {settings.samples}: {len(lines)} of {total} lines can be drawn")
    samples = draw_samples(material, lines, settings.samples, settings.seed)
    return samples, list(_findings(samples, total - len(lines)))


def _findings(samples: Sequence[Sample], blank: int) -> Iterator[str]:
    merged = [item for sample in samples for item in sample.items if len(item.systems) > 1]
    empty = [name for sample in samples for item in sample.items if not item.text for name in item.systems]
    if blank:
        yield f"{blank} lines with an empty source or reference were not drawn from"
    if merged:
        yield f"{len(merged)} texts are the output of several systems; each is rated once, for all of them"
    if empty:
        counts = ", ".join(f"{name} {empty.count(name)}" for name in dict.fromkeys(empty))
        yield f"empty outputs ({counts}) are shown as such, to be rated 1"


def _key(settings: Settings, systems: Sequence[System], samples: Sequence[Sample]) -> Key:
    """The key of the study, for no annotator yet."""
    listed = [
        {
            "number": sample.number,
            "line": sample.line,
            "items": {item.number: list(item.systems) for item in sample.items},
            "empty": [item.number for item in sample.items if not item.text],
        }
        for sample in samples
    ]
    chosen = {name: getattr(settings, name) for name in ("lang", "src_lang", "samples", "seed")}
    files = {"src": settings.src, "ref": settings.ref}
    inputs = {
        "hyp": {one.name: _describe(one.path, post_process=one.post_process) for one in systems},
        **{role: _describe(path) for role, path in files.items() if path is not None},
    }
    study = _digest([listed, chosen, _without_paths(inputs)])
    names = [system.name for system in systems]
    return Key(study, names, listed, {}, chosen, inputs, fairseq_vhm.__version__)


def _describe(path: Path, **more: str) -> dict[str, str]:
    return {"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **more}


def _without_paths(inputs: Any) -> Any:
    """``inputs`` less the files' names: the same study may lie in another folder."""
    if not isinstance(inputs, dict):
        return inputs
    return {name: _without_paths(value) for name, value in inputs.items() if name != "file"}


def _digest(content: object) -> str:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:STUDY_DIGITS]


def _known_orders(out: Path, key: Key) -> dict[str, list[list[str]]]:
    """Orders of the annotators of this study that ``out`` holds already."""
    check_folder(out, "--out")
    if out.is_file():
        raise UserError(f"--out {out}: is a file; give a folder")
    if not out.exists() or not any(out.iterdir()):
        return {}
    path = out / KEY_FILE
    if not path.exists():
        raise UserError(f"--out {out}: is not empty and holds no {KEY_FILE}; give a new folder")
    found = read_key(path)
    if found.study != key.study:
        raise UserError(
            f"--out {out}: holds another study ({found.study}; this one is {key.study}), to which ratings"
            " may belong; give a new folder"
        )
    return found.orders


def _items(order: Order) -> list[list[str]]:
    return [[item.number for item in items] for _, items in order]


def _page(settings: Settings, key: Key, annotator: str, order: Order) -> str:
    """The page of one annotator; what it is given here is all that it tells."""
    data = {
        "format": RATINGS_FORMAT,
        "study": key.study,
        "annotator": annotator,
        "lang": language_of(settings.lang),
        "src_lang": language_of(settings.src_lang) if settings.src_lang else None,
        "criteria": [asdict(criterion) for criterion in CRITERIA],
        "samples": [_shown(sample, items) for sample, items in order],
    }
    return render("annotate", TITLE, data)


def _shown(sample: Sample, items: Sequence[Item]) -> dict:
    outputs = [
        {"item": item.number, "label": label, "text": item.text}
        for item, label in zip(items, LABELS, strict=False)
    ]
    return {
        "sample": sample.number,
        "source": sample.source,
        "references": sample.references,
        "outputs": outputs,
    }


def _write(out: Path, key: Key, pages: dict[Path, str]) -> None:
    """The key first: with it, an interrupted run can be made whole by the same command."""
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(f"--out {out}", error) from error
    write_json(out / KEY_FILE, key.as_json())
    for path, page in pages.items():
        write_text(path, page)
