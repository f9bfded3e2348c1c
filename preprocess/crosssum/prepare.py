"""From JSONL of many languages to the corpus that ``many_to_many_summarization`` trains on.

``OUT`` holds what :mod:`fairseq_vhm.data.corpus_layout` describes, ``spm.model``, ``manifest.json`` (how all
of it was made, and what inference needs) and ``findings.txt``: a line for each row that was left out, each
leak and each contradiction.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fairseq_vhm.data.corpus_layout import FORMAT, PAIRS, TEXTS
from fairseq_vhm.data.corpus_writer import write_info
from fairseq_vhm.errors import UserError
from preprocess.crosssum.build import COUNTS, CorpusBuilder
from preprocess.crosssum.collect import RAW, READING_ORDER, Collector
from preprocess.crosssum.rows import read_rows
from preprocess.crosssum.settings import CrossSumSettings
from preprocess.progress import Progress
from preprocess.records import Pair, Problem
from preprocess.run import FINDINGS_NAME, Recipe, run
from preprocess.workspace import Workspace

_INTERMEDIATE = (RAW, COUNTS)


def prepare_crosssum(
    settings: CrossSumSettings, out: Path, workers: int, overwrite: bool, progress: Progress
) -> tuple[dict, bool]:
    """Prepare ``out``; returns its manifest and whether anything had to be done.

    Raises:
        UserError: anything wrong with settings, inputs, or ``out``.
    """
    files = [path for paths in settings.paths.values() for path in paths] + settings.reused_files()
    make = partial(_make, settings, workers)
    recipe = Recipe(settings, list(dict.fromkeys(files)), ("crosssum", FORMAT), _INTERMEDIATE, make)
    return run(recipe, out, overwrite, progress)


def _make(settings: CrossSumSettings, workers: int, work: Workspace) -> dict:
    """All stages; returns the manifest's account of them."""
    for name in (TEXTS, PAIRS, RAW):
        (work.folder / name).mkdir(exist_ok=True)
    collected = work.stage("read", lambda: _collect(settings, work))
    built = CorpusBuilder(settings, collected["languages"], work, workers).build()
    texts = built.pop("texts")
    languages = {
        language: {"own": counts["own"]} | texts[language]
        for language, counts in collected["languages"].items()
    }
    segmenter = "mt5" if settings.mt5 else "sentencepiece"
    write_info(work.folder, languages, collected["splits"], segmenter)
    return built | {"languages": languages, "splits": collected["splits"]}


def _collect(settings: CrossSumSettings, work: Workspace) -> dict:
    """Read all splits; ``languages`` and ``splits`` with their counts."""
    with work.path(FINDINGS_NAME).open("w", encoding="utf-8", newline="\n") as findings:
        collector = Collector(work.folder, findings, settings.on_error, settings.dedup == "drop")
        splits = {}
        for split in (split for split in READING_ORDER if split in settings.files):
            work.progress.stage(f"read {split}")
            splits[split] = collector.collect(split, _rows(settings, split), work.progress)
        languages = collector.close()
    if settings.dedup == "stop" and (leaks := splits.get("train", {}).get("leaks")):
        _refuse_leaks(leaks, splits["train"]["rows"], collector.first_leak or "")
    return {"languages": languages, "splits": {split: splits[split] for split in settings.files}}


def _rows(settings: CrossSumSettings, split: str) -> Iterator[Pair | Problem]:
    for path in settings.paths[split]:
        yield from read_rows(path, settings.languages)


def _refuse_leaks(leaks: dict[str, int], rows: int, first: str) -> None:
    """End the run; ``first`` is where the first leak of training stands."""
    counted = ", ".join(f"{number:,} by {what}" for what, number in leaks.items())
    raise UserError(
        f"{first}: the first of {sum(leaks.values()):,} of {rows:,} training rows that are also "
        f"held out ({counted}): leave them out with --dedup drop, or keep them with --dedup report"
    )
