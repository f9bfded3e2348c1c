"""A small part of ``benchmarks/faults.py``, and its tables in ``docs/reliability.md``."""

import json
import signal
import sys

from commands import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))

from fault_injection.bench import Bench  # noqa: E402  (found by the line above)
from fault_injection.jobs import Job, checkpoints  # noqa: E402
from fault_injection.kills import SHARES, Killer, Outcome, Point, lost_by, points  # noqa: E402
from fault_injection.tables import tables_of  # noqa: E402

FOUND = json.loads((REPOSITORY / "benchmarks" / "results" / "faults.json").read_text(encoding="utf-8"))


def test_a_killed_command_is_made_up_for(forked, trained, tmp_path):
    members = [trained / "checkpoint_last.pt", trained / "checkpoint_best.pt"]
    job = Job(lambda folder: ["vhm", "average", *members, "-o", folder / "mean.pt"], checkpoints)
    killer = Killer(Bench(forked, tmp_path, {"averaging": job}))
    outcome = killer.kill(Point("averaging", signal.SIGKILL, share=0.9))
    assert outcome.status == -signal.SIGKILL
    assert outcome.good, outcome


def test_what_is_not_whole_counts_as_broken(trained, tmp_path):
    whole = (trained / "checkpoint_last.pt").read_bytes()
    (tmp_path / "checkpoint_last.pt").write_bytes(whole)
    (tmp_path / "checkpoint_best.pt").write_bytes(whole[:-100])
    found = checkpoints(tmp_path)
    assert found["checkpoint_last.pt"].startswith("60 ")
    assert found["checkpoint_best.pt"].startswith("broken")


def test_lost_updates_are_those_saved_or_after_sigterm_those_done():
    class Killed:
        stdout = 'Saved checkpoint a.pt (epoch 1 @ 4 updates, ...)\n"num_updates": "6"\n'
        returncode = -signal.SIGKILL

    assert lost_by(Killed, {"checkpoint_last.pt": "4 abc"}) is None
    assert lost_by(Killed, {"checkpoint_last.pt": "2 abc"}) == "4 updates due, 2 kept"
    Killed.returncode = 75
    assert lost_by(Killed, {"checkpoint_last.pt": "4 abc"}) == "6 updates due, 4 kept"


def test_points_are_shared_out_over_all_phases_and_depend_on_the_seed():
    chosen = points(50, seed=1)
    assert {p: sum(point.phase == p for point in chosen) for p in SHARES} == SHARES
    assert chosen == points(50, seed=1) != points(50, seed=2)


def test_the_document_has_the_tables_of_the_results():
    document = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    for table in tables_of(FOUND):
        assert table.markdown() in document, table.title


def test_nothing_stands_against_the_published_outcomes():
    assert len(FOUND["kills"]) == 50
    assert all(Outcome(**one).good for one in FOUND["kills"])
    assert not any(one["against"] for part in ("damage", "ranks") for one in FOUND[part])
