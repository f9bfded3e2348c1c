"""A small study on disk, and exports as the page writes them."""

import json

import pytest

from fairseq_vhm.human_eval.criteria import KEYS
from fairseq_vhm.human_eval.key import read_key
from fairseq_vhm.human_eval.ratings import RATINGS_FORMAT, checksum
from fairseq_vhm.human_eval.sheet import Settings, make_sheets

LINES = 12
SYSTEMS = ("Alpha", "Beta", "Gamma")


@pytest.fixture
def texts(tmp_path):
    """Files of sources and of three systems: all outputs differ but on line 1; Gamma's line 2 is empty."""
    (tmp_path / "source").write_text("".join(f"source {line}\n" for line in range(1, LINES + 1)))
    for name in SYSTEMS:
        lines = [f"{name.lower()[0]} wrote {line}" for line in range(1, LINES + 1)]
        lines[0] = "shared  by all" if name == "Beta" else "shared by all"
        lines[1] = "" if name == "Gamma" else lines[1]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def settings_of(texts):
    def make(**changes) -> Settings:
        given = {"hyp": [str(texts / name) for name in SYSTEMS], "src": texts / "source", "lang": "en"}
        return Settings(**(given | {"samples": LINES, "annotators": "anna,ben"} | changes))

    return make


@pytest.fixture
def key(settings_of, texts):
    return read_key(make_sheets(settings_of(), texts / "study").key_path)


@pytest.fixture
def export(key, texts):
    """``export(annotator, rate)``: a file with the rating ``rate(line, systems, criterion)`` of each item."""

    def make(annotator: str, rate, **changes):
        ratings = {
            item: {name: rate(sample["line"], systems, name) for name in KEYS}
            for sample in key.samples
            for item, systems in sample["items"].items()
        }
        ratings = {
            item: {name: value for name, value in rated.items() if value is not None}
            for item, rated in ratings.items()
        }
        content = {"format": RATINGS_FORMAT, "study": key.study, "annotator": annotator, "comments": {}}
        content |= {"ratings": ratings, "checksum": checksum(ratings)} | changes
        path = texts / f"ratings-{annotator}.json"
        path.write_text(json.dumps(content))
        return path

    return make
