"""From raw corpora to the folder that ``cross_lingual_summarization`` trains on.

``OUT/{cls,mt,ms}/`` hold what ``fairseq-preprocess`` makes, with one joined dictionary in all of them;
``OUT/text/TASK.SPLIT.LANG`` the held-out texts as they came, for scoring; ``OUT/spm.model`` and
``OUT/manifest.json`` what inference needs and how all of it was made.

Stages, each marked when it is finished: collect (read, check, drop), segmenter, encode, dictionary,
binarize.  A repeated run goes on after the last mark.
"""

import hashlib
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.segment import MANIFEST_NAME, Segmenter, SubwordSegmenter, WordSegmenter
from fairseq_vhm.text.subword import MODEL_NAME, train_model
from fairseq_vhm.text.words import CHINESE_WORDS
from preprocess import dictionary
from preprocess.binarize import Binary, binarize, read_binary
from preprocess.collect import DEDUP, collect_split, read_collected
from preprocess.corpus import Corpus, open_corpus
from preprocess.duplicates import HeldOut
from preprocess.encoding import encoder
from preprocess.manifest import describe_files, hash_tree, tool_versions
from preprocess.readers import TASKS, ReaderOptions, Request
from preprocess.records import ON_ERROR
from preprocess.workspace import Workspace, is_done, write_json

SEGMENTATIONS = (SubwordSegmenter.kind, WordSegmenter.kind)
FORMAT_VERSION = 1
DICTIONARY_NAME = "dict.txt"
DROPPED_NAME = "dropped.txt"
_TEXT = "text"
_INTERMEDIATE = _RAW, _SEGMENTED, _COUNTS, _LISTS = "raw", "segmented", "counts", "lists"
_MIB = 1 << 20

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TrioSettings:
    """Everything that decides what is made; the one home of the defaults.

    ``specs[task][split]`` is a ``FORMAT:PATH``; ``train`` names a whole corpus, ``valid`` and ``test``
    name one split by itself.  Lengths are in symbols; 1022 leaves room in fairseq's 1024 positions for
    the end mark and a task tag.
    """

    source_lang: str
    target_lang: str
    specs: dict[str, dict[str, str]]
    segmentation: str = "subword"
    vocab_size: int = 32000
    character_coverage: float = 0.9999
    spm_sample_mib: int = 64
    spm_model: str | None = None
    dictionary: str | None = None
    chinese_words: str = "jieba"
    lowercase: bool = False
    max_source_length: int = 1022
    max_target_length: int = 1022
    hold_out: int = 0
    on_error: str = "stop"
    dedup: str = "report"
    seed: int = 1
    reader_options: ReaderOptions = field(default_factory=ReaderOptions)

    def __post_init__(self) -> None:
        _refuse_unknown("--segmentation", self.segmentation, SEGMENTATIONS)
        _refuse_unknown("--chinese-words", self.chinese_words, CHINESE_WORDS)
        _refuse_unknown("--on-error", self.on_error, ON_ERROR)
        _refuse_unknown("--dedup", self.dedup, DEDUP)
        if self.spm_model and self.segmentation != SubwordSegmenter.kind:
            raise UserError("--spm-model goes with --segmentation subword only")
        if self.source_lang == self.target_lang:
            raise UserError("--source-lang and --target-lang are the same; they name two languages")

    def open_corpora(self) -> list[Corpus]:
        """The corpora of the tasks that are asked for."""
        return [
            open_corpus(
                Request(task, self.source_lang, self.target_lang, self.reader_options),
                self.specs[task],
                self.hold_out,
                self.seed,
            )
            for task in TASKS
            if task in self.specs
        ]

    def reused_files(self) -> list[Path]:
        """Models and dictionaries that are taken over."""
        return [Path(name) for name in (self.spm_model, self.dictionary) if name]


def prepare_trio(
    settings: TrioSettings, out: Path, workers: int, overwrite: bool, progress: Progress
) -> tuple[dict, bool]:
    """Prepare ``out``; returns its manifest and whether anything had to be done.

    Raises:
        UserError: anything wrong with settings, inputs, or ``out``.
    """
    corpora = settings.open_corpora()
    progress("hashing the inputs")
    inputs = describe_files(_input_files(settings, corpora))
    fingerprint = _fingerprint(settings, inputs)
    if is_done(out, fingerprint, overwrite):
        return json.loads((out / MANIFEST_NAME).read_text(encoding="utf-8")), False
    with Workspace(out, fingerprint).opened() as work:
        run = _Run(settings, corpora, work, workers, progress)
        manifest = {"format": FORMAT_VERSION, "fingerprint": fingerprint, **run.all_stages()}
        manifest |= {"inputs": inputs, "versions": tool_versions()}
        manifest["outputs"] = work.outputs(leave_out=_INTERMEDIATE)
        write_json(manifest, work.path(MANIFEST_NAME))
        work.publish(leave_out=_INTERMEDIATE)
    return manifest, True


def _input_files(settings: TrioSettings, corpora: list[Corpus]) -> list[Path]:
    files = [path for corpus in corpora for path in corpus.files()] + settings.reused_files()
    for path in settings.reused_files():
        if not path.is_file():
            raise UserError(f"{path}: missing file")
    return list(dict.fromkeys(files))


def _fingerprint(settings: TrioSettings, inputs: list[dict]) -> str:
    """Hash of everything that the result depends on; names of input files count, their place in the
    file system does not change what is in them."""
    contents = [entry["sha256"] for entry in inputs]
    made_from = json.dumps([FORMAT_VERSION, asdict(settings), contents], sort_keys=True)
    return hashlib.sha256(made_from.encode()).hexdigest()


def _refuse_unknown(flag: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(f"{flag} {value}: choose one of {', '.join(choices)}")


class _Run:
    """The stages of one run, over all tasks and splits."""

    def __init__(
        self,
        settings: TrioSettings,
        corpora: list[Corpus],
        work: Workspace,
        workers: int,
        progress: Progress,
    ) -> None:
        self.settings = settings
        self.corpora = corpora
        self.work = work
        self.workers = workers
        self.progress = progress

    def all_stages(self) -> dict:
        """Do what is left to do; returns the manifest's account of it."""
        collected = self._collect()
        self._stage("segmenter", self._make_segmenter)
        encoded = self._encode()
        symbols = self._stage("dictionary", self._make_dictionary)
        for corpus in self.corpora:
            self._stage(f"binarize {corpus.task}", lambda corpus=corpus: self._binarize(corpus))
        self._write_listing()
        return {
            "settings": asdict(self.settings),
            "segmentation": self._segmenter().settings(),
            "dictionary": symbols,
            "tasks": self._account(collected, encoded),
        }

    def _stage(self, name: str, work: Callable[[], dict | None]) -> dict:
        if not self.work.is_marked(name):
            self.progress(name)
        return self.work.stage(name, work)

    def _collect(self) -> dict[tuple[str, str], dict]:
        """Held-out splits first, so that training pairs can be held against them."""
        held_out = HeldOut()
        results = {}
        for split in ("valid", "test", "train"):
            corpora = [corpus for corpus in self.corpora if split in corpus.splits]
            for corpus in corpora:
                results[corpus.task, split] = self._stage(
                    f"collect {corpus.task} {split}",
                    lambda corpus=corpus: self._collect_split(corpus, split, held_out),
                )
            if split != "train":
                self._remember(corpora, split, held_out)
        return results

    def _collect_split(self, corpus: Corpus, split: str, held_out: HeldOut) -> dict:
        return collect_split(
            corpus,
            split,
            self._sides(_RAW, corpus, split),
            self.work.path(_LISTS, f"{corpus.task}.{split}"),
            self.settings.on_error,
            against=held_out,
            drop_duplicates=split == "train" and self.settings.dedup == "drop",
        )

    def _remember(self, corpora: list[Corpus], split: str, held_out: HeldOut) -> None:
        for corpus in corpora:
            for pair in read_collected(self._sides(_RAW, corpus, split)):
                held_out.add(pair, f"{corpus.task}.{split}")

    def _make_segmenter(self) -> dict:
        if self.settings.segmentation != SubwordSegmenter.kind:
            return {}
        model = self.work.path(MODEL_NAME)
        if self.settings.spm_model:
            shutil.copyfile(self.settings.spm_model, model)
        else:
            settings = self.settings
            texts = self._training_sample(settings.spm_sample_mib * _MIB)
            model.write_bytes(train_model(texts, settings.vocab_size, settings.character_coverage))
        return {}

    def _training_sample(self, most_bytes: int) -> Iterator[str]:
        """Lines of all training texts; of more than ``most_bytes``, each with the same chance."""
        files = [path for corpus in self.corpora for path in self._sides(_RAW, corpus, "train")]
        share = most_bytes / max(1, sum(path.stat().st_size for path in files))
        for path in files:
            chance = random.Random(f"{self.settings.seed}:{path.name}").random
            with path.open(encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    if chance() < share:
                        text = line.removesuffix("\n")
                        yield text.lower() if self.settings.lowercase else text

    def _segmenter(self) -> Segmenter:
        settings = self.settings
        if settings.segmentation == SubwordSegmenter.kind:
            return SubwordSegmenter(self.work.path(MODEL_NAME), settings.lowercase)
        return WordSegmenter(settings.chinese_words, settings.lowercase)

    def _encode(self) -> dict[tuple[str, str, int], dict]:
        results = {}
        with encoder(self._segmenter(), self.workers) as encode:
            for corpus, split in self._splits():
                for side in (0, 1):
                    results[corpus.task, split, side] = self._stage(
                        f"encode {corpus.task} {split} {corpus.request.suffixes[side]}",
                        lambda c=corpus, s=split, n=side: self._encode_side(encode, c, s, n),
                    )
        return results

    def _encode_side(self, encode, corpus: Corpus, split: str, side: int) -> dict:
        """Truncation: sources everywhere, targets in training only."""
        limit = self.settings.max_source_length
        if side == 1:
            limit = self.settings.max_target_length if split == "train" else None
        raw = self._sides(_RAW, corpus, split)[side]
        seen = encode.encode_file(
            raw, self._sides(_SEGMENTED, corpus, split)[side], corpus.request.suffixes[side], limit
        )
        if split == "train":
            dictionary.save_counts(seen.counts, self.work.path(_COUNTS, raw.name))
        return seen.summary()

    def _make_dictionary(self) -> dict:
        path = self.work.path(DICTIONARY_NAME)
        if self.settings.dictionary:
            shutil.copyfile(self.settings.dictionary, path)
            return {"size": dictionary.size_of(path), "seen": None}
        counts: Counter[str] = Counter()
        for corpus in self.corpora:
            for raw in self._sides(_RAW, corpus, "train"):
                counts.update(dictionary.load_counts(self.work.path(_COUNTS, raw.name)))
        segmenter = self._segmenter()
        if isinstance(segmenter, SubwordSegmenter):
            entries = dictionary.rank_listed(counts, segmenter.vocabulary())
        else:
            entries = dictionary.most_frequent(counts, self.settings.vocab_size)
        dictionary.write(entries, path)
        return {"size": dictionary.size_of(path), "seen": len(counts)}

    def _binarize(self, corpus: Corpus) -> dict:
        out = self.work.path(corpus.task)
        shutil.rmtree(out, ignore_errors=True)
        segmented = self.work.path(_SEGMENTED, corpus.task)
        binarize(
            segmented,
            corpus.splits,
            corpus.request.suffixes,
            self.work.path(DICTIONARY_NAME),
            out,
            self.workers,
        )
        return {}

    def _account(self, collected: dict, encoded: dict) -> dict:
        """Counts of every task and split, each held against what was binarized."""
        tasks: dict[str, dict] = {}
        for corpus, split in self._splits():
            account = dict(collected[corpus.task, split])
            for side, name in enumerate(("source", "target")):
                seen = encoded[corpus.task, split, side]
                binary = self._check_binary(corpus, split, side, account["pairs"], seen)
                unknown = {"unknown": binary.unknown, "unknown_share": _share(binary)}
                suffix = corpus.request.suffixes[side]
                account[name] = {"suffix": suffix, **seen, **unknown}
            tasks.setdefault(corpus.task, {})[split] = account
        return tasks

    def _check_binary(
        self, corpus: Corpus, split: str, side: int, pairs: int, seen: dict
    ) -> Binary:
        source, target = corpus.request.suffixes
        suffix = corpus.request.suffixes[side]
        prefix = self.work.path(corpus.task, f"{split}.{source}-{target}.{suffix}")
        binary = read_binary(prefix)
        if binary.examples != pairs or binary.tokens != seen["symbols"]:
            raise UserError(
                f"{prefix}.bin: fairseq-preprocess wrote {binary.examples} examples of"
                f" {binary.tokens} symbols for {pairs} texts of {seen['symbols']}; prepare again"
            )
        return binary

    def _write_listing(self) -> None:
        """Held-out texts and the list of what was left out go beside the binaries."""
        with self.work.path(DROPPED_NAME).open("w", encoding="utf-8") as listing:
            for corpus, split in self._splits():
                listing.write(self.work.path(_LISTS, f"{corpus.task}.{split}").read_text("utf-8"))
                if split != "train":
                    for raw in self._sides(_RAW, corpus, split):
                        shutil.copyfile(raw, self.work.path(_TEXT, raw.name))

    def _splits(self) -> list[tuple[Corpus, str]]:
        return [(corpus, split) for corpus in self.corpora for split in corpus.splits]

    def _sides(self, folder: str, corpus: Corpus, split: str) -> tuple[Path, Path]:
        """``FOLDER/TASK.SPLIT.LANG`` of both sides."""
        source, target = (
            self.work.path(folder, f"{corpus.task}.{split}.{suffix}")
            for suffix in corpus.request.suffixes
        )
        return source, target


def _share(binary: Binary) -> float:
    return round(binary.unknown / binary.tokens, 6) if binary.tokens else 0.0
