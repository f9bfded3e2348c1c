"""How long the tests of each folder take: ``python tests/tiers.py REPORT.xml``, a report of pytest's.

    make test tiers

Seconds are of set-up, test and tear-down, added up over all cores; fixtures of a session count where they
were first asked for.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

from fairseq_vhm.tables import Table

SLOWEST = 10


def read(report: Path) -> list[tuple[str, str, float]]:
    """Tier, file and seconds of each test; a test outside of the folders has its file's name as tier."""
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        sys.exit(f"{report}: no report of pytest's ({error}); make one with make test")
    found = []
    for case in cases:
        _, tier, *rest = case.get("classname", "").split(".") + [""]
        found.append((tier, ".".join([tier, *rest]).strip("."), float(case.get("time", 0))))
    return found


def by(tests: list[tuple[str, str, float]], column: int) -> list[list[str]]:
    """Rows of name, number of tests and seconds, the slowest first."""
    groups: dict[str, list[float]] = defaultdict(list)
    for test in tests:
        groups[test[column]].append(test[2])
    rows = sorted(groups.items(), key=lambda item: -sum(item[1]))
    return [[name, str(len(times)), f"{sum(times):.1f}"] for name, times in rows]


def main() -> None:
    tests = read(Path(sys.argv[1]))
    header = ["tests of", "number", "seconds"]
    tiers = by(tests, 0)
    print(Table("Tiers", header, [*tiers, *by([("all", *test[1:]) for test in tests], 0)]).plain())
    print(Table("Slowest files", header, by(tests, 1)[:SLOWEST]).plain())


if __name__ == "__main__":
    main()
