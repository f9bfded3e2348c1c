"""Readers of ``vhm human-eval``: texts, keys, ratings."""

import json
import tempfile
from pathlib import Path

from fairseq_vhm.human_eval import display
from fairseq_vhm.human_eval.criteria import KEYS
from fairseq_vhm.human_eval.key import KEY_FILE, read_key
from fairseq_vhm.human_eval.ratings import RATINGS_FORMAT, checksum, read_all
from fairseq_vhm.human_eval.results import evaluate
from fairseq_vhm.human_eval.sheet import Settings, make_sheets
from fuzzing.cases import ENGLISH, drain, files_of, lines, one, reader


def write_study(folder: Path) -> None:
    (folder / "src").write_bytes(lines(ENGLISH))
    for name in "ab":
        (folder / name).write_bytes(lines(f"{name} {text}" for text in ENGLISH))


def make_study(folder: Path, out: Path) -> None:
    hyp = [str(folder / name) for name in "ab"]
    make_sheets(Settings(hyp, "en", folder / "src", samples=3, annotators="anna,ben"), out)


def write_ratings(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_study(Path(name))
        make_study(Path(name), Path(name) / "study")
        key = read_key(Path(name) / "study" / KEY_FILE)
    (folder / KEY_FILE).write_bytes(one(key.as_json()))
    for annotator in key.orders:
        ratings = {item: dict.fromkeys(KEYS, 3) for item in key.items}
        export = {"format": RATINGS_FORMAT, "study": key.study, "annotator": annotator, "ratings": ratings}
        export |= {"comments": {str(key.samples[0]["number"]): "good"}, "checksum": checksum(ratings)}
        (folder / f"{annotator}.json").write_bytes(one(export))


@reader("texts of a study", "human-eval sheet", files_of(write_study))
def read_study(folder: Path) -> None:
    make_study(folder, folder / "study")


def write_old_study(folder: Path) -> None:
    write_study(folder)
    make_study(folder, folder / "study")


@reader("folder of a study", "human-eval sheet, repeated", files_of(write_old_study))
def read_old_study(folder: Path) -> None:
    make_study(folder, folder / "study")


@reader("key and ratings", "human-eval results", files_of(write_ratings))
def read_ratings(folder: Path) -> None:
    key = read_key(folder / KEY_FILE)
    read = read_all([folder / "anna.json", folder / "ben.json"], key, lenient=True)
    results = evaluate(read, key)
    drain(table.plain() for table in display.tables(results))
    json.dumps(display.as_json(results))
