"""Tables of what ``benchmarks/faults.py`` found, as ``docs/reliability.md`` has them."""

from fairseq_vhm.tables import Table
from fault_injection.kills import SHARES

CLAIMS = {
    "half_written": "half-written file",
    "lost": "lost updates",
    "not_resumed": "not resumed",
    "unequal": "unequal at the end",
}


def tables_of(found: dict) -> list[Table]:
    """A table for each part that is there."""
    makers = {"kills": kills_table, "damage": findings_table, "ranks": ranks_table}
    return [make(found[part]) for part, make in makers.items() if part in found]


def kills_table(outcomes: list[dict]) -> Table:
    """Kills of each phase and signal, and how many of them broke a claim."""
    rows = []
    for phase in SHARES:
        for name in ("SIGKILL", "SIGTERM"):
            some = [one for one in outcomes if (one["phase"], one["signal"]) == (phase, name)]
            if some:
                failed = [sum(bool(one[claim]) for one in some) for claim in CLAIMS]
                rows.append([phase, name, str(len(some)), *map(str, failed)])
    total = [str(sum(bool(one[claim]) for one in outcomes)) for claim in CLAIMS]
    rows.append(["all", "", str(len(outcomes)), *total])
    return Table("Killed runs", ["phase", "signal", "kills", *CLAIMS.values()], rows)


def findings_table(findings: list[dict]) -> Table:
    """Each fault, the exit status, and the line."""
    rows = [[one["command"], one["fault"], str(one["status"]), _line_of(one)] for one in findings]
    return Table("Faults", ["command", "fault", "status", "what it says"], rows)


def ranks_table(findings: list[dict]) -> Table:
    """Each fault of a group of processes."""
    rows = [[str(one["ranks"]), one["fault"], _statuses(one), _line_of(one)] for one in findings]
    return Table("Several ranks", ["ranks", "fault", "statuses", "what they say"], rows)


def _statuses(one: dict) -> str:
    return " ".join(map(str, one["statuses"]))


def _line_of(one: dict) -> str:
    line = one["line"].replace("|", "/")
    return f"WRONG ({one['against']}): {line}" if one["against"] else line
