"""From raw corpora to the folder that ``cross_lingual_summarization`` trains on.

``OUT/{cls,mt,ms}/`` hold what ``fairseq-preprocess`` makes, with one joined dictionary in all of
them; ``OUT/text/TASK.SPLIT.LANG`` the held-out texts as they came, for scoring; ``OUT/spm.model``
and ``OUT/manifest.json`` what inference needs and how all of it was made; ``OUT/findings.txt`` a
line for each text that was left out and each training pair that is also held out.
"""

import shutil
from functools import partial
from pathlib import Path

from preprocess.build import COUNTS, RAW, SEGMENTED, Builder
from preprocess.collect import collect_split, read_collected
from preprocess.corpus import Corpus
from preprocess.duplicates import HeldOut
from preprocess.parts import TextPart
from preprocess.progress import Progress
from preprocess.run import FINDINGS_NAME, Recipe, run
from preprocess.settings import TrioSettings
from preprocess.workspace import Workspace

FORMAT_VERSION = 1
TEXT = "text"
_FINDINGS = "findings"
_INTERMEDIATE = (RAW, SEGMENTED, COUNTS, _FINDINGS)


def prepare_trio(
    settings: TrioSettings, out: Path, workers: int, overwrite: bool, progress: Progress
) -> tuple[dict, bool]:
    """Prepare ``out``; returns its manifest and whether anything had to be done.

    Raises:
        UserError: anything wrong with settings, inputs, or ``out``.
    """
    corpora = settings.open_corpora()
    files = [path for corpus in corpora for path in corpus.files()] + settings.reused_files()
    make = partial(_make, settings, corpora, workers)
    recipe = Recipe(settings, list(dict.fromkeys(files)), (FORMAT_VERSION,), _INTERMEDIATE, make)
    return run(recipe, out, overwrite, progress)


def _make(settings: TrioSettings, corpora: list[Corpus], workers: int, work: Workspace) -> dict:
    """All stages; returns the manifest's account of them."""
    collected = _collect(settings, corpora, work)
    parts = [_part(corpus, split) for corpus in corpora for split in corpus.splits]
    pairs = {name: result["pairs"] for name, result in collected.items()}
    built = Builder(settings, parts, pairs, work, workers).build()
    _keep_texts(parts, work)
    sides = built.pop("sides")
    tasks: dict[str, dict] = {}
    for part in parts:
        source, target = ({"suffix": side.suffix} | sides[side.name] for side in part.sides)
        account = collected[part.name] | {"source": source, "target": target}
        tasks.setdefault(part.task, {})[part.split] = account
    return built | {"tasks": tasks}


def _part(corpus: Corpus, split: str) -> TextPart:
    return TextPart(corpus.task, split, corpus.request.suffixes)


def _collect(settings: TrioSettings, corpora: list[Corpus], work: Workspace) -> dict[str, dict]:
    """Collect every part; held-out ones first, so that the others can be held against them."""
    held_out = HeldOut()
    results = {}
    for split in ("valid", "test", "train"):
        present = [corpus for corpus in corpora if split in corpus.splits]
        for corpus in present:
            part = _part(corpus, split)
            results[part.name] = work.stage(
                f"collect {part.name}",
                partial(_collect_part, settings, corpus, part, held_out, work),
            )
        if split != "train":
            for corpus in present:
                part = _part(corpus, split)
                for pair in read_collected(_raw_files(part, work)):
                    held_out.add(pair, part.name)
    return results


def _collect_part(
    settings: TrioSettings, corpus: Corpus, part: TextPart, held_out: HeldOut, work: Workspace
) -> dict:
    return collect_split(
        corpus,
        part.split,
        _raw_files(part, work),
        work.path(_FINDINGS, part.name),
        settings.on_error,
        work.progress,
        against=held_out,
        drop_duplicates=part.is_training and settings.dedup == "drop",
    )


def _raw_files(part: TextPart, work: Workspace) -> tuple[Path, Path]:
    source, target = (work.path(RAW, side.name) for side in part.sides)
    return source, target


def _keep_texts(parts: list[TextPart], work: Workspace) -> None:
    """Held-out texts and findings stay beside the binaries."""
    with work.path(FINDINGS_NAME).open("wb") as findings:
        for part in parts:
            findings.write(work.path(_FINDINGS, part.name).read_bytes())
            if not part.is_training:
                for raw in _raw_files(part, work):
                    shutil.copyfile(raw, work.path(TEXT, raw.name))
