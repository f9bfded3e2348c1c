"""Every reader on hostile input: what comes of 100,000 changed files, by two fuzzers.

    python benchmarks/fuzz.py [--cases 100000] [--reader NAME ...] [--keep FOLDER] [--json FILE]

*hypothesis* draws changes of the values that a file holds and of its lines (:mod:`fuzzing.mutations`).
*atheris* (libFuzzer) changes bytes too, and keeps what reaches code that no case reached before.  Each reader
of :mod:`fuzzing.readers` gets half of its cases from each, in processes of its own with bounded memory; what
counts as a finding is in :mod:`fuzzing.watch`.
"""

import contextlib
import importlib.util
import io
import json
import logging
import multiprocessing
import os
import random
import resource
import shutil
import struct
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pairing import make_parser, prepare, write_json

from fairseq_vhm.errors import UserError
from fairseq_vhm.tables import Table

ENGINES = ("hypothesis", "atheris")
CASES = 100_000
CASES_OF_DRAW = 10
"""Changed cases made of what hypothesis draws at a time, since a draw takes longer than most cases."""
LIMIT = 600
"""Seconds that the cases of a reader may take; beyond, it hangs where Python cannot interrupt it."""
LONGEST = 1 << 17
PACKAGES = ("fairseq_vhm", "preprocess")
_LENGTH = struct.Struct("<I")

_fork = multiprocessing.get_context("fork")


@dataclass
class Tally:
    """What became of the cases of a reader."""

    reader: str
    what: str
    cases: int = 0
    seconds: float = 0.0
    findings: list[dict] = field(default_factory=list)


def fuzz(reader, engine: str, cases: int, seed: int, keep: Path | None) -> Tally:
    """Run ``cases`` cases in a process of its own."""
    counted, before = _fork.Value("q", 0), _seconds_of_children()
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as name:
        folder, log = Path(name) / "case", Path(name) / "findings.jsonl"
        folder.mkdir()
        log.touch()
        work = _work, (reader, engine, cases, seed, folder, log, counted)
        process = _fork.Process(target=work[0], args=work[1])
        process.start()
        process.join(LIMIT)
        ended = process.exitcode
        if ended is None:
            process.kill()
            process.join()
        findings = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        if ended != 0:
            findings.append(_of_process(reader.name, ended))
        if keep and (findings or ended != 0):
            shutil.copytree(name, keep / f"{reader.name} {engine}".replace(" ", "_"), dirs_exist_ok=True)
    return Tally(reader.name, reader.what, counted.value, _seconds_of_children() - before, findings)


def _seconds_of_children() -> float:
    """CPU time of the processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _of_process(reader: str, ended: int | None) -> dict:
    """The finding that a process did not end well, whatever its last case was."""
    kind = "hangs" if ended is None else f"process ended with {ended}"
    return {"reader": reader, "kind": kind, "place": "native code", "detail": ""}


def _memory_folder() -> str | None:
    """Where files cost no disk, if there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _work(reader, engine: str, cases: int, seed: int, folder: Path, log: Path, counted) -> None:
    """In the process of a reader: run the cases, note each different finding and the case that shows it."""
    from fuzzing.watch import Watch, limit_memory, write

    if engine == "atheris":
        _silence()  # libFuzzer tells every step
    watch, seen = Watch(folder), set()

    def run(case: dict[str, bytes]) -> None:
        finding = watch.outcome(reader.name, reader.read, case)
        counted.value += 1
        if finding and finding.key not in seen:
            seen.add(finding.key)
            write(log.parent / f"finding{len(seen)}", case)
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(finding)) + "\n")

    valid = reader.case()
    run(valid)  # also imports what is only imported when it is needed
    if seen:
        return
    limit_memory()
    _ENGINES[engine](valid, cases - 1, seed, run)


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def with_hypothesis(valid: dict[str, bytes], cases: int, seed: int, run: Callable) -> None:
    """Changes drawn by hypothesis, with values of any depth in place of a file's own."""
    import hypothesis
    from fuzzing.mutations import NASTY_VALUES, change
    from hypothesis import strategies as st

    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    trees = st.recursive(
        plain | st.sampled_from(NASTY_VALUES),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=6,
    )

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=-(-cases // CASES_OF_DRAW),
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.integers(0, 2**32).map(random.Random), st.lists(trees, min_size=1, max_size=3))
    def each(draw: random.Random, values: list) -> None:
        for _ in range(CASES_OF_DRAW):
            run(change(draw, valid, lambda: draw.choice((draw.choice(values), draw.choice(NASTY_VALUES)))))

    each()


def with_atheris(valid: dict[str, bytes], cases: int, seed: int, run: Callable) -> None:
    """Changes by libFuzzer, guided by the branches of this project's code that cases reach."""
    import atheris
    from fuzzing.mutations import change

    names = sorted(valid)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        draw, case = random.Random(number), unpack(data, names, valid)
        if draw.random() < 0.5:
            name = draw.choice(names)
            case[name] = bytes(atheris.Mutate(case[name], len(case[name]) + 256))
        else:
            case = change(draw, case)
        packed = pack(case)
        return packed if len(packed) <= most else data

    with tempfile.TemporaryDirectory() as corpus:
        (Path(corpus) / "valid").write_bytes(pack(valid))
        flags = [
            f"-runs={cases}",
            f"-seed={seed}",
            f"-max_len={LONGEST}",
            f"-timeout={LIMIT}",
            "-rss_limit_mb=0",
        ]
        flags += ["-detect_leaks=0", "-verbosity=0", "-len_control=0", "-handle_abrt=0", corpus]
        atheris.Setup(
            [sys.argv[0], *flags], lambda data: run(unpack(data, names, valid)), custom_mutator=mutate
        )
        atheris.Fuzz()


_ENGINES = {"hypothesis": with_hypothesis, "atheris": with_atheris}


def pack(case: dict[str, bytes]) -> bytes:
    """The files of a case in one string, in the order of their names."""
    return b"".join(_LENGTH.pack(len(case[name])) + case[name] for name in sorted(case))


def unpack(data: bytes, names: list[str], valid: dict[str, bytes]) -> dict[str, bytes]:
    """Inverse of :func:`pack`; files that are not there are those of the valid case."""
    case, place = dict(valid), 0
    for name in names:
        if len(data) < place + _LENGTH.size:
            break
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        case[name] = data[place : place + length]
        place += length
    return case


def run_engine(engine: str, wanted: list[str], cases: int, seed: int, keep: Path | None, sender) -> None:
    """In the process of an engine: load the readers, instrumented for atheris, and go on by forks."""
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    readers = load(engine)
    chosen = [readers[name] for name in wanted or readers]
    for reader in chosen:
        sender.send(fuzz(reader, engine, cases, seed, keep))
    sender.send(None)


def load(engine: str) -> dict:
    """The readers by name."""
    if engine == "atheris":
        import atheris

        for function in functions_of(dict(sys.modules)):
            atheris.instrument_func(function)
        quiet = contextlib.redirect_stderr(io.StringIO())
        with quiet, atheris.instrument_imports(include=list(PACKAGES)):
            from fuzzing.readers import READERS
    else:
        from fuzzing.readers import READERS
    return READERS


def functions_of(modules: dict) -> list[types.FunctionType]:
    """The functions and methods of those of our modules that the plugin loads when it is imported."""
    ours = [module for name, module in modules.items() if name.partition(".")[0] in PACKAGES]
    held = [one for module in ours for one in vars(module).values()]
    held += [one for kind in held if isinstance(kind, type) for one in vars(kind).values()]
    wrappers = ("__func__", "__wrapped__", "fget", "func")
    held += [getattr(one, name) for one in held for name in wrappers if hasattr(one, name)]
    here = {id(vars(module)) for module in ours}
    found = {id(one): one for one in held if isinstance(one, types.FunctionType)}
    return [one for one in found.values() if id(one.__globals__) in here]


def tallies(engine: str, *given) -> Iterator[Tally]:
    """What an engine finds, reader by reader."""
    receiver, sender = _fork.Pipe(duplex=False)
    process = _fork.Process(target=run_engine, args=(engine, *given, sender))
    process.start()
    sender.close()
    try:
        while (tally := receiver.recv()) is not None:
            yield tally
    except EOFError:
        raise UserError(f"--engine {engine}: its process ended; what it printed says why") from None
    process.join()


def summed(found: dict[str, list[Tally]]) -> list[dict]:
    """A row a reader: cases and seconds of each engine, different findings of both."""
    by_reader: dict[str, dict] = {}
    for engine, listed in found.items():
        for tally in listed:
            row = by_reader.setdefault(
                tally.reader, {"reader": tally.reader, "comes_in": tally.what, "findings": []}
            )
            row[engine] = {"cases": tally.cases, "seconds": tally.seconds}
            row["findings"] += [one for one in tally.findings if one not in row["findings"]]
    return list(by_reader.values())


def table(rows: list[dict]) -> Table:
    """Reader, where its format comes in, cases, CPU seconds, findings."""
    cells = []
    for row in [*rows, _total(rows)]:
        engines = [row[engine] for engine in ENGINES if engine in row]
        cases, seconds = (sum(one[what] for one in engines) for what in ("cases", "seconds"))
        cells.append(
            [row["reader"], row["comes_in"], f"{cases:,}", f"{seconds:.0f}", str(len(row["findings"]))]
        )
    return Table("Hostile input", ["reader", "comes in", "cases", "CPU s", "findings"], cells)


def _total(rows: list[dict]) -> dict:
    total = {"reader": "all", "comes_in": "", "findings": [one for row in rows for one in row["findings"]]}
    for engine in ENGINES:
        parts = [row[engine] for row in rows if engine in row]
        total[engine] = {what: sum(part[what] for part in parts) for what in ("cases", "seconds")}
    return total


def main() -> None:
    """The command."""
    parser = make_parser(__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="in all")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="one of them alone")
    parser.add_argument("--reader", action="append", default=[], metavar="NAME", help="these readers alone")
    parser.add_argument("--keep", type=Path, help="folder for the cases that show findings")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    prepare(given.threads)
    logging.disable(logging.CRITICAL)
    engines = given.engine or ENGINES
    for engine in engines:
        if importlib.util.find_spec(engine) is None:
            raise UserError(f"--engine {engine}: pip install 'fairseq-vhm[fuzz]' (atheris: Linux on x86-64)")
    number = len(given.reader) or _number_of_readers()
    each = -(-given.cases // (number * len(engines)))
    found: dict[str, list[Tally]] = {}
    for engine in engines:
        found[engine] = []
        for tally in tallies(engine, given.reader, each, given.seed, given.keep):
            found[engine].append(tally)
            print(f"{engine}: {tally.reader}: {tally.cases:,} cases, {tally.seconds:.0f} s", file=sys.stderr)
            for one in tally.findings:
                print(f"    {one['kind']}, {one['place']}: {ascii(one['detail'])[1:-1]}", file=sys.stderr)
    rows = summed(found)
    print(table(rows).plain())
    figures = {"cases": sum(row[e]["cases"] for row in rows for e in engines), "readers": rows}
    write_json(given.json, __file__, figures, given.threads)
    if any(row["findings"] for row in rows):
        sys.exit(1)


def _number_of_readers() -> int:
    """How many there are, counted where loading them instruments nothing here."""
    receiver, sender = _fork.Pipe(duplex=False)
    process = _fork.Process(target=lambda: sender.send(len(load("hypothesis"))))
    process.start()
    number = receiver.recv()
    process.join()
    return number


if __name__ == "__main__":
    main()
