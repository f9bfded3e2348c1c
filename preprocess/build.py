"""From collected text to binaries: segmentation, one joined dictionary, ``fairseq-preprocess``.

Everything is read from ``raw/TASK.SPLIT.LANG`` of a workspace, one text a line.  Each stage is
marked when it is finished; a repeated run goes on after the last mark.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.segment import Segmenter, SubwordSegmenter, WordSegmenter
from fairseq_vhm.text.subword import MODEL_NAME, check_belongs, train_model
from preprocess import dictionary
from preprocess.binarize import Binarizer, read_binary
from preprocess.encoding import Encoder, encoder
from preprocess.parts import Side, TextPart
from preprocess.settings import TrioSettings
from preprocess.workspace import Workspace

DICTIONARY_NAME = "dict.txt"
RAW, SEGMENTED, COUNTS = "raw", "segmented", "counts"
_MIB = 1 << 20


class Builder:
    """Builds the binaries of ``parts`` in ``work``; ``pairs`` is the size of each part by name."""

    def __init__(
        self,
        settings: TrioSettings,
        parts: list[TextPart],
        pairs: dict[str, int],
        work: Workspace,
        workers: int,
    ) -> None:
        self.settings = settings
        self.parts = parts
        self.pairs = pairs
        self.work = work
        self.workers = workers

    def build(self) -> dict:
        """Do what is left to do.

        Returns:
            ``segmentation``, ``dictionary``, and for each side by its name what was seen:
            ``lines``, ``symbols``, ``truncated``, ``length``, ``unknown`` and ``unknown_share``.
        """
        self.work.stage("segmenter", self._make_segmenter)
        seen = self._encode()
        symbols = self.work.stage("dictionary", self._make_dictionary)
        with Binarizer(self.workers, keep_open=(self.work.lock,)) as binarizer:
            for task in dict.fromkeys(part.task for part in self.parts):
                work = partial(self._binarize, binarizer, task, seen)
                unknown = self.work.stage(f"binarize {task}", work)
                for name in unknown:
                    seen[name] |= unknown[name]
        segmentation = self._segmenter().settings()
        return {"segmentation": segmentation, "dictionary": symbols, "sides": seen}

    def _sides(self, training: bool = False) -> list[Side]:
        parts = [part for part in self.parts if part.is_training or not training]
        return [side for part in parts for side in part.sides]

    def _make_segmenter(self) -> dict:
        settings = self.settings
        if settings.segmentation != SubwordSegmenter.kind:
            return {}
        model = self.work.path(MODEL_NAME)
        if settings.spm_model:
            SubwordSegmenter(Path(settings.spm_model)).check()
            shutil.copyfile(settings.spm_model, model)
        else:
            texts = self._training_sample(settings.spm_sample_mib * _MIB)
            model.write_bytes(train_model(texts, settings.vocab_size, settings.character_coverage))
        return {}

    def _training_sample(self, most_bytes: int) -> Iterator[str]:
        """Lines of all training texts; of more than ``most_bytes``, each with the same chance."""
        files = [self.work.path(RAW, side.name) for side in self._sides(training=True)]
        share = most_bytes / sum(path.stat().st_size for path in files)
        for path in files:
            draw = random.Random(f"{self.settings.seed}:{path.name}").random
            with path.open(encoding="utf-8", newline="\n") as lines:
                for line in self.work.progress.counted(lines):
                    if draw() < share:
                        text = line.removesuffix("\n")
                        yield text.lower() if self.settings.lowercase else text

    def _segmenter(self) -> Segmenter:
        settings = self.settings
        if settings.segmentation == SubwordSegmenter.kind:
            return SubwordSegmenter(  # type: ignore[return-value]  # load is the protocol's alone
                self.work.path(MODEL_NAME), settings.lowercase
            )
        return WordSegmenter(  # type: ignore[return-value]  # likewise
            settings.chinese_words, settings.lowercase
        )

    def _encode(self) -> dict[str, dict]:
        with encoder(self._segmenter(), self.workers, self.work.progress) as encode:
            return {
                side.name: self.work.stage(
                    f"encode {side.name}",
                    partial(self._encode_side, encode, side),
                    self.pairs[side.part.name],
                )
                for side in self._sides()
            }

    def _encode_side(self, encode: Encoder, side: Side) -> dict:
        raw, out = (self.work.path(folder, side.name) for folder in (RAW, SEGMENTED))
        seen = encode.encode_file(raw, out, side.suffix, self._longest(side))
        if side.part.is_training:
            dictionary.save_counts(seen.counts, self.work.path(COUNTS, side.name))
        return seen.summary()

    def _longest(self, side: Side) -> int:
        """Sources are cut everywhere, targets in training only: a reference stays whole."""
        if not side.is_target:
            return self.settings.max_source_length
        return self.settings.max_target_length if side.part.is_training else 0

    def _make_dictionary(self) -> dict:
        path = self.work.path(DICTIONARY_NAME)
        if self.settings.dictionary:
            self._check_dictionary(Path(self.settings.dictionary))
            shutil.copyfile(self.settings.dictionary, path)
        else:
            dictionary.write(self._dictionary_entries(), path)
        return {"size": dictionary.size_of(path)}

    def _check_dictionary(self, path: Path) -> None:
        """The user's own; it has to be of the user's model."""
        symbols = dictionary.symbols_of(path)  # its bad lines are named as the user's
        if self.settings.spm_model:
            check_belongs(self._counts(), path, symbols, Path(self.settings.spm_model))

    def _counts(self) -> Counter[str]:
        """How often the training texts have each symbol."""
        counts: Counter[str] = Counter()
        for side in self._sides(training=True):
            counts.update(dictionary.load_counts(self.work.path(COUNTS, side.name)))
        return counts

    def _dictionary_entries(self) -> dictionary.Entries:
        counts = self._counts()
        segmenter = self._segmenter()
        if isinstance(segmenter, SubwordSegmenter):
            return dictionary.rank_listed(counts, segmenter.vocabulary())
        return dictionary.most_frequent(counts, self.settings.vocab_size)

    def _binarize(self, binarizer: Binarizer, task: str, seen: dict[str, dict]) -> dict:
        """Binarize a task and count the unknown symbols of each side."""
        out = self.work.path(task)
        shutil.rmtree(out, ignore_errors=True)
        parts = [part for part in self.parts if part.task == task]
        binarizer.binarize(
            self.work.path(SEGMENTED, task),
            [part.split for part in parts],
            parts[0].suffixes,
            self.work.path(DICTIONARY_NAME),
            out,
        )
        return {
            side.name: self._count_unknown(out, side, seen[side.name])
            for part in parts
            for side in part.sides
        }

    def _count_unknown(self, folder: Path, side: Side, seen: dict) -> dict:
        """Unknown symbols of a side; what was binarized is held against what was segmented."""
        source, target = side.part.suffixes
        prefix = folder / f"{side.part.split}.{source}-{target}.{side.suffix}"
        binary = read_binary(prefix)
        if (binary.examples, binary.tokens) != (seen["lines"], seen["symbols"]):
            raise UserError(
                f"{prefix}.bin: fairseq-preprocess made {binary.examples} examples of"
                f" {binary.tokens} symbols from {seen['lines']} lines of {seen['symbols']}"
            )
        share = round(binary.unknown / binary.tokens, 6)
        return {"unknown": binary.unknown, "unknown_share": share}
