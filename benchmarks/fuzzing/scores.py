"""Readers of ``vhm score`` and ``vhm compare``: outputs, logs, references."""

from pathlib import Path

from fairseq_vhm.metrics.outputs import read_numbered, read_pairs
from fuzzing.cases import ENGLISH, generated, lines, reader, rows


@reader("outputs", "score", {"hyp": lines(ENGLISH), "ref": lines(reversed(ENGLISH))})
def read_outputs_and_references(folder: Path) -> None:
    read_pairs(folder / "hyp", [folder / "ref"], "en")


@reader("log of generation", "score", {"hyp": generated(range(4), ENGLISH), "ref": lines(ENGLISH)})
def read_log_and_references(folder: Path) -> None:
    read_pairs(folder / "hyp", [folder / "ref"], "en", "subword_nmt")


@reader(
    "references in JSON",
    "score",
    {"hyp": lines(ENGLISH), "ref.jsonl": rows({"refs": [text, text]} for text in ENGLISH)},
)
def read_several_references(folder: Path) -> None:
    read_pairs(folder / "hyp", [folder / "ref.jsonl"], "en")


@reader("outputs in JSON", "score --corpus", {"h.jsonl": rows({"id": n, "output": "x"} for n in range(3))})
def read_numbered_outputs(folder: Path) -> None:
    read_numbered(folder / "h.jsonl", 3)
