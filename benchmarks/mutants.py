"""Mutation testing: faults put into the code one at a time, and whether the unit tests notice.

    python benchmarks/mutants.py [--target latent ...] [--sample 40 [--seed 1]] [--json mutants.json]

A mutant is a module with one operator, comparison, constant, negation or ``min``/``max`` exchanged.  It lives
in memory alone: a process forks after torch and fairseq are imported, which takes seconds, imports the
mutated source in the module's place and runs the target's tests, up to the first that fails.  No file is
changed.
"""

import ast
import gc
import importlib
import importlib.machinery
import importlib.util
import os
import random
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import pytest

PRELOADED = (
    "fairseq.options fairseq.tasks fairseq.trainer fasttext hypothesis jieba nltk rouge_score.rouge_scorer "
    "sacrebleu scipy.stats torch._dynamo"
)
for imported in PRELOADED.split():  # once, before the forks
    importlib.import_module(imported)

program, sys.argv[0] = sys.argv[0], "vhm"  # under that name the package does not register: the forks do
from pairing import ROOT, make_parser, prepare, write_json  # noqa: E402

from fairseq_vhm.tables import Table  # noqa: E402

sys.argv[0] = program

CPU_SECONDS = 120  # of a mutant's tests; one that takes more has made a loop endless: noticed
WAIT = 20 * CPU_SECONDS  # for one that sleeps; a busy machine may make tests wait for long

UNIT = "tests/unit"
PYTEST = ["-x", "-n0", "--assert=plain", "-W", "ignore", f"--rootdir={ROOT}"]
UNUSED = ("cacheprovider", "hypothesispytest", "unraisableexception")
PYTEST += [part for plugin in UNUSED for part in ("-p", f"no:{plugin}")]
"""Nothing but the tests: without its plugins and its explanations pytest takes a tenth of the time."""

TARGETS: dict[str, tuple[list[str], list[str]]] = {
    "latent": (
        [f"latent/{name}.py" for name in ("gaussian", "annealing", "aggressive", "bundle", "losses")],
        ["latent", "test_extremes.py", "test_elbo.py", "test_bag_of_words.py"],
    ),
    "sampler": (["data/sampling.py"], ["data/test_sampling.py"]),
    "criterion": (
        ["criterions/elbo.py", "criterions/faults.py", "criterions/collapse.py"],
        [
            *("test_logged_figures.py", "test_collapse_watch.py", "test_elbo.py", "test_bag_of_words.py"),
            *("test_fault_terms.py", "test_reconstruction.py", "test_token_loss.py"),
        ],
    ),
    "rouge": (["metrics/rouge.py"], ["metrics/test_rouge.py", "metrics/test_rouge155.py"]),
    "averages": (
        ["metrics/averages.py", "metrics/bootstrap.py"],
        ["metrics/test_averages.py", "metrics/test_bootstrap.py", "metrics/test_lase.py"],
    ),
    "moverscore": (["metrics/moverscore.py"], ["metrics/test_moverscore.py"]),
    "lase": (["metrics/lase.py"], ["metrics/test_lase.py"]),
    "length": (["metrics/length.py"], ["metrics/test_evaluation.py", "metrics/test_averages.py"]),
    "copying": (["metrics/copying.py"], ["metrics/test_copying.py"]),
    "offtarget": (["metrics/offtarget.py"], ["metrics/test_offtarget.py"]),
    "significance": (
        ["metrics/significance.py"],
        ["metrics/test_comparison.py", "metrics/test_significance.py"],
    ),
    "human_eval": (
        [f"human_eval/{name}.py" for name in ("agreement", "design", "ratings", "results")],
        ["human_eval"],
    ),
    "logs": (["report/logs.py"], ["report/test_report_logs.py"]),
}
"""Name -> modules below ``fairseq_vhm/`` and the tests, below ``tests/unit/``, that are to notice."""

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
COUNTED = ("mutants", "tried", "survived")
NAMES = {"min": "max", "max": "min", "amin": "amax", "amax": "amin", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One changed module: its file, the line, the statement before and after, and the whole source."""

    file: str
    line: int
    before: str
    after: str
    source: str


def changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Fields of a node, each with another value that changes what the code does."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield "ops", [COMPARISONS[type(node.ops[0])](), *node.ops[1:]]
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in OPERATORS:
        yield "op", OPERATORS[type(node.op)]()
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "op", ast.UAdd()
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "value", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "value", node.value + 1
    if isinstance(node, ast.Name) and node.id in NAMES:
        yield "id", NAMES[node.id]
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield "attr", NAMES[node.attr]
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "test", ast.UnaryOp(ast.Not(), node.test)


def _that_run(node: ast.AST) -> Iterator[ast.AST]:
    """The children of a node that do something when it runs; decorators say how its class is made."""
    skipped = {id(getattr(node, name, None)) for name in ("annotation", "returns")}
    skipped |= {id(decorator) for decorator in getattr(node, "decorator_list", [])}
    yield from (child for child in ast.iter_child_nodes(node) if id(child) not in skipped)


def _walk(node: ast.AST, statement: ast.stmt | None = None) -> Iterator[tuple[ast.AST, ast.stmt]]:
    if isinstance(node, ast.stmt):
        statement = node
    if statement is not None:
        yield node, statement
    for child in _that_run(node):
        yield from _walk(child, statement)


def mutants_of(file: str) -> list[Mutant]:
    """All mutants of a module, in the order of the source."""
    tree = ast.parse((ROOT / "fairseq_vhm" / file).read_text(encoding="utf-8"))
    found = []
    for node, statement in _walk(tree):
        for name, other in changes(node):
            before, original = _first_line(statement), getattr(node, name)
            setattr(node, name, other)
            source = ast.unparse(ast.fix_missing_locations(tree))
            found.append(Mutant(file, node.lineno, before, _first_line(statement), source))
            setattr(node, name, original)
    return found


def _first_line(statement: ast.stmt) -> str:
    """A statement in a line; of a compound one its head."""
    lines = ast.unparse(statement).splitlines()
    return lines[0] if len(lines) == 1 or hasattr(statement, "body") else " ".join(map(str.strip, lines))


class _Mutated(importlib.machinery.SourceFileLoader):
    source: str

    def get_code(self, fullname):
        return compile(self.source, self.path, "exec")


class _Finder:
    """Finds one module, with another source than its file's."""

    def __init__(self, mutant: Mutant):
        self.name = "fairseq_vhm." + mutant.file.removesuffix(".py").replace("/", ".")
        self.loader = _Mutated(self.name, str(ROOT / "fairseq_vhm" / mutant.file))
        self.loader.source = mutant.source

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self.loader) if name == self.name else None


def run_tests(tests: list[str], mutant: Mutant | None) -> int:
    """pytest's exit status in this process, which is a fork: 0 if all tests pass."""
    for name in [name for name in sys.modules if name.split(".")[0] == "fairseq_vhm"]:
        del sys.modules[name]
    if mutant is not None:
        sys.meta_path.insert(0, _Finder(mutant))
    sys.argv = ["pytest"]
    paths = [str(ROOT / UNIT / test) for test in tests]
    return pytest.main([*PYTEST, *paths])


def in_a_fork(call: Callable[[], int]) -> bool:
    """Whether a call ends with 0, in a process of its own, without a word and in time."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        signal.alarm(WAIT)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os._exit(int(call()))
    _, status = os.waitpid(child, 0)
    return status == 0


def survivors(name: str, sample: int | None, seed: int) -> dict:
    """A target's mutants: how many there are, how many were tried, and those that no test noticed."""
    files, tests = TARGETS[name]
    everything = [mutant for file in files for mutant in mutants_of(file)]
    chosen = everything
    if sample is not None and sample < len(everything):
        chosen = random.Random(f"{seed} {name}").sample(everything, sample)
    if not in_a_fork(lambda: run_tests(tests, None)):
        raise SystemExit(f"{name}: its tests fail without a mutant: {', '.join(tests)}")
    alive = [mutant for mutant in chosen if in_a_fork(lambda m=mutant: run_tests(tests, m))]
    shown = [{k: v for k, v in asdict(mutant).items() if k != "source"} for mutant in alive]
    return {"mutants": len(everything), "tried": len(chosen), "survived": shown}


def main() -> None:
    """The command."""
    parser = make_parser(__doc__, rounds=None)
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all")
    parser.add_argument("--sample", type=int, help="mutants of each target; default: all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    given = parser.parse_args()
    prepare(given.threads)
    gc.freeze()  # what the forks share is left as it is
    figures = {}
    for name in given.target or TARGETS:
        figures[name] = survivors(name, given.sample, given.seed)
        for one in figures[name]["survived"]:
            print(f"{one['file']}:{one['line']}: {one['before']}  ->  {one['after']}", flush=True)
    write_json(given.json, __file__, {"targets": figures}, given.threads)
    counts = [[name, *map(str, _counts(found))] for name, found in figures.items()]
    total = map(sum, zip(*map(_counts, figures.values()), strict=True))
    print(Table("Mutants", ["target", *COUNTED], [*counts, ["all", *map(str, total)]]).plain())


def _counts(found: dict) -> tuple[int, int, int]:
    return found["mutants"], found["tried"], len(found["survived"])


if __name__ == "__main__":
    main()
