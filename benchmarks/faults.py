"""Real runs of the commands are killed and their files damaged: what is lost, and what is said.

    python benchmarks/faults.py [--points 50] [--seed 1] [--parts kills,damage,ranks] [--json FILE]
    python benchmarks/faults.py --markdown FILE

A killed run is repeated with the same command, and is to leave what an undisturbed run leaves: parameters and
optimizer bit by bit, all other files byte by byte.  Parts that are not asked for stay in the file as they
are.  The exit status is 1 where anything is not as it should be.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from fault_injection.bench import Bench
from fault_injection.damage import Damager
from fault_injection.jobs import make_jobs
from fault_injection.kills import Killer, points
from fault_injection.ranks import Ranks
from fault_injection.tables import tables_of
from pairing import command, prepare, write_json
from server import ForkServer

PARTS = {
    "kills": lambda bench, given: map(Killer(bench).kill, points(given.points, given.seed)),
    "damage": lambda bench, given: Damager(bench).findings(),
    "ranks": lambda bench, given: Ranks(bench).findings(),
}
"""Kinds of faults, each with the outcomes of its own one by one."""


def measure(given: argparse.Namespace, folder: Path) -> dict[str, list[dict]]:
    """The parts asked for, told of one by one."""
    server, found = ForkServer(folder), {}
    bench = Bench(server, folder / "runs", make_jobs(folder))
    for part in given.parts:
        found[part] = []
        for one in PARTS[part](bench, given):
            print(part, one, file=sys.stderr, flush=True)
            found[part].append(one.as_json())
    server.close()
    return found


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=50, help="runs to kill")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--parts", default=",".join(PARTS), help="which of " + ", ".join(PARTS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all outcomes to this file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="print the tables of such a file")
    given = parser.parse_args()
    given.parts = given.parts.split(",")
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"--parts {unknown.pop()}: give some of {','.join(PARTS)}")
    return given


def main() -> int:
    """The command."""
    given = parse()
    if given.markdown:
        print("\n\n".join(table.markdown() for table in tables_of(json.loads(given.markdown.read_text()))))
        return 0
    prepare(threads=1)
    there = json.loads(given.json.read_text()) if given.json and given.json.exists() else {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = measure(given, Path(folder))
    kept = {part: there[part] for part in PARTS if part in there}
    commands = there.get("commands", {}) | dict.fromkeys(found, command(__file__))
    write_json(given.json, __file__, kept | found | {"commands": commands}, threads=1)
    for table in tables_of(found):
        print(table.plain(), end="\n\n")
    return int(any(not good(one) for part in found.values() for one in part))


def good(one: dict) -> bool:
    """Whether nothing stands against an outcome."""
    return not any(one.get(claim) for claim in ("half_written", "lost", "not_resumed", "unequal", "against"))


if __name__ == "__main__":
    sys.exit(main())
