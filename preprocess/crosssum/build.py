"""From collected text to a corpus: SentencePiece, ids of each text once, the dictionary.

Texts are read line by line and written as ids at once, on several cores and in order; none of them is kept.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from fairseq_vhm.data import corpus_layout as layout
from fairseq_vhm.data.corpus_layout import ARTICLES, KINDS
from fairseq_vhm.data.corpus_writer import StoreWriter
from fairseq_vhm.data.mt5_vocabulary import write_dictionary as write_mt5_dictionary
from fairseq_vhm.text.mt5 import MODEL as MT5_MODEL
from fairseq_vhm.text.segment import SubwordSegmenter
from fairseq_vhm.text.subword import MODEL_NAME, train_model
from preprocess import dictionary
from preprocess.crosssum.collect import raw_path
from preprocess.crosssum.sample import copies, draw_lines
from preprocess.crosssum.settings import CrossSumSettings
from preprocess.crosssum.vocabulary import Vocabulary
from preprocess.dictionary import SPECIALS
from preprocess.encoding import Map, chunks, ordered_map
from preprocess.lengths import Lengths
from preprocess.workspace import Workspace

COUNTS = "counts"
_MIB = 1 << 20

Store = tuple[str, str]


@dataclass
class Seen:
    """What was seen while texts were encoded; lengths are those before cutting, EOS apart."""

    texts: int = 0
    symbols: int = 0
    truncated: int = 0
    unknown: int = 0
    lengths: Lengths = field(default_factory=Lengths)

    def merge(self, other: "Seen") -> None:
        self.texts += other.texts
        self.symbols += other.symbols
        self.truncated += other.truncated
        self.unknown += other.unknown
        self.lengths.merge(other.lengths)

    def summary(self) -> dict:
        share = round(self.unknown / self.symbols, 6) if self.symbols else 0.0
        length = self.lengths.summary()
        return {"texts": self.texts, "truncated": self.truncated, "length": length, "unknown_share": share}


class CorpusBuilder:
    """Builds the stores of ``languages`` (language -> number of texts of each kind) in ``work``."""

    def __init__(
        self, settings: CrossSumSettings, languages: dict[str, dict[str, int]], work: Workspace, workers: int
    ) -> None:
        self.settings, self.languages, self.work, self.workers = settings, languages, work, workers

    def build(self) -> dict:
        """Do what is left to do.

        Returns:
            ``segmentation``, ``dictionary``, and ``texts``: language -> kind -> :meth:`Seen.summary`.
        """
        made = self.work.stage("segmenter", self._make_segmenter)
        model = self.work.path(MODEL_NAME)
        vocabulary = (
            Vocabulary.of_mt5(model, made["size"])
            if self.settings.mt5
            else Vocabulary.of_sentencepiece(model)
        )
        texts = self._encode(vocabulary)
        symbols = self.work.stage("dictionary", lambda: self._make_dictionary(vocabulary))
        return {"segmentation": vocabulary.segmenter.settings(), "dictionary": symbols, "texts": texts}

    def _make_segmenter(self) -> dict:
        """Take over or train the SentencePiece model; ``size`` of the dictionary where it is known."""
        settings, model = self.settings, self.work.path(MODEL_NAME)
        if settings.mt5:
            shutil.copyfile(Path(settings.mt5) / MT5_MODEL, model)
            path = self.work.path(layout.DICTIONARY)
            return {"size": write_mt5_dictionary(Path(settings.mt5), path)}
        if settings.spm_model:
            SubwordSegmenter(Path(settings.spm_model)).check()
            shutil.copyfile(settings.spm_model, model)
            return {}
        texts = self._training_sample(settings.spm_sample_mib * _MIB)
        model.write_bytes(train_model(texts, settings.vocab_size, settings.character_coverage))
        return {}

    def _training_sample(self, most_bytes: int) -> Iterator[str]:
        """Lines of the training texts, languages weighed by ``--spm-alpha``."""
        trained = {store: wanted for store, wanted in self._in_training.items() if wanted.any()}
        sizes: dict[str, int] = {}
        for kind, language in trained:
            size = raw_path(self.work.folder, kind, language).stat().st_size
            sizes[language] = sizes.get(language, 0) + size
        times = copies(sizes, self.settings.spm_alpha, most_bytes)
        for (kind, language), wanted in trained.items():
            path, seed = raw_path(self.work.folder, kind, language), f"{self.settings.seed}:{kind}.{language}"
            yield from draw_lines(path, wanted, times[language], seed, self.work.progress)

    @cached_property
    def _in_training(self) -> dict[Store, np.ndarray]:
        """For each store which of its texts a training pair has (bool, one a text)."""
        used = {
            (kind, language): np.zeros(counts[kind], bool)
            for language, counts in self.languages.items()
            for kind in KINDS
        }
        pairs = layout.pairs_path(self.work.folder, "train")
        if not pairs.exists():
            return used
        texts, start = np.load(pairs), 0
        for group in json.loads(pairs.with_suffix(".json").read_text(encoding="utf-8")):
            numbers = texts[start : start + group["count"]]
            start += group["count"]
            for side, kind in enumerate(KINDS):
                used[kind, group[("source", "target")[side]]][numbers[:, side]] = True
        return used

    def _encode(self, vocabulary: Vocabulary) -> dict:
        with ordered_map(self.workers, _start_worker, vocabulary) as mapped:
            return {
                language: self.work.stage(
                    f"encode {language}",
                    partial(self._encode_language, mapped, vocabulary, language),
                    sum(counts[kind] for kind in KINDS),
                )
                for language, counts in self.languages.items()
            }

    def _encode_language(self, mapped: Map, vocabulary: Vocabulary, language: str) -> dict:
        counts = np.zeros(vocabulary.size, np.int64)
        seen = {
            kind: self._encode_store(mapped, vocabulary, (kind, language), counts).summary() for kind in KINDS
        }
        np.save(self.work.path(COUNTS, f"{language}.npy"), counts)
        return seen

    def _encode_store(self, mapped: Map, vocabulary: Vocabulary, store: Store, counts: np.ndarray) -> Seen:
        """Write the ids of a store's texts; those of training are added to ``counts``."""
        kind, language = store
        total, folder = Seen(), self.work.folder
        limit = self.settings.max_source_length if kind == ARTICLES else 0
        encode: Callable = partial(_encode_chunk, limit)
        with (
            raw_path(folder, kind, language).open(encoding="utf-8", newline="\n") as lines,
            StoreWriter(layout.text_prefix(folder, kind, language), vocabulary.size) as writer,
        ):
            for ids, lengths, seen in mapped(encode, chunks(lines)):
                writer.extend(ids, lengths)
                wanted = self._in_training[store][total.texts : total.texts + seen.texts]
                counts += np.bincount(ids[np.repeat(wanted, lengths)], minlength=len(counts))
                total.merge(seen)
                self.work.progress.advance(seen.texts)
        return total

    def _make_dictionary(self, vocabulary: Vocabulary) -> dict:
        """Write the dictionary with the number of each symbol in the training texts, unless it is there."""
        if not self.settings.mt5:
            files = (self.work.path(COUNTS, f"{language}.npy") for language in self.languages)
            counts = sum(map(np.load, files))[SPECIALS:].tolist()
            entries = list(zip(vocabulary.symbols, counts, strict=True))
            dictionary.write(entries, self.work.path(layout.DICTIONARY))
        return {"size": vocabulary.size}


_vocabulary: Vocabulary | None = None


def _start_worker(vocabulary: Vocabulary) -> None:
    global _vocabulary
    _vocabulary = vocabulary


def _encode_chunk(limit: int, lines: list[str]) -> tuple[np.ndarray, np.ndarray, Seen]:
    """The ids of some texts in one array, their lengths with EOS, and what was seen."""
    assert _vocabulary is not None, "see _start_worker"
    seen, encoded = Seen(), []
    for line in lines:
        ids, length = _vocabulary.encode(line.removesuffix("\n"), limit)
        encoded.append(ids)
        seen.lengths.add(length)
        seen.truncated += length >= len(ids)
    lengths = np.array([len(ids) for ids in encoded], np.int32)
    ids = np.concatenate(encoded).astype(np.int32)
    seen.texts, seen.symbols = len(lines), len(ids) - len(lines)
    seen.unknown = int(np.count_nonzero(ids == _vocabulary.unk))
    return ids, lengths, seen
