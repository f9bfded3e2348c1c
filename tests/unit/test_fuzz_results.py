"""``docs/hostile_input.md`` says what ``benchmarks/results/fuzz.json`` says, of all readers."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import fuzz  # noqa: E402  (found by the line above)
from fuzzing.readers import READERS  # noqa: E402

FIGURES = json.loads((ROOT / "benchmarks" / "results" / "fuzz.json").read_text(encoding="utf-8"))
FEWEST = 100_000


def test_the_table_of_the_document_is_that_of_the_results():
    document = (ROOT / "docs" / "hostile_input.md").read_text(encoding="utf-8")
    assert f"```\n{fuzz.table(FIGURES['readers']).plain()}\n```" in document


def test_every_reader_had_its_cases_from_both_fuzzers_and_no_finding_is_left():
    assert [row["reader"] for row in FIGURES["readers"]] == list(READERS)
    assert sum(row[engine]["cases"] for row in FIGURES["readers"] for engine in fuzz.ENGINES) >= FEWEST
    assert all(min(row[engine]["cases"] for engine in fuzz.ENGINES) > 1000 for row in FIGURES["readers"])
    assert not any(row["findings"] for row in FIGURES["readers"])


def test_packed_files_of_a_case_come_out_again_and_cut_ones_leave_the_valid():
    case = {"a": b"", "b": b"x\0y", "c": b"z" * 300}
    packed = fuzz.pack(case)
    assert fuzz.unpack(packed, sorted(case), dict.fromkeys(case, b"valid")) == case
    cut = fuzz.unpack(packed[:5], sorted(case), {**case, "b": b"valid", "c": b"valid"})
    assert cut == {"a": b"", "b": b"valid", "c": b"valid"}
