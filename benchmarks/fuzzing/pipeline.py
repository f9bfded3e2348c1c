"""Readers of ``vhm pipeline``: documents, its folder, settings of generation."""

from pathlib import Path

from fairseq_vhm.pipeline.documents import Document
from fairseq_vhm.pipeline.folder import RunFolder
from fairseq_vhm.pipeline.lines import chunks, examine
from fairseq_vhm.pipeline.settings import parse_generation
from fairseq_vhm.tasks.evaluation import GenerationMetrics
from fuzzing.cases import ENGLISH, drain, lines, one, reader


@reader("documents", "pipeline", {"input": lines(ENGLISH)})
def read_documents(folder: Path) -> None:
    examine(folder / "input", "input")
    drain(Document.of(text, "en") for chunk in chunks(folder / "input", "input", 2) for text in chunk)


OUT = "out"
STEP_OF_CHUNK = "translate"
FILE_OF_CHUNK = "/".join((OUT, "work", STEP_OF_CHUNK, "000000.json"))
CHUNK = {"documents": [{"text": "A cat.", "sentences": ["A cat."]}], "counts": {"documents": 1}}


@reader(
    "folder of a pipeline",
    "pipeline, resumed",
    {
        f"{OUT}/settings.json": one({"--beam": 4}),
        FILE_OF_CHUNK: one(CHUNK),
        f"{OUT}/report.json": one({"files": [], "counts": {"documents": 1}}),
    },
)
def read_pipeline(folder: Path) -> None:
    run = RunFolder(folder / OUT)
    with run.locked():
        run.claim({"--beam": 4})
        run.report  # noqa: B018  (reads it)
        run.publish(STEP_OF_CHUNK, "translated.txt")


@reader("generation settings", "pipeline, training", {"given.json": b'{"max_len_b": 100, "beam": 2}'})
def read_generation(folder: Path) -> None:
    text = (folder / "given.json").read_bytes().decode("utf-8", "replace")
    GenerationMetrics.generation_settings(text)
    parse_generation("--mt-gen-args", text, "fairseq")
