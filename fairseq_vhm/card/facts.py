"""What is known of a trained model: from its checkpoint, its data's folder and files of scores."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fairseq_vhm.card.labels import check_label, check_path, last_part
from fairseq_vhm.card.papers import Paper, followed
from fairseq_vhm.card.settings import choice, differing
from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json
from fairseq_vhm.report.checkpoint import Checkpoint, read_checkpoint
from fairseq_vhm.report.runs import Run, Scores, read_scores
from fairseq_vhm.report.systems import ABLATIONS, ablation_row, base_name
from fairseq_vhm.report.texts import find_data, languages_of
from fairseq_vhm.text.segment import MANIFEST_NAME

TRIO, MANY = "cross_lingual_summarization", "many_to_many_summarization"
SIGNATURE = SYSTEM = 2000
"""The longest of these; a system's name lists the pairs of languages that it was trained on."""
ROOTED_PATH = re.compile(r"(?<![\w.-])[/~][\w.-]|\\")
CHOSEN = ("criterion", "optimizer", "lr_scheduler")


@dataclass(frozen=True)
class Data:
    """The folder trained from; ``pairs`` by task and split.  What it does not say is left empty."""

    name: str
    languages: Sequence[str] = ()
    direction: tuple[str, str] | None = None
    pairs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    spm_model: str | None = None


@dataclass(frozen=True)
class Facts:
    """All that a card says; texts in it are checked labels."""

    name: str
    system: str
    ablation: str | None
    checkpoint: Checkpoint
    data: Data
    chosen: Mapping[str, str]
    metric: str
    differing: Mapping[str, object]
    scores: Sequence[Scores]

    @property
    def settings(self) -> Mapping[str, object]:
        return self.checkpoint.settings

    @property
    def best(self) -> float | None:
        """The best value of ``metric`` in validation; ``None`` where there was none."""
        best = self.checkpoint.best
        return best if best is not None and math.isfinite(best) else None

    @property
    def task(self) -> str:
        """The task of fairseq's, such as ``cross_lingual_summarization``."""
        return str(task_of(self.checkpoint))

    @property
    def latents(self) -> list[str]:
        """``z_mt``, ``z_ms``, ``z_cls`` as far as the model has them, then those of a plugin."""
        named = _listed(self.settings.get("latents"))
        known = [name for name in ("mt", "ms", "cls") if name in named]
        further = [name for name in named if name not in known and name != "none"]
        return [f"z_{name}" for name in known + further]

    @property
    def tasks(self) -> list[str]:
        """What was learned: ``cls``, ``mt``, ``ms``."""
        return _listed(self.settings.get("tasks"))

    @property
    def papers(self) -> list[Paper]:
        """The papers that the model follows, its system's first."""
        return followed(self.settings, self.latents, self.tasks, self.task == MANY)


def gather(path: Path, scores: Sequence[Path], name: str | None, data: Path | None) -> Facts:
    """Read everything.

    Raises:
        UserError: a file that is missing or not what it should be, a model of another task than the plugin's,
            or a name that would break the card.
    """
    checkpoint = _read(path)
    run = Run(last_part(path.stem), checkpoint=checkpoint)
    system = check_label(base_name(run), f"{path}: its settings give the name", SYSTEM)
    row = ablation_row(run)
    for latent in _listed(checkpoint.settings.get("latents")):
        check_label(latent, "--latents")
    return Facts(
        check_label(name, "--name") if name is not None else system,
        system,
        f"row {row} of Table 5 ({ABLATIONS[row][2]})" if row else None,
        checkpoint,
        _data(run, path, data),
        _chosen(checkpoint),
        _metric(checkpoint),
        _differing(checkpoint),
        [_scores(one) for one in scores],
    )


def _listed(names: object) -> list[str]:
    """What a setting names, joined by commas."""
    return [name for name in str(names or "").replace(" ", "").split(",") if name]


def _differing(checkpoint: Checkpoint) -> dict[str, object]:
    try:
        return differing(checkpoint)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{checkpoint.path}: settings that no flag gives ({error})") from error


def task_of(checkpoint: Checkpoint) -> object:
    """The task's name; a checkpoint of the older form has it among the model's settings."""
    return checkpoint.settings.get("task_name") or checkpoint.settings.get("task")


def _read(path: Path) -> Checkpoint:
    if not check_path(path, "CHECKPOINT").is_file():
        raise UserError(f"{path}: no such file; give a checkpoint such as checkpoint_best.pt")
    import fairseq_vhm

    fairseq_vhm.register()
    from fairseq.models import ARCH_CONFIG_REGISTRY

    checkpoint = read_checkpoint(path).checked()
    task, arch = task_of(checkpoint), str(checkpoint.settings["arch"])
    if task not in (TRIO, MANY):
        raise UserError(f"{path}: its task is {ascii(task)}; give a model of {TRIO} or {MANY}")
    if arch not in ARCH_CONFIG_REGISTRY:
        raise UserError(f"{path}: its architecture {ascii(arch)} is unknown; use the version that made it")
    return checkpoint


def _metric(checkpoint: Checkpoint) -> str:
    """The metric that chose the run's best checkpoint."""
    named = str(checkpoint.settings.get("best_checkpoint_metric", "loss"))
    return check_label(named, "--best-checkpoint-metric")


def _chosen(checkpoint: Checkpoint) -> dict[str, str]:
    """Criterion, optimizer and learning-rate schedule by name."""
    named = {section: choice(section, checkpoint) for section in CHOSEN}
    return {section: check_label(name, f"--{section}") for section, name in named.items() if name}


def _data(run: Run, path: Path, given: Path | None) -> Data:
    """The data by the folder given, else the one that the settings name, if it is still there."""
    if given is not None and not given.is_dir():
        raise UserError(f"--data {ascii(str(given))}: no such folder; give the one that was trained from")
    folder = given or find_data(run, path.parent)
    named = given.resolve() if given else run.settings.get("data") or "DATA"
    name = check_label(last_part(named), "--data" if given else f"{path}: trained from")
    if run.checkpoint and task_of(run.checkpoint) == MANY:
        return _many(folder, name)
    direction = languages_of(run, folder)
    manifest = _manifest(folder)
    source, target = direction
    if source is None or target is None:
        return Data(name)
    for suffix in (source, target):
        check_label(suffix, f"{name}: its language")
    return Data(name, (source, target), (source, target), _pairs(manifest), _spm_model(manifest, folder))


def _many(folder: Path | None, name: str) -> Data:
    """Languages and pairs of a corpus of many languages; nothing where it is none."""
    from fairseq_vhm.data.corpus import Corpus

    try:
        corpus = Corpus.open(folder) if folder else None
    except UserError:
        corpus = None
    if corpus is None:
        return Data(name)
    pairs = {split: len(corpus.pairs(split)) for split in corpus.splits}
    spm_model = _spm_model(_manifest(folder), folder)
    return Data(name, corpus.languages, None, {"cls": pairs}, spm_model)


def _manifest(folder: Path | None) -> dict:
    """What ``vhm prepare`` said of a folder; empty where it did not."""
    try:
        manifest = parse_json((folder / MANIFEST_NAME).read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _pairs(manifest: Mapping) -> dict[str, dict[str, int]]:
    """Pairs by task and split, in the order of the tasks."""
    try:
        counts = {
            task: {split: int(account["pairs"]) for split, account in manifest["tasks"][task].items()}
            for task in ("cls", "mt", "ms")
            if task in manifest["tasks"]
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    return counts


def _spm_model(manifest: Mapping, folder: Path | None) -> str | None:
    """The name of the folder's SentencePiece model, if its texts were cut by one."""
    segmentation = manifest.get("segmentation")
    named = segmentation.get("model") if isinstance(segmentation, dict) else None
    if folder is None or not isinstance(named, str) or named != last_part(named):
        return None
    return check_label(named, f"{MANIFEST_NAME}: its model") if (folder / named).is_file() else None


def _scores(path: Path) -> Scores:
    """A file of scores whose figures are finite numbers, each with its signature.

    Raises:
        UserError: it is none.
    """
    check_path(path, "--scores")
    if not path.is_file():
        raise UserError(f"--scores {path}: no such file; give what `vhm score --json` wrote")
    try:
        scores = read_scores(path)
    except UserError as error:
        raise UserError(f"--scores {path}: {error}") from error
    figures = [figure for parts in scores.metric.values() for figure in parts.values()]
    whole = scores.metric.keys() == scores.signature.keys()
    if not figures or not whole or not all(map(_is_figure, figures)):
        raise UserError(f"--scores {path}: not what `vhm score --json` wrote; give figures with signatures")
    for name, parts in scores.metric.items():
        for label in (name, *parts, *(scores.languages or ())):
            check_label(str(label), f"--scores {path}")
        _check_signature(scores.signature[name], path)
    return scores


def _is_figure(figure: object) -> bool:
    return isinstance(figure, int | float) and not isinstance(figure, bool) and math.isfinite(figure)


def _check_signature(text: object, path: Path) -> None:
    plain = isinstance(text, str) and text.isprintable() and "`" not in text and len(text) <= SIGNATURE
    if not plain or ROOTED_PATH.search(str(text)):
        raise UserError(f"--scores {path}: signature {ascii(text)[:80]} is not one of `vhm score`'s")
