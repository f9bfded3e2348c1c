"""The tables of a report, in the form of Tables 2-5 of Liang et al. (ACL 2022)."""

from collections.abc import Iterable, Mapping, Sequence

from fairseq_vhm.metrics.rouge import NAMES as ROUGE
from fairseq_vhm.report import published
from fairseq_vhm.report.results import Mean, Result, TestResults
from fairseq_vhm.report.runs import Run
from fairseq_vhm.report.systems import ablation_row, percent, rank
from fairseq_vhm.tables import DAGGER, DOUBLE_DAGGER, Table

SHORT = {"rouge1": "RG1", "rouge2": "RG2", "rougeL": "RGL", "moverscore": "MVS"}
TABLE_4 = (*ROUGE, "moverscore")
LEVELS = ((0.01, DOUBLE_DAGGER), (0.05, DAGGER))
PUBLISHED = "published"
NOTHING = "-"
SIDE_BY_SIDE = 2  # directions in one table
SPREAD_NOTE = "Several runs: mean ± standard deviation over seeds; their number is in column n."
OVER_SEEDS_NOTE = (
    "p over seeds: Welch's t-test of the runs' figures, corrected; it says whether other seeds would differ,"
    " as p says of other sentences. A mark needs both."
)
BATCH_NOTE = (
    "Seconds for 100 batches: 100 updates of training, validation and saving apart; an update holds the"
    " mini-batches in column batch."
)


def make_tables(all_results: Sequence[TestResults], runs: Sequence[Run], beside: bool) -> list[Table]:
    """All tables that the runs allow; ``beside`` puts published figures next to one's own."""
    tables: list[Table] = []
    shown = [one for one in all_results if _in_main(one)]
    for first in range(0, len(shown), SIDE_BY_SIDE):
        tables.append(main_table(shown[first : first + SIDE_BY_SIDE], beside))
    for one in all_results:
        made = (size_table(one, beside), ablation_table(one), few_shot_table(one))
        tables += [table for table in made if table]
    tables += [table for one in all_results if (table := further_table(one))]
    tables += [table for one in all_results if (table := comparison_table(one))]
    return [*tables, run_table(all_results, runs)]


def main_table(some: Sequence[TestResults], beside: bool = False) -> Table:
    """Table 4: ROUGE (and MoverScore) of every system, marked where it differs from the baseline."""
    metrics = [m for m in TABLE_4 if m in ROUGE or any(m in one.metrics for one in some)]
    shown = sorted((result for one in some for result in _in_main(one)), key=lambda r: rank(r.system))
    labels = _in_order(result.label for result in shown)
    several = any(_count(result) > 1 for result in shown)
    rows = []
    for label in labels:
        cells = [_marked_cells(one, label, metrics) for one in some]
        counts = [str(max((_count(r) for one in some for r in one.results if r.label == label), default=0))]
        rows.append([label, *(cell for group in cells for cell in group), *(counts if several else [])])
    if beside:
        rows += _published_rows([one.test.name for one in some], metrics, several)
    heads = [_heads(one, metrics, len(some)) for one in some]
    columns = ["system", *(head for group in heads for head in group), *(["n"] if several else [])]
    notes = [note for one in some for note in _mark_notes(one, _in_main(one), len(some))]
    notes += [SPREAD_NOTE] * several
    notes += [f"{one.test.name}: {note}" for one in some for note in _signature_notes(one, metrics)]
    notes += [f"{PUBLISHED}: {published.SOURCE}."] * beside
    names = " and ".join(one.test.name for one in some)
    return Table(f"Results on {names}", columns, rows, notes)


def size_table(one: TestResults, beside: bool = False) -> Table | None:
    """Tables 2 and 3: parameters and seconds for 100 batches beside ROUGE."""
    results = [result for result in _whole(one) if result.parameters or result.timing]
    if not results:
        return None
    rows = [
        [
            result.label,
            f"{result.parameters / 1e6:.2f}" if result.parameters else NOTHING,
            _cell(result.timing),
            batch_of(result.system.runs[0]) or NOTHING,
            *(_cell(result.mean(metric)) for metric in ROUGE),
        ]
        for result in results
    ]
    columns = ["system", "parameters (M)", "s / 100 batches", "batch", *(SHORT[metric] for metric in ROUGE)]
    notes = [BATCH_NOTE, *_hardware_notes(results), *[published.SIZE_AND_TIME] * beside]
    return Table(f"Size and time, {one.test.name}", columns, rows, notes)


def ablation_table(one: TestResults) -> Table | None:
    """Table 5: each ablation, and in brackets its difference to the full model."""
    scored = [result for result in _whole(one) if _is_scored(result)]
    numbered = [(row, result) for result in scored if (row := _row(result)) is not None]
    if not any(row for row, _ in numbered):
        return None
    full = next((result for row, result in numbered if row == 0), None)
    rows = [
        [f"{row} {result.label}", *(_with_difference(result, full, metric) for metric in ROUGE)]
        for row, result in sorted(numbered, key=lambda pair: pair[0])
    ]
    note = f"In brackets: less {full.label}." if full else "The full model is not among the runs."
    return Table(f"Ablation, {one.test.name}", ["model", *(SHORT[m] for m in ROUGE)], rows, [note])


def few_shot_table(one: TestResults) -> Table | None:
    """What Figures 2 and 3 draw: ROUGE by the share of the CLS training pairs."""
    results = one.few_shot()
    if not results:
        return None
    rows = [
        [
            f"{result.system.name}, {percent(result.system.fraction)}",
            *(_cell(result.mean(metric)) + _mark(one, result.label, metric) for metric in ROUGE),
            str(_count(result)),
        ]
        for result in results
    ]
    columns = ["system, share of the CLS pairs", *(SHORT[m] for m in ROUGE), "n"]
    tested = "Tested against the baseline of the same share."
    marks = _mark_notes(one, results)
    notes = [*marks, *[tested] * bool(marks), SPREAD_NOTE]
    return Table(f"Few-shot, {one.test.name}", columns, rows, notes)


def further_table(one: TestResults) -> Table | None:
    """Metrics that Table 4 does not have, from the score files."""
    metrics = [metric for metric in one.metrics if metric not in TABLE_4]
    if not metrics:
        return None
    rows = [[result.label, *(_cell(result.mean(metric)) for metric in metrics)] for result in one.results]
    notes = _signature_notes(one, metrics)
    return Table(f"Further scores, {one.test.name}", ["system", *metrics], rows, notes)


def comparison_table(one: TestResults) -> Table | None:
    """The differences behind the marks, with intervals and p."""
    if not one.comparisons:
        return None
    rows = [
        [
            f"{c.system}, {SHORT[c.metric]}",
            f"{c.difference:+.2f}",
            f"{c.low:+.2f} to {c.high:+.2f}",
            f"{c.p:.2g}",
            f"{c.p_corrected:.2g}",
            *([_p(one.over_seeds.get((c.system, c.metric)))] if one.over_seeds else []),
        ]
        for c in one.comparisons
    ]
    columns = ["system, metric", f"less {one.baseline}", "95% interval", "p", "p corrected"]
    columns += ["p over seeds"] if one.over_seeds else []
    notes = [*_tests(one, one.results), "Of several runs, the mean of each sentence over them is tested."]
    notes += [OVER_SEEDS_NOTE] if one.over_seeds else []
    return Table(f"Differences to {one.baseline}, {one.test.name}", columns, rows, notes)


def run_table(all_results: Sequence[TestResults], runs: Sequence[Run]) -> Table:
    """Every run: what it is, and what it lacks."""
    systems = {run.name: (one, r.label) for one in all_results for r in one.results for run in r.system.runs}
    rows = []
    for run in runs:
        one, label = systems[run.name]
        updates = run.checkpoint.updates if run.checkpoint else run.log.updates if run.log else None
        seed = run.settings.get("seed")
        test = NOTHING if run.pairs and not one.test.references else one.test.name
        cells = [label, test, str(seed) if seed is not None else NOTHING]
        rows.append([run.name, *cells, f"{updates:,}" if updates else NOTHING])
    notes = [f"{run.name}: {line}" for run in runs for line in run.missing]
    return Table("Runs", ["run", "system", "test set", "seed", "updates"], rows, notes)


def batch_of(run: Run) -> str | None:
    """The mini-batches that an update holds, such as ``1 cls + 1 mt + 1 ms``."""
    settings = run.settings
    if "tasks" not in settings:
        return None
    tasks = str(settings["tasks"]).replace(" ", "").split(",")
    times = _times(settings)
    if settings.get("task_schedule") == "alternate":
        return f"{times} of one task"
    ratio = _ratio(str(settings.get("task_ratio") or ""), tasks)
    return " + ".join(f"{times * ratio[task]} {task}" for task in tasks)


def _ratio(text: str, tasks: Sequence[str]) -> dict[str, int]:
    """Mini-batches of each task by ``--task-ratio``: ``cls:2,mt:1``, or ``2,1`` in the order of ``tasks``."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    named = [part.partition(":")[::2] for part in parts]
    if parts and ":" not in text:
        named = list(zip(tasks, parts, strict=False))
    return dict.fromkeys(tasks, 1) | {task: int(number) for task, number in named}


def _times(settings: Mapping) -> int:
    """Mini-batches that one update sums over devices and ``--update-freq``."""
    frequency = settings.get("update_freq") or [1]
    return int(frequency[0]) * int(settings.get("distributed_world_size") or 1)


def _row(result: Result) -> int | None:
    return ablation_row(result.system.runs[0])


def _in_main(one: TestResults) -> list[Result]:
    """Systems trained on all pairs that have a score; the ablations have their own table."""
    return [result for result in _whole(one) if _is_scored(result) and not _row(result)]


def _is_scored(result: Result) -> bool:
    return any(scored.figures for scored in result.scored)


def _whole(one: TestResults) -> list[Result]:
    """Systems trained on all pairs, as far as is known."""
    return [result for result in one.results if result.system.fraction == 1]


def _marked_cells(one: TestResults, label: str, metrics: Iterable[str]) -> list[str]:
    result = next((result for result in _in_main(one) if result.label == label), None)
    if result is None:
        return [NOTHING for _ in metrics]
    return [_cell(result.mean(metric)) + _mark(one, label, metric) for metric in metrics]


def _mark(one: TestResults, label: str, metric: str) -> str:
    p = one.p_of_gain(label, metric)
    return next((mark for level, mark in LEVELS if p < level), "")


def _mark_notes(one: TestResults, shown: Sequence[Result], beside: int = 1) -> list[str]:
    """What the marks of some systems mean; nothing where none of them was tested."""
    tests = _tests(one, shown)
    if not tests:
        return []
    where = "" if beside == 1 else f"{one.test.name}: "
    levels = f"{DAGGER}, {DOUBLE_DAGGER}: better than {one.baseline} with p < 0.05, 0.01"
    also = ", and over seeds by Welch's t-test where there are several" if one.over_seeds else ""
    return [f"{where}{levels} ({', '.join(tests)}{also})."]


def _tests(one: TestResults, shown: Sequence[Result]) -> list[str]:
    """Signatures of the tests of some systems: systems of another share are another family."""
    labels = {result.label for result in shown}
    return list(dict.fromkeys(c.signature for c in one.comparisons if c.system in labels))


def _signature_notes(one: TestResults, metrics: Sequence[str]) -> list[str]:
    """How figures were made; with the systems, where not all were made alike."""
    made: dict[str, dict[str, list[str]]] = {}
    for metric in metrics:
        by_signature: dict[str, list[str]] = {}
        for result in one.results:
            for signature in {s.signatures[metric] for s in result.scored if metric in s.signatures}:
                by_signature.setdefault(signature, []).append(result.label)
        for signature, labels in by_signature.items():
            which = f" of {', '.join(labels)}" if len(by_signature) > 1 else ""
            made.setdefault(signature, {}).setdefault(which, []).append(SHORT.get(metric, metric))
    return [
        f"{', '.join(names)}{which}: {signature}"
        for signature, named in made.items()
        for which, names in named.items()
    ]


def _hardware_notes(results: Sequence[Result]) -> list[str]:
    """Where each system ran, and what its time is taken from."""
    logs = [(result.label, run.log) for result in results for run in result.system.runs if run.log]
    alike: dict[str, list[str]] = {}
    for label, log in logs:
        if timing := log.timing():
            how = f"{log.hardware or 'hardware not logged'}; time from {timing.basis}"
            alike.setdefault(how, []).append(label)
    return [f"{', '.join(_in_order(labels))}: {how}." for how, labels in alike.items()]


def _published_rows(names: Sequence[str], metrics: Sequence[str], several: bool) -> list[list[str]]:
    tables = [published.DIRECTIONS.get(name, {}) for name in names]
    rows = []
    for label in _in_order(label for table in tables for label in table):
        figures = [dict(zip(ROUGE, table.get(label, ()), strict=False)) for table in tables]
        cells = [f"{one[m]:.2f}" if m in one else NOTHING for one in figures for m in metrics]
        rows.append([f"{label} ({PUBLISHED})", *cells, *([NOTHING] if several else [])])
    return rows


def _with_difference(result: Result, full: Result | None, metric: str) -> str:
    own = result.mean(metric)
    whole = full.mean(metric) if full and full is not result else None
    return _cell(own) + (f" ({own.value - whole.value:+.2f})" if own and whole else "")


def _heads(one: TestResults, metrics: Sequence[str], beside: int) -> list[str]:
    short = [SHORT[metric] for metric in metrics]
    return short if beside == 1 else [f"{one.test.name} {head}" for head in short]


def _p(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2g}"


def _cell(mean: Mean | None) -> str:
    return NOTHING if mean is None else str(mean)


def _count(result: Result) -> int:
    """Runs that have figures: those begun alone are in no mean."""
    return sum(bool(one.figures) for one in result.scored)


def _in_order(labels: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(labels))
