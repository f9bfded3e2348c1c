"""What a study shows, read from files: the systems' outputs, their sources and references."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.outputs import read_pairs
from fairseq_vhm.metrics.pieces import PostProcess

LABELS = ascii_uppercase


@dataclass(frozen=True)
class System:
    """One system: its name, the file of its outputs, and how that file's pieces are joined."""

    name: str
    path: Path
    post_process: PostProcess = "none"


@dataclass(frozen=True)
class Material:
    """Texts of a whole test set, line by line (N lines).

    ``outputs`` holds N texts for each system; ``sources`` and ``references`` (several a line) are
    ``None`` where annotators are not to see them.
    """

    outputs: dict[str, list[str]]
    sources: list[str] | None
    references: list[list[str]] | None

    def ratable(self) -> list[int]:
        """Lines (from 0) whose source and references, as far as shown, are not blank."""
        count = len(next(iter(self.outputs.values())))
        shown = [part for part in (self.sources, self.references) if part is not None]
        return [line for line in range(count) if all("".join(part[line]).strip() for part in shown)]


def parse_systems(listed: Sequence[str], post_process: Sequence[PostProcess] = ()) -> list[System]:
    """Systems of ``--hyp [NAME=]FILE``; without a name, the file's name without its ending.

    Args:
        listed: the values of ``--hyp``.
        post_process: one for all systems, or one for each; none is ``none``.

    Raises:
        UserError: for names that are empty or double, and for more systems than there are labels.
    """
    if len(post_process) not in (0, 1, len(listed)):
        raise UserError(
            f"--post-process: given {len(post_process)} times for {len(listed)} --hyp;"
            " give it once, or once for each"
        )
    each = post_process if len(post_process) > 1 else [*post_process, "none"][:1] * len(listed)
    systems = [_parse_system(text, how) for text, how in zip(listed, each, strict=True)]
    if len(systems) > len(LABELS):
        raise UserError(f"--hyp: {len(systems)} systems; at most {len(LABELS)} can be labelled")
    names = [system.name for system in systems]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise UserError(f"--hyp: two systems are called '{double}'; name them, as in --hyp NAME=FILE")
    return systems


def _parse_system(text: str, post_process: PostProcess) -> System:
    name, equals, file = text.partition("=")
    if not equals or Path(text).is_file():
        name, file = Path(text).stem, text
    if not name.strip() or not file:
        raise UserError(f"--hyp {text}: not NAME=FILE or FILE")
    return System(name.strip(), Path(file), post_process)


def read_material(
    systems: Sequence[System], source: Path | None, reference: Path | None, lang: str
) -> Material:
    """Read all files of a study.

    Args:
        systems: whose outputs are rated.
        source: plain lines, or ``None``.
        reference: lines or ``.jsonl`` (:func:`~fairseq_vhm.metrics.outputs.read_pairs`), or ``None``.
        lang: language of outputs and reference.

    Raises:
        UserError: where neither source nor reference is given, files do not fit each other, or a
            system has the same outputs as another or as the reference throughout.
    """
    if source is None and reference is None:
        raise UserError("annotators need something to judge by: give --src FILE, --ref FILE or both")
    if source is not None and source.suffix == ".jsonl":
        raise UserError(f"--src {source}: give the sources as plain text, one a line")
    outputs: dict[str, list[str]] = {}
    shown: dict[Path, list[list[str]]] = {}
    for system in systems:
        for path in filter(None, (source, reference)):
            outputs[system.name], shown[path] = read_pairs(
                system.path, [path], lang, system.post_process
            )
    sources = [texts[0] for texts in shown[source]] if source else None
    material = Material(outputs, sources, shown[reference] if reference else None)
    _check_different(material)
    return material


def same_text(text: str) -> str:
    """What two texts share that look the same: ``text`` with every run of blanks as one."""
    return " ".join(text.split())


def _check_different(material: Material) -> None:
    seen: dict[tuple[str, ...], str] = {}
    if material.references is not None:
        seen[tuple(same_text(texts[0]) for texts in material.references)] = "the reference that is shown"
    for name, outputs in material.outputs.items():
        other = seen.setdefault(tuple(map(same_text, outputs)), name)
        if other != name:
            raise UserError(f"--hyp {name}: the same texts as {other}; leave one of the two out")
