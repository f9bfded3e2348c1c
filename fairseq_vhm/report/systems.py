"""What a run is called and which runs are one system: read from its settings, never from its folder.

Names are those of the paper (Liang et al., ACL 2022; its Table 5 for the ablations); settings that it
does not name give a name made of their flags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairseq_vhm.names import TASKS
from fairseq_vhm.report.runs import Run

FULL, BASELINE = "VHM", "MT-MS-CLS"
VHM_ARCHITECTURES = ("vhm_transformer", "vhm_mbart")
MBART = "vhm_mbart"

ABLATIONS = (
    (("mt", "ms", "cls"), True, FULL),
    (("ms", "cls"), True, "w/o z_mt"),
    (("mt", "cls"), True, "w/o z_ms"),
    (("cls",), True, "w/o z_mt & z_ms"),
    (("mt", "ms"), True, "w/o z_cls"),
    (("mt", "ms", "cls"), False, "w/o hierarchy"),
)
"""Rows 0 (the full model) to 5 of Table 5: latents, whether there is a hierarchy, name."""

Kind = tuple[frozenset[str], bool, tuple[str, ...]]
"""Latents, whether they form a hierarchy, and tasks."""
THE_PAPERS = ("cls", "mt", "ms")  # tasks
NAMED: dict[Kind, str] = {
    (frozenset(), True, THE_PAPERS): BASELINE,
    (frozenset(), True, ("cls",)): "TNCLS",
}
NAMED |= {(frozenset(latents), hierarchy, THE_PAPERS): name for latents, hierarchy, name in ABLATIONS}

DECODER_A_TASK: dict[tuple[str, ...], str] = {
    ("cls", "ms"): "MS-CLS",  # Zhu et al. (2019)
    ("cls", "mt"): "MT-CLS",
}

ARCHITECTURES = {"ats_transformer": "ATS", "ms_cls_rec_transformer": "MS-CLS-Rec"}

ORDER = ("TNCLS", "MS-CLS", "MT-CLS", "ATS-A", "MS-CLS-Rec", BASELINE, FULL)
"""The order of the rows of Tables 2-4; what is not named comes before :data:`BASELINE`."""

SHOWN_DIFFERENCES = 3


@dataclass(frozen=True)
class System:
    """Runs of one configuration that differ in their seeds alone.

    ``fraction`` is the share of the CLS training pairs (``--cls-fraction``).
    """

    name: str
    runs: Sequence[Run]
    fraction: float = 1.0

    @property
    def label(self) -> str:
        """The name, with the share of the training pairs where it is not all."""
        return self.name if self.fraction == 1 else f"{self.name}, {percent(self.fraction)} of CLS"


def percent(share: float) -> str:
    return f"{100 * share:g} %"


def base_name(run: Run) -> str:
    """The name of a run by its settings; by its folder where nothing is known of them."""
    if run.override.name:
        return run.override.name
    if not run.checkpoint:
        return run.name
    settings = run.settings
    name = _name_of_settings(settings)
    if settings.get("language_sampling"):
        name = _name_of_directions(name, settings)
    return f"{name}, fine-tuned" if settings.get("finetune_from_model") else name


def _name_of_directions(name: str, settings: Mapping) -> str:
    """A model of many languages: its directions and how they were sampled."""
    pairs = str(settings.get("pairs") or "*")
    directions = "many-to-many" if pairs == "*" else pairs
    return f"{'Transformer' if name == 'TNCLS' else name} {directions}, {settings['language_sampling']}"


def _name_of_settings(settings: Mapping) -> str:
    arch = str(settings.get("arch"))
    if not arch.startswith(VHM_ARCHITECTURES):
        return _by_architecture(arch, settings)
    if settings.get("pretraining_tasks"):
        return f"pre-training on {settings['pretraining_tasks']}"
    if settings.get("decoders") == "task":
        return _with_a_decoder_a_task(arch, settings)
    name = NAMED.get(_kind(settings)) or _by_flags(arch, settings)
    if arch.startswith(MBART) and "--" not in name:
        name = f"{name} + mBART"
    return f"{name}, as released{_own_loss(settings)}" if settings.get("released_code_compat") else name


def _own_loss(settings: Mapping) -> str:
    """The KL of ``--released-code-compat`` in sums, as runs have it that asked for it, or are older."""
    return " but --kl-normalization sum" if settings.get("kl_normalization") == "sum" else ""


def ablation_row(run: Run) -> int | None:
    """The row of Table 5 that a run is, by its settings."""
    arch = str(run.settings.get("arch"))
    kinds: list[Kind] = [(frozenset(latents), hierarchy, THE_PAPERS) for latents, hierarchy, _ in ABLATIONS]
    if not arch.startswith(VHM_ARCHITECTURES) or _kind(run.settings) not in kinds:
        return None
    return kinds.index(_kind(run.settings))


def group(runs: Sequence[Run]) -> list[System]:
    """Systems in the order of the tables; equal names of unlike settings are told apart."""
    grouped: dict[tuple, list[Run]] = {}
    for run in runs:
        grouped.setdefault(_key(run), []).append(run)
    systems = [System(base_name(runs[0]), runs, _fraction(runs[0])) for runs in grouped.values()]
    told_apart = [System(_distinct(one, systems), one.runs, one.fraction) for one in systems]
    return sorted(told_apart, key=lambda one: (rank(one), one.name, one.fraction))


def _kind(settings: Mapping) -> Kind:
    """Latents, whether they form a hierarchy, and tasks."""
    latents = frozenset(_listed(settings.get("latents"))) - {"none"}
    tasks = _listed(settings.get("tasks"))
    return latents, not settings.get("no_hierarchy"), tuple(task for task in TASKS if task in tasks)


def _listed(names: object) -> list[str]:
    return str(names or "").replace(" ", "").split(",")


def _by_architecture(arch: str, settings: Mapping) -> str:
    """ATS-N, -E, -A by their strategy, MS-CLS-Rec; else the architecture's own name."""
    name = ARCHITECTURES.get(arch.removesuffix("_tiny"), arch)
    strategy = str(settings.get("translation_strategy", "adaptive"))
    return f"{name}-{strategy[0].upper()}" if name == "ATS" else name


def _with_a_decoder_a_task(arch: str, settings: Mapping) -> str:
    latents, _, tasks = _kind(settings)
    known = DECODER_A_TASK.get(tasks) if not latents else None
    return known or f"{_by_flags(arch, settings)} --decoders task"


def _by_flags(arch: str, settings: Mapping) -> str:
    flags = [f"--latents {settings.get('latents')}"]
    flags += ["--no-hierarchy"] if settings.get("no_hierarchy") else []
    tasks = settings.get("tasks")
    flags += [f"--tasks {tasks}"] if _kind(settings)[2] != THE_PAPERS else []
    return " ".join([arch, *flags])


def _configuration(run: Run) -> Mapping[str, object]:
    return run.checkpoint.configuration if run.checkpoint else {}


def _fraction(run: Run) -> float:
    return float(str(run.settings.get("cls_fraction", 1.0)))


def _key(run: Run) -> tuple:
    known = tuple(sorted(_configuration(run).items())) or (run.override.name or run.name,)
    return base_name(run), _fraction(run), known


def _distinct(system: System, systems: Sequence[System]) -> str:
    """The system's name, with the few settings (else its run) that tell it from others of that name."""
    namesakes = [
        one for one in systems if (one.name, one.fraction) == (system.name, system.fraction)
    ]
    if len(namesakes) < 2:
        return system.name
    settings = [_configuration(one.runs[0]) for one in namesakes]
    keys = sorted({key for one in settings for key in one})
    unlike = [key for key in keys if len({one.get(key) for one in settings}) > 1]
    own = _configuration(system.runs[0])
    if not 0 < len(unlike) <= SHOWN_DIFFERENCES:
        return f"{system.name} ({system.runs[0].name})"
    shown = [f"{key}={own.get(key, '?')}".replace("'", "") for key in unlike]
    return f"{system.name} ({', '.join(shown)})"


def rank(system: System) -> float:
    """Its place among the rows of a table: the paper's order, the ablations last."""
    row = ablation_row(system.runs[0])
    if row:
        return len(ORDER) + row
    unnamed = ORDER.index(BASELINE) - 0.5
    known = [place for place, name in enumerate(ORDER) if system.name.split(" (")[0] == name]
    return known[0] if known else len(ORDER) + 0.5 if row == 0 else unnamed
