"""Readers of training data: fairseq's binary format, and the corpus of many languages."""

from pathlib import Path

import numpy as np

from fairseq_vhm.data.corpus import DERIVED, Corpus
from fairseq_vhm.data.corpus_layout import KINDS
from fairseq_vhm.data.corpus_writer import CorpusWriter, StoreWriter
from fairseq_vhm.data.dictionaries import read_dictionary
from fairseq_vhm.data.loading import PairOptions, TaskFolder, load_dictionary, load_pairs
from fairseq_vhm.language_pairs.examples import read_examples
from fuzzing.cases import QUIET, drain, files_of, generated, lines, reader
from preprocess.symbols import write_symbols


def write_trio(folder: Path) -> None:
    ids, lengths = np.array([4, 5, 2, 6, 2, 7, 8, 9, 2]), np.array([3, 2, 4])
    (folder / "cls").mkdir()
    for language in ("en", "zh"):
        (folder / "cls" / f"dict.{language}.txt").write_text("".join(f"w{n} 1\n" for n in range(8)))
        with StoreWriter(folder / "cls" / f"train.en-zh.{language}", 12) as writer:
            writer.extend(ids, lengths)


@reader("bin, idx, dict", "training data", files_of(write_trio))
def read_trio(folder: Path) -> None:
    found = TaskFolder.find(str(folder), "cls")
    pairs = load_pairs(found, "train", load_dictionary([found]), PairOptions(20, 20, "source"))
    drain(pairs[number] for number in range(len(pairs)))


@reader("dict.txt", "training data", {"dict.txt": lines(f"w{n} 1" for n in range(8))})
def read_symbols_of_training(folder: Path) -> None:
    read_dictionary(folder / "dict.txt").mark(None)


@reader("bin, idx as text", "prepare symbols", files_of(write_trio))
def read_trio_as_text(folder: Path) -> None:
    write_symbols(folder, "cls", "train", folder / "out", QUIET)


def write_many(folder: Path) -> None:
    with CorpusWriter(folder / "DATA", "x 1\n", "sentencepiece", splits=("test",)) as writer:
        for source, target in (("en", "de"), ("en", "en"), ("de", "en")):
            article = writer.add_article(source, np.array([4, 4, 2]))
            summary = writer.add_summary(target, np.array([4, 2]), f"summary in {target}")
            writer.add_pair("test", source, target, article, summary)
            writer.set_own(source, article, 0)
    (folder / "test.log").write_bytes(generated([0, 1, 2], ["a", "b", "c"]))


@reader("corpus of many languages", "training data", files_of(write_many))
def read_many(folder: Path) -> None:
    corpus = Corpus.open(folder / "DATA")
    for language in corpus.languages:
        for store in (corpus.texts(kind, language) for kind in KINDS):
            drain(store[number] for number in range(len(store)))
    for split in corpus.splits:
        drain(corpus.derived(split, task) for task in DERIVED)
        read_examples(corpus, split, folder / "test.log")
