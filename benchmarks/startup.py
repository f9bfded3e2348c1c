"""What the plugin adds to the start of a fairseq command: CPU seconds with and without ``--user-dir``.

    python benchmarks/startup.py [--rounds 7] [--imports 20]

The command is ``fairseq-train --help``, which imports all that a training run does before it reads data.
``--imports`` also names the modules that only the plugin imports, by their own time.
"""

import resource
import subprocess
import sys
from pathlib import Path

from pairing import ROOT, Spread, make_parser, prepare, take_turns, write_json

from fairseq_vhm.tables import Table

COMMAND = [sys.executable, "-W", "ignore", str(Path(sys.executable).parent / "fairseq-train"), "--help"]
WITH_PLUGIN = ["--user-dir", str(ROOT / "fairseq_vhm")]
SYSTEMS = {"fairseq": [], "with the plugin": WITH_PLUGIN}


def start(flags: list[str], *python: str) -> str:
    """Run the command to its end; what it wrote to standard error."""
    argv = [COMMAND[0], *python, *COMMAND[1:], *flags]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.run(argv, cwd=ROOT, text=True, check=True, **streams).stderr


def seconds_of_children() -> float:
    """User and system time of the processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(rounds: int) -> dict:
    """Seconds of both, and what the plugin adds in each round."""
    runs = {name: (lambda _, flags=flags: start(flags)) for name, flags in SYSTEMS.items()}
    seconds = take_turns(runs, rounds, seconds_of_children)
    added = [b - a for a, b in zip(*seconds.values(), strict=True)]
    return {"seconds": seconds, "added": added, "added_seconds": Spread.of(added)}


def own_times(flags: list[str]) -> dict[str, float]:
    """Module -> milliseconds of its import, without those of what it imports."""
    times = {}
    for line in start(flags, "-X", "importtime").splitlines():
        parts = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and parts[0].strip().isdecimal():
            times[parts[2].strip()] = int(parts[0]) / 1000
    return times


def imports_of_plugin() -> dict[str, float]:
    """What only the plugin imports, the slowest first."""
    alone, both = (own_times(flags) for flags in SYSTEMS.values())
    mine = {name: time for name, time in both.items() if name not in alone}
    return dict(sorted(mine.items(), key=lambda item: -item[1]))


def main() -> None:
    """The command."""
    parser = make_parser(__doc__)
    parser.add_argument("--imports", type=int, default=0, metavar="N", help="name the N slowest imports")
    given = parser.parse_args()
    prepare(given.threads)
    figures = measure(given.rounds)
    rows = [[name, str(Spread.of(each))] for name, each in figures["seconds"].items()]
    rows.append(["added", str(figures["added_seconds"])])
    print(Table("Start-up", ["fairseq-train --help", "CPU s, median (least-most)"], rows).plain())
    if given.imports:
        figures["imports_ms"] = imports_of_plugin()
        slowest = list(figures["imports_ms"].items())[: given.imports]
        print(f"\n{sum(figures['imports_ms'].values()):.0f} ms in {len(figures['imports_ms'])} modules")
        print(Table("Imports", ["module", "ms"], [[name, f"{ms:.1f}"] for name, ms in slowest]).plain())
    write_json(given.json, __file__, figures, given.threads)


if __name__ == "__main__":
    main()
