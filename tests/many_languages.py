"""A small corpus of three languages with texts that their languages can be told by, and outputs for it."""

import json
import random
from pathlib import Path

import numpy as np

from fairseq_vhm.data.corpus_writer import CorpusWriter

WORDS = {
    "en": ["the", "court", "opened", "on", "a", "monday", "and", "it", "was", "open", "when", "rain", "fell"],
    "de": ["das", "gericht", "wurde", "am", "montag", "und", "nicht", "dienstag", "der", "die", "regen"],
    "zh-CN": ["法", "院", "今", "天", "开", "庭", "审", "理", "北", "京"],
}
COUNTS = {("en", "de"): 4, ("en", "zh-CN"): 3, ("zh-CN", "en"): 2, ("de", "en"): 1, ("en", "en"): 2}
"""Direction -> examples of the test split."""


def sentence(language: str, draw: random.Random) -> str:
    """Words of a language (Chinese is written without blanks)."""
    words = draw.choices(WORDS[language], k=draw.randint(5, 8))
    return ("" if language == "zh-CN" else " ").join(words)


def write_corpus(folder: Path, counts: dict = COUNTS, own=("en", "zh-CN"), seed: int = 1) -> Path:
    """A corpus whose articles all differ; those in languages of ``own`` have a summary of their own."""
    draw = random.Random(seed)
    with CorpusWriter(folder, "x 1\n", "sentencepiece", splits=("test",)) as writer:
        for (source, target), count in counts.items():
            for _ in range(count):
                article = writer.add_article(source, np.array([4, 4, 2]))
                summary = writer.add_summary(target, np.array([4, 2]), sentence(target, draw))
                if source in own:
                    number = summary
                    if source != target:
                        number = writer.add_summary(source, np.array([4, 2]), sentence(source, draw))
                    writer.set_own(source, article, number)
                writer.add_pair("test", source, target, article, summary)
    return folder


def examples_of(corpus) -> list[tuple[str, str, str, str | None]]:
    """Source language, target language, reference and own summary (or ``None``) of each example."""
    table, found = corpus.pairs("test"), []
    for source, target in table.directions:
        for article, summary in table.of((source, target)).tolist():
            own = int(corpus.own_summaries(source)[article])
            own_text = corpus.summary_texts(source)[own] if own >= 0 else None
            found.append((source, target, corpus.summary_texts(target)[summary], own_text))
    return found


def write_outputs(path: Path, outputs: dict[int, str]) -> Path:
    """A ``fairseq-generate`` log in the order of batches, or JSON lines for a name that ends so."""
    numbered = list(outputs.items())
    random.Random(2).shuffle(numbered)
    if path.suffix == ".jsonl":
        lines = [json.dumps({"id": number, "output": text}) for number, text in numbered]
    else:
        lines = [f"S-{n}\tx\nT-{n}\ty\nH-{n}\t-0.5\t{text}\nP-{n}\t-0.5" for n, text in numbered]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
