"""A whole pipeline: two steps over a file of documents, in chunks, going on where it was interrupted.

Of the VHM paper's baselines (Liang et al., ACL 2022; from Zhu et al., EMNLP 2019) GETran translates the
document and takes the central sentences by LexRank, GLTran summarises and translates the summary, both with
Google's translator; CrossSum's baseline (Bhattacharjee et al., ACL 2023) summarises, then translates.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.documents import Document
from fairseq_vhm.pipeline.folder import RunFolder
from fairseq_vhm.pipeline.huggingface import HuggingFaceModel
from fairseq_vhm.pipeline.lexrank import LexRank
from fairseq_vhm.pipeline.lines import Seen, chunks, examine, spool
from fairseq_vhm.pipeline.models import TextModel, is_language
from fairseq_vhm.pipeline.settings import (
    TRANSLATE,
    AnyModelSettings,
    HuggingFaceSettings,
    PipelineSettings,
)
from fairseq_vhm.pipeline.steps import Extract, Step, Summarize, Translate
from fairseq_vhm.text.symbols import language_of

STDIN = "-"

Load = Callable[[], list[Document]]
"""The documents of a chunk, read when they are needed."""


def run_pipeline(settings: PipelineSettings, overwrite: bool, progress: Any) -> tuple[dict, bool]:
    """Do what is left of a run.

    Args:
        overwrite: begin anew, whatever the folder holds of an earlier run.
        progress: a ``preprocess.progress.Progress``.

    Returns:
        The report, and whether anything had to be done.

    Raises:
        UserError: bad input, checkpoints or settings, or a folder of another run.
    """
    for _, _, model in settings.stages:
        if model is not None:
            model.check()
    folder = RunFolder(settings.out)
    with folder.locked():
        source = _Source.of(settings.input, folder.work / "stdin.txt")
        progress.stage("read checkpoints")
        folder.claim(_made_of(settings, source.seen), overwrite)
        done = folder.report
        if done is not None:
            folder.tidy()
            return done, False
        return _Run(settings, folder, source, progress).finish(), True


@dataclass(frozen=True)
class _Source:
    """The checked input: where it lies, what it is called in messages."""

    path: Path
    name: str
    seen: Seen

    @classmethod
    def of(cls, name: str, spooled: Path) -> "_Source":
        path = Path(name)
        if name == STDIN:
            path, name = spooled, "stdin"
            spool(sys.stdin.buffer, path)
        return cls(path, name, examine(path, name))


def _of_texts(texts: list[str], lang: str) -> list[Document]:
    return [Document.of(text, lang) for text in texts]


class _Run:
    """What is left of one run."""

    def __init__(self, settings: PipelineSettings, folder: RunFolder, source: _Source, progress: Any) -> None:
        self.settings, self.folder = settings, folder
        self.source, self.progress = source, progress

    def finish(self) -> dict:
        """Both steps, then the texts and the report."""
        steps = self._load_steps()
        inputs = self._documents()
        for name, step in steps:
            self._do(name, step, inputs)
            inputs = self._results(name)
        counts = Counter({"documents": self.source.seen.documents, "empty documents": self.source.seen.empty})
        for name, file, _ in self.settings.stages:
            counts.update(self.folder.publish(name, file))
        report = {
            "input": self.source.name,
            "models": {m.flag: m.checkpoint for _, _, m in self.settings.stages if m is not None},
            "files": [file for _, file, _ in self.settings.stages],
            "counts": {name: count for name, count in counts.items() if count},
        }
        self.folder.finish(report)
        return report

    def _load_steps(self) -> list[tuple[str, Step]]:
        """The steps by name; their languages follow from one another.

        Raises:
            UserError: a model cannot be loaded or has another direction.
        """
        steps, lang = [], self.settings.source_lang
        for (name, _, model), is_last in zip(self.settings.stages, (False, True), strict=True):
            wanted = self.settings.target_lang if is_last else None
            step, lang = self._load_step(name, model, lang, wanted)
            steps.append((name, step))
        return steps

    def _load_step(
        self, name: str, settings: AnyModelSettings | None, lang: str, wanted: str | None
    ) -> tuple[Step, str]:
        """A step from texts in ``lang``, and the language of what it writes (``wanted`` if that is fixed)."""
        if settings is None:
            if wanted and language_of(lang) != language_of(wanted):
                raise UserError(f"--mt writes {lang}, but --target-lang is {wanted}: give one that writes it")
            return Extract(LexRank(lang, self.settings.sentences)), lang
        self.progress.stage(f"load {settings.checkpoint}")
        translates = name == TRANSLATE
        otherwise = wanted or (self.settings.target_lang if translates else lang)
        model = _load(settings, lang, otherwise)
        model.check_direction(lang, wanted)
        written = model.target if is_language(model.target) else otherwise
        return (Translate if translates else Summarize)(model, written), written

    def _documents(self) -> Iterator[Load]:
        lang = self.settings.source_lang
        for texts in chunks(self.source.path, self.source.name, self.settings.chunk):
            yield partial(_of_texts, texts, lang)

    def _results(self, name: str) -> Iterator[Load]:
        for number in range(self.folder.count_chunks(name)):
            yield partial(self._result, name, number)

    def _result(self, name: str, number: int) -> list[Document]:
        return self.folder.load_chunk(name, number)[0]

    def _do(self, name: str, step: Step, inputs: Iterator[Load]) -> None:
        """Do the chunks of a step that are not done yet."""
        self.progress.stage(name, self.source.seen.documents)
        for number, load in enumerate(inputs):
            if self.folder.has_chunk(name, number):
                size = len(self.folder.load_chunk(name, number)[0])
            else:
                size = self._do_chunk(name, number, step, load())
            self.progress.advance(size)

    def _do_chunk(self, name: str, number: int, step: Step, documents: list[Document]) -> int:
        counts: Counter = Counter()
        results = step(documents, counts)
        pairs = zip(documents, results, strict=True)
        counts[f"documents of which nothing is left by {name}"] = sum(
            not document.is_empty and result.is_empty for document, result in pairs
        )
        self.folder.save_chunk(name, number, results, counts)
        return len(documents)


def _load(settings: AnyModelSettings, source: str, target: str) -> TextModel | HuggingFaceModel:
    """The model of a step from ``source`` to ``target``; many have a direction of their own."""
    if isinstance(settings, HuggingFaceSettings):
        return HuggingFaceModel(settings, source, target)
    return TextModel(settings, source, target)


def _made_of(settings: PipelineSettings, seen: Seen) -> dict:
    """All that decides about the outputs, under the names of the flags; files by their contents."""
    made = {
        "command": " then ".join(name for name, _, _ in settings.stages),
        "--input": seen.sha256,
        "--source-lang": settings.source_lang,
        "--target-lang": settings.target_lang,
        "--chunk": settings.chunk,
    }
    for _, _, model in settings.stages:
        made |= {"--sentences": settings.sentences} if model is None else model.made_of()
    return made
