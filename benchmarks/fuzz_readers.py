"""What the project reads: a valid case of each format, and the function that reads it as its command does.

``READERS`` has them by name.  A reader is given the folder of a case, reads all of it, and writes, where it
writes, into that folder alone.
"""

import contextlib
import gzip
import importlib.util
import io
import json
import sys
import tempfile
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fairseq import checkpoint_utils

from fairseq_vhm.align.articles import Reading, read_articles
from fairseq_vhm.align.files import find_sources
from fairseq_vhm.align.folder import check_out
from fairseq_vhm.align.identical import shared_content
from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.search import Searches
from fairseq_vhm.align.settings import Searching
from fairseq_vhm.align.store import VectorStore
from fairseq_vhm.card import build as cards
from fairseq_vhm.card import facts
from fairseq_vhm.checkpoints import average
from fairseq_vhm.conversion.parameters import convert_parameters, longest_texts
from fairseq_vhm.conversion.released import Released, read_vocabulary
from fairseq_vhm.conversion.vocabulary import ReleasedVocabulary
from fairseq_vhm.data.corpus import DERIVED, Corpus
from fairseq_vhm.data.corpus_layout import KINDS
from fairseq_vhm.data.corpus_writer import CorpusWriter, StoreWriter
from fairseq_vhm.data.dictionaries import read_dictionary
from fairseq_vhm.data.loading import PairOptions, TaskFolder, load_dictionary, load_pairs
from fairseq_vhm.human_eval import display
from fairseq_vhm.human_eval.criteria import KEYS
from fairseq_vhm.human_eval.key import KEY_FILE, read_key
from fairseq_vhm.human_eval.ratings import RATINGS_FORMAT, checksum, read_all
from fairseq_vhm.human_eval.results import evaluate
from fairseq_vhm.human_eval.sheet import Settings, make_sheets
from fairseq_vhm.language_pairs import files as pair_files
from fairseq_vhm.language_pairs.examples import read_examples
from fairseq_vhm.language_pairs.results import PairScores
from fairseq_vhm.metrics.outputs import read_numbered, read_pairs
from fairseq_vhm.pipeline.documents import Document
from fairseq_vhm.pipeline.folder import RunFolder
from fairseq_vhm.pipeline.lines import chunks, examine
from fairseq_vhm.pipeline.settings import parse_generation
from fairseq_vhm.report.checkpoint import read_checkpoint
from fairseq_vhm.report.logs import is_training_log, read_log
from fairseq_vhm.report.overrides import read_overrides
from fairseq_vhm.report.pairs import pair_tables, wrong_language_tables, wrong_languages
from fairseq_vhm.report.runs import find_runs
from fairseq_vhm.report.texts import Given, test_sets
from fairseq_vhm.tasks.evaluation import GenerationMetrics
from fairseq_vhm.text.embedding_cache import EmbeddingFolder
from fairseq_vhm.text.lexicon import read_lexicon
from fairseq_vhm.text.mt5 import read_config
from fairseq_vhm.text.pretrained import depth
from fairseq_vhm.text.segment import Segmenter
from fairseq_vhm.text.start_tokens import start_tokens, with_map
from fairseq_vhm.text.subword import SubwordSegmenter, train_model
from fairseq_vhm.text.trimming import read_model
from preprocess.collect import collect_split, read_collected
from preprocess.corpus import open_corpus
from preprocess.crosssum.collect import READING_ORDER, Collector
from preprocess.crosssum.inputs import find_inputs, parse_languages
from preprocess.crosssum.rows import read_rows
from preprocess.dictionary import load_counts, symbols_of
from preprocess.lexicon import LexiconSettings, count_lexicon
from preprocess.links import Alignments
from preprocess.progress import Progress
from preprocess.readers import Request
from preprocess.symbols import write_symbols
from preprocess.text import numbered_lines
from preprocess.workspace import finished

Case = dict[str, bytes]
QUIET = Progress()
LONGEST_NAME = 255  # of a file
ENGLISH = ["the court opened on monday .", "rain fell on the coast .", "a cat sat here .", "prices rose ."]
CHINESE = ["法院周一开庭。", "海岸下雨。", "一只猫坐在这里。", "物价上涨。"]


@dataclass(frozen=True)
class Reader:
    """``what`` says where the format comes in; ``case`` makes a valid one."""

    name: str
    what: str
    case: Callable[[], Case]
    read: Callable[[Path], object]


READERS: dict[str, Reader] = {}


def reader(name: str, what: str, case: Case | Callable[[], Case]):
    """Enter a function in ``READERS``."""

    def enter(read: Callable[[Path], object]) -> Callable[[Path], object]:
        READERS[name] = Reader(name, what, case if callable(case) else lambda: dict(case), read)
        return read

    return enter


def drain(items: Iterable) -> None:
    deque(items, maxlen=0)


def lines(texts: Iterable[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def rows(records: Iterable[object]) -> bytes:
    return lines(json.dumps(record, ensure_ascii=False) for record in records)


def one(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def array(values) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values), allow_pickle=False)
    return buffer.getvalue()


def files_of(make: Callable[[Path], object]) -> Callable[[], Case]:
    """The files that ``make`` writes into a folder."""

    def case() -> Case:
        with tempfile.TemporaryDirectory() as name:
            make(Path(name))
            found = (path for path in sorted(Path(name).rglob("*")) if path.is_file())
            return {path.relative_to(name).as_posix(): path.read_bytes() for path in found}

    return case


# vhm prepare


def collect(folder: Path, spec: str, task: str = "cls", languages: tuple[str, str] = ("en", "zh")) -> None:
    """Collect the training part of a corpus, bad lines left out; one pair is drawn for validation."""
    corpus = open_corpus(Request(task, *languages), {"train": spec}, hold_out=1, seed=1)
    sides = folder / "out.source", folder / "out.target"
    collect_split(corpus, "train", sides, folder / "findings", "drop", QUIET)
    drain(read_collected(sides))


@reader("lines", "prepare", {"x.train.en": lines(ENGLISH), "x.train.zh": lines(CHINESE)})
def read_lines_of_two_files(folder: Path) -> None:
    collect(folder, f"lines:{folder}/x")


@reader("parallel", "prepare", {"x": lines(f"{a} ||| {b}" for a, b in zip(ENGLISH, CHINESE, strict=True))})
def read_joined_lines(folder: Path) -> None:
    collect(folder, f"parallel:{folder}/x")


JSON_ROWS = [
    {"source": a, "target": b, "source_lang": "en", "target_lang": "zh"}
    for a, b in zip(ENGLISH, CHINESE, strict=True)
]


@reader("jsonl", "prepare", {"train.jsonl": rows(JSON_ROWS)})
def read_json_lines(folder: Path) -> None:
    collect(folder, f"jsonl:{folder}")


@reader("gzip", "prepare", {"x.gz": gzip.compress(lines(ENGLISH), mtime=0)})
def read_packed_lines(folder: Path) -> None:
    drain(numbered_lines(folder / "x.gz"))


LCSTS = "".join(
    f"<doc id={n}>\n<human_label>5</human_label>\n<summary>\n摘要{n}\n</summary>\n"
    f"<short_text>\n正文{n}\n</short_text>\n</doc>\n"
    for n in range(4)
).encode()
EN2ZH = "".join(
    f"<doc id={n}>\n<Article>\nA story {n} .\n</Article>\n<EN-REF1>\nFact {n} .\n</EN-REF1>\n"
    f"<ZH-REF1>\n事实{n}。\n</ZH-REF1>\n<ZH-REF1-human-corrected>\n实{n}。\n</ZH-REF1-human-corrected>\n</doc>\n"
    for n in range(4)
).encode()
ZH2EN = "".join(
    f"<doc id={n}>\n<EN-REF1>\nFact {n} .\n</EN-REF1>\n<ZH-REF1>\n事实{n}。\n</ZH-REF1>\n</doc>\n"
    for n in range(4)
).encode()


@reader("lcsts", "prepare", {"PART_I.txt": LCSTS})
def read_lcsts(folder: Path) -> None:
    collect(folder, f"lcsts:{folder}", "ms", ("zh", "en"))


@reader("ncls en2zh", "prepare", {"EN2ZHSUM_train.txt": EN2ZH})
def read_ncls_en2zh(folder: Path) -> None:
    collect(folder, f"ncls:{folder}")


@reader(
    "ncls zh2en",
    "prepare",
    {
        "ZH2ENSUM_train.txt": ZH2EN,
        "ZH2ENSUM_valid.txt": ZH2EN,
        "ZH2ENSUM_test.txt": ZH2EN,
        "PART_I.txt": LCSTS,
    },
)
def read_ncls_zh2en(folder: Path) -> None:
    collect(folder, f"ncls:{folder}", "cls", ("zh", "en"))


def crosssum_row(number: int, **more) -> dict:
    page = f"https://news/{number}"
    return {
        "text": f"article {number}",
        "summary": f"summary {number}",
        "url": page,
        "id": str(number),
        **more,
    }


@reader(
    "crosssum",
    "prepare crosssum",
    {
        "english_train.jsonl": rows(crosssum_row(n) for n in range(3)),
        "en-bn_val.jsonl": rows(crosssum_row(n, source_url=f"s{n}", target_url=f"t{n}") for n in range(7, 9)),
        "any_test.jsonl": rows(crosssum_row(n, source_lang="en", target_lang="zh-CN") for n in range(9, 11)),
    },
)
def read_crosssum(folder: Path) -> None:
    out = folder / "out"
    for name in ("texts", "pairs", "raw"):
        (out / name).mkdir(parents=True)
    found = find_inputs([str(folder)], {})
    with (out / "findings").open("w", encoding="utf-8") as findings:
        collector = Collector(out, findings, "drop", drop_leaks=True)
        for split in (split for split in READING_ORDER if split in found):
            items = (row for name in found[split] for row in read_rows(Path(name), ("en", "en")))
            collector.collect(split, items, QUIET)
        collector.close()


@reader("dictionary", "prepare", {"dict.txt": lines(f"w{n} {9 - n}" for n in range(6))})
def read_symbols(folder: Path) -> None:
    symbols_of(folder / "dict.txt")


@reader("counts", "prepare, resumed", {"counts.txt": lines(f"w{n} {9 - n}" for n in range(6))})
def read_counts(folder: Path) -> None:
    load_counts(folder / "counts.txt")


@reader(
    "alignments",
    "prepare lexicon",
    {
        "en": lines(ENGLISH),
        "de": lines(ENGLISH),
        "forward": lines(["0-0 1-1"] * 4),
        "reverse": lines(["0-0"] * 4),
    },
)
def read_alignments(folder: Path) -> None:
    files = (folder / name for name in ("en", "de", "forward", "reverse"))
    count_lexicon(Alignments(*files), LexiconSettings(), QUIET)


@reader("lexicon", "--lexicon", {"lexicon.tsv": lines(["cat\t猫\t0.5", "cat\t貓\t0.25", "dog\t狗\t1"])})
def read_entries(folder: Path) -> None:
    drain(read_lexicon(folder / "lexicon.tsv"))


@reader("manifest", "prepare, repeated", {"manifest.json": one({"fingerprint": "x", "outputs": {"a": "b"}})})
def read_manifest(folder: Path) -> None:
    finished(folder, "x", overwrite=False)


# fairseq's binary format


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


def generated(numbers: Iterable[int], texts: Iterable[str]) -> bytes:
    """A log of ``fairseq-generate``."""
    parts = [
        (f"S-{n}\tx", f"T-{n}\ty", f"H-{n}\t-0.5\t{text}", f"P-{n}\t-0.5 -0.25")
        for n, text in zip(numbers, texts, strict=True)
    ]
    return lines(line for part in parts for line in part)


@reader("corpus of many languages", "training data", files_of(write_many))
def read_many(folder: Path) -> None:
    corpus = Corpus.open(folder / "DATA")
    for language in corpus.languages:
        for store in (corpus.texts(kind, language) for kind in KINDS):
            drain(store[number] for number in range(len(store)))
    for split in corpus.splits:
        drain(corpus.derived(split, task) for task in DERIVED)
        read_examples(corpus, split, folder / "test.log")


# vhm align


def write_articles(folder: Path) -> None:
    for language in ("en", "bn"):
        records = [crosssum_row(n, images=["a.png"], identical=[f"p{n}"]) for n in range(3)]
        (folder / f"{language}_train.jsonl").write_bytes(rows(records))
    (folder / "out").mkdir()
    (folder / "out" / "report.json").write_bytes(one({"format": "vhm align 1"}))


@reader("articles", "align", files_of(write_articles))
def read_xlsum(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (folder / "out" / "report.json").rename(folder / "report.json")
    languages = read_articles(find_sources([folder], {}), Reading("drop"), QUIET)
    for articles in languages:
        drain(articles.read(range(len(articles))))
    nodes = Nodes(languages)
    shared_content(nodes, 2)
    drain(nodes.url(number) for number in range(len(nodes.article_language)))
    check_out(folder, overwrite=True, settings={})


KEYS_OF_SHARD = np.array([3, 5, 8], np.uint64)


def write_shards(folder: Path) -> None:
    store = VectorStore(folder / "model", "float32")
    store.write(KEYS_OF_SHARD, np.eye(3, 4, dtype=np.float32))
    store.write(KEYS_OF_SHARD[:2], np.eye(2, 4, dtype=np.float32))


@reader("shards", "align, resumed", files_of(write_shards))
def read_shards(folder: Path) -> None:
    store = VectorStore(folder / "model", "float32")
    if not len(store.missing(KEYS_OF_SHARD)):
        store.cosines(KEYS_OF_SHARD, KEYS_OF_SHARD[::-1])


def searches(folder: Path) -> Searches:
    store = VectorStore(folder / "model", "float32")
    return Searches(folder, store, {"en": KEYS_OF_SHARD, "bn": KEYS_OF_SHARD}, Searching())


def write_answer(folder: Path) -> None:
    searched = searches(folder)
    answer = {"target": np.zeros(3, np.int32), "cosine": np.ones(3, np.float32)}
    answer |= {"sample": np.empty(0, np.int64), "exact": np.empty(0, np.float32)}
    np.savez(folder / "en-bn.npz", mark=np.array(searched._mark("en", "bn")), **answer)


@reader("answers of searches", "align, resumed", files_of(write_answer))
def read_answers(folder: Path) -> None:
    searches(folder).read("en", "bn")


def write_embedding(folder: Path) -> None:
    EmbeddingFolder(folder, "model").put("a text", np.ones(4, np.float32))


@reader("embeddings kept", "score --cache", files_of(write_embedding))
def read_embedding(folder: Path) -> None:
    EmbeddingFolder(folder, "model").get("a text")


# vhm score, compare


@reader("outputs", "score", {"hyp": lines(ENGLISH), "ref": lines(reversed(ENGLISH))})
def read_outputs_and_references(folder: Path) -> None:
    read_pairs(folder / "hyp", [folder / "ref"], "en")


@reader("log of generation", "score", {"hyp": generated(range(4), ENGLISH), "ref": lines(ENGLISH)})
def read_log_and_references(folder: Path) -> None:
    read_pairs(folder / "hyp", [folder / "ref"], "en", "subword_nmt")


@reader(
    "references in JSON",
    "score",
    {"hyp": lines(ENGLISH), "ref.jsonl": rows({"refs": [text, text]} for text in ENGLISH)},
)
def read_several_references(folder: Path) -> None:
    read_pairs(folder / "hyp", [folder / "ref.jsonl"], "en")


@reader("outputs in JSON", "score --corpus", {"h.jsonl": rows({"id": n, "output": "x"} for n in range(3))})
def read_numbered_outputs(folder: Path) -> None:
    read_numbered(folder / "h.jsonl", 3)


# vhm human-eval


def write_study(folder: Path) -> None:
    (folder / "src").write_bytes(lines(ENGLISH))
    for name in "ab":
        (folder / name).write_bytes(lines(f"{name} {text}" for text in ENGLISH))


def make_study(folder: Path, out: Path) -> None:
    hyp = [str(folder / name) for name in "ab"]
    make_sheets(Settings(hyp, "en", folder / "src", samples=3, annotators="anna,ben"), out)


def write_ratings(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_study(Path(name))
        make_study(Path(name), Path(name) / "study")
        key = read_key(Path(name) / "study" / KEY_FILE)
    (folder / KEY_FILE).write_bytes(one(key.as_json()))
    for annotator in key.orders:
        ratings = {item: dict.fromkeys(KEYS, 3) for item in key.items}
        export = {"format": RATINGS_FORMAT, "study": key.study, "annotator": annotator, "ratings": ratings}
        export |= {"comments": {str(key.samples[0]["number"]): "good"}, "checksum": checksum(ratings)}
        (folder / f"{annotator}.json").write_bytes(one(export))


@reader("texts of a study", "human-eval sheet", files_of(write_study))
def read_study(folder: Path) -> None:
    make_study(folder, folder / "study")


def write_old_study(folder: Path) -> None:
    write_study(folder)
    make_study(folder, folder / "study")


@reader("folder of a study", "human-eval sheet, repeated", files_of(write_old_study))
def read_old_study(folder: Path) -> None:
    make_study(folder, folder / "study")


@reader("key and ratings", "human-eval results", files_of(write_ratings))
def read_ratings(folder: Path) -> None:
    key = read_key(folder / KEY_FILE)
    read = read_all([folder / "anna.json", folder / "ben.json"], key, lenient=True)
    results = evaluate(read, key)
    drain(table.plain() for table in display.tables(results))
    json.dumps(display.as_json(results))


# vhm report, card


def json_log() -> bytes:
    inner = [
        f"2026-01-01 00:00:00 | INFO | train_inner | "
        f'{{"epoch": 1, "num_updates": "{n}", "ups": "2.5", "train_wall": "10", "kl_cls": "0.5"}}'
        for n in range(25, 125, 25)
    ]
    head = ["2026 | INFO | fairseq_cli.train | training on 1 devices (GPUs/TPUs)"]
    head += ["2026 | INFO | fairseq_cli.train | num. shared model params: 1,000"]
    end = ['2026 | INFO | valid | {"epoch": 1, "valid_num_updates": "100", "valid_kl_cls": "1"}']
    end += ['2026 | INFO | train | {"epoch": 1, "train_num_updates": "100", "train_train_wall": "40"}']
    return lines([*head, *inner, *end, "2026 | INFO | fairseq_cli.train | done training in 9.0 seconds"])


SIMPLE_LOG = lines(
    [
        "2026 | INFO | train_inner | epoch 001:     50 / 100 loss=9.1, nll_loss=8, num_updates=50, ups=2",
        "2026 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 8 | num_updates 100",
        "2026 | INFO | train | epoch 001 | loss 8 | train_wall 20 | num_updates 100",
        "rank   0: capabilities =  9.0  ; total memory = 139 GB ; name = NVIDIA H200",
    ]
)


@reader("training log", "report", {"train.log": json_log(), "simple.log": SIMPLE_LOG})
def read_training_logs(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        is_training_log(path.read_bytes().decode("utf-8", "replace"))
        log = read_log(path)
        log.timing(), log.updates, log.hardware, log.series("train_inner", "kl_cls")


SCORES = {"metric": {"rouge1": {"f": 40.0, "p": 41.0}}, "signature": {"rouge1": "rouge|x"}, "n": 3}
PAIR = {**SCORES, "source": "en", "target": "bn"}
PAIR["metric"] = {
    **SCORES["metric"],
    "offtarget": {"value": 33.3, "empty": 0, "unidentified": 0, "identified": 3, "references": 0, "in_hi": 1},
}
SUMMARY = {"pairs": {"en-bn": {"n": 3}}, "min_pair_size": 1, "off_target": {"limit": 5.0}}


@reader(
    "folder of runs",
    "report",
    {
        "a/train.log": json_log(),
        "a/test.log": generated(range(4), ENGLISH),
        "a/scores.json": one(SCORES),
        "m/scores.en-bn.json": one(PAIR),
        "m/scores.pairs.json": one(SUMMARY),
    },
)
def read_runs(folder: Path) -> None:
    runs = find_runs(folder, read_overrides(folder / "report.toml"))
    test_sets(runs, Given(lang="en"), folder)
    drain(table.markdown() for table in (*wrong_language_tables(runs), *pair_tables(runs)))
    wrong_languages(runs)


@reader(
    "earlier scores",
    "score --corpus, repeated",
    {"out/scores.pairs.json": one(SUMMARY), "out/scores.en-bn.json": b"{}"},
)
def read_earlier_scores(folder: Path) -> None:
    pair = PairScores("en", "bn", 3, PAIR["metric"], PAIR["signature"])
    pair_files.write(folder / "out", [pair], least=1, limit=5.0)


@reader(
    "report.toml",
    "report",
    {"report.toml": b'[runs.a]\nname = "A"\nsource_lang = "zh"\nreferences = ["ref"]\n', "ref": b"x\n"},
)
def read_settings_of_report(folder: Path) -> None:
    read_overrides(folder / "report.toml").of("a/b")


SECTIONS = {
    "optimization": {"max_update": 400, "lr": [0.005]},
    "checkpoint": {"save_dir": "runs", "best_checkpoint_metric": "loss"},
    "criterion": {"_name": "elbo", "kl_anneal_steps": 200},
    "optimizer": {"_name": "adam"},
    "lr_scheduler": {"_name": "inverse_sqrt"},
    "task": {"_name": "cross_lingual_summarization", "tasks": "cls,mt,ms", "data": "DATA"},
}
MODEL = Namespace(arch="vhm_transformer", latents="mt,ms,cls", latent_dim=8, no_hierarchy=False)


def checkpoint(**changes) -> bytes:
    state = {
        "args": None,
        "cfg": {**SECTIONS, "model": MODEL},
        "model": {
            "encoder.version": torch.ones(1),
            "w": torch.ones(3, 2),
            "b.embed_tokens.weight": torch.ones(4),
        },
        "optimizer_history": [{"num_updates": 400, "lr_scheduler_state": {"best": 2.5}}],
        "extra_state": {"best": 2.5, "epoch": 1},
        "last_optimizer_state": None,
    }
    return saved(state | changes)


OLD = checkpoint(args=Namespace(**vars(MODEL), task="cross_lingual_summarization"), cfg=None)


@reader("checkpoint", "report", {"checkpoint_best.pt": checkpoint()})
def read_a_checkpoint(folder: Path) -> None:
    found = read_checkpoint(folder / "checkpoint_best.pt")
    found.checked().settings.get("arch")


@reader("checkpoint with args", "report", {"checkpoint_best.pt": OLD})
def read_an_old_checkpoint(folder: Path) -> None:
    read_a_checkpoint(folder)


@reader("checkpoints", "average, training", {"a.pt": checkpoint(), "b.pt": checkpoint()})
def read_checkpoints(folder: Path) -> None:
    checkpoint_utils.load_checkpoint_to_cpu(str(folder / "a.pt"))
    average([folder / "a.pt", folder / "b.pt"], folder / "out.pt")


MANIFEST = {
    "segmentation": {"kind": "subword", "model": "spm.model", "lowercase": False},
    "tasks": {"cls": {"train": {"pairs": 3}}},
}


@reader(
    "model, manifest, scores",
    "card",
    {"best.pt": checkpoint(), "DATA/manifest.json": one(MANIFEST), "scores.json": one(SCORES)},
)
def read_facts(folder: Path) -> None:
    found = facts.gather(folder / "best.pt", [folder / "scores.json"], None, folder / "DATA")
    cards.write(cards.build(found), folder / "card")


# vhm convert


def released() -> bytes:
    """A checkpoint of the released code with one layer of width 4."""
    sizes: dict[str, tuple[int, ...]] = {"task1_generator.linear_hidden": (9, 4)}
    weights: dict[str, torch.Tensor] = {}
    for part, blocks in (("encoder", ["self_attn"]), ("task1_decoder", ["self_attn", "src_attn"])):
        weights[f"{part}.embedding.embedding.weight"] = torch.ones(9, 4)
        weights[f"{part}.embedding.pe"] = torch.ones(20, 4)
        for block in blocks:
            for name in ("linear_q", "linear_k", "linear_v"):
                weights[f"{part}.layers.0.{block}.{name}.weight"] = torch.ones(4, 4)
            sizes[f"{part}.layers.0.{block}.final_linear"] = (4, 4)
        weights[f"{part}.layers.0.feed_forward.linear_in.weight"] = torch.ones(6, 4)
        weights[f"{part}.layers.0.feed_forward.linear_out.weight"] = torch.ones(4, 6)
        for norm in [f"layers.0.norm.{n}" for n in range(len(blocks) + 1)] + ["norm"]:
            weights |= {f"{part}.{norm}.{kind}": torch.ones(4) for kind in ("weight", "bias")}
    weights["task1_decoder.upper_triangle"] = torch.ones(20, 20)
    for name, parents in (("mt", 0), ("mls", 0), ("cls", 4)):
        sizes[f"mu_{name}_prior"], sizes[f"mu_{name}_post"] = (2, 4 + parents), (2, 8 + parents)
        sizes[f"output_{name}"] = (4, 6)
    for name, size in sizes.items():
        weights |= {f"{name}.weight": torch.ones(size), f"{name}.bias": torch.ones(size[0])}
    options = Namespace(heads=2, dropout=0.1, label_smoothing=0.1, mono=False)
    return saved({"model": weights, "opt": options})


@reader("released code's", "convert", lambda: {"released.pt": released(), "vocab": lines(["cat", "dog"])})
def read_released(folder: Path) -> None:
    found = Released.load(folder / "released.pt")
    vocabulary = ReleasedVocabulary(read_vocabulary(folder / "vocab"))
    found.shares_embeddings, found.option("heads", int), longest_texts(found)
    convert_parameters(found, vocabulary.rows(), 1, latents=True)


# vhm pipeline


@reader("documents", "pipeline", {"input": lines(ENGLISH)})
def read_documents(folder: Path) -> None:
    examine(folder / "input", "input")
    drain(Document.of(text, "en") for chunk in chunks(folder / "input", "input", 2) for text in chunk)


CHUNK = {"documents": [{"text": "A cat.", "sentences": ["A cat."]}], "counts": {"documents": 1}}


@reader(
    "folder of a pipeline",
    "pipeline, resumed",
    {
        "out/settings.json": one({"--beam": 4}),
        "out/work/translate/000000.json": one(CHUNK),
        "out/report.json": b'{"files": [], "counts": {"documents": 1}}',
    },
)
def read_pipeline(folder: Path) -> None:
    run = RunFolder(folder / "out")
    with run.locked():
        run.claim({"--beam": 4})
        run.report  # noqa: B018  (reads it)
        run.publish("translate", "translated.txt")


@reader("generation settings", "pipeline, training", {"given.json": b'{"max_len_b": 100, "beam": 2}'})
def read_generation(folder: Path) -> None:
    text = (folder / "given.json").read_bytes().decode("utf-8", "replace")
    GenerationMetrics.generation_settings(text)
    parse_generation("--mt-gen-args", text, "fairseq")


# examples/run.py


def script(path: Path):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


examples_run = script(Path(__file__).parents[1] / "examples" / "run.py")


@reader(
    "row, scale, list",
    "examples/run.py",
    {
        "row.yaml": b"train:\n  arch: vhm_transformer\n  latents: none\nneeds:\n  RUN/a: vhm x RUN/a\n",
        "list.yaml": b"rows: [row.yaml]\nfractions: [0.5, 1.0]\nseeds: [1, 2]\n",
        "scale.yaml": b"source: en\ntarget: zh\ntrain: {lr: 0.1}\ngenerate: {beam: 4}\nscore: {lang: TGT}\n",
    },
)
def read_rows_and_scale(folder: Path) -> None:
    given = Namespace(
        scale=folder / "scale.yaml", rows=[folder / "list.yaml"], data=folder, out=folder / "out"
    )
    given.fractions = given.seeds = None
    try:
        for job in examples_run.jobs_of(given):
            drain(examples_run.commands(job))
    except SystemExit as error:
        if not str(error).startswith("run.py: "):
            raise


# vocabularies and settings of models


def write_segmentation(folder: Path) -> None:
    text = [f"{text} number {n}" for n in range(30) for text in ENGLISH]
    (folder / "spm.model").write_bytes(train_model(text, 40, 1.0))
    (folder / "manifest.json").write_bytes(one(MANIFEST))


@reader("manifest, SentencePiece model", "interactive", files_of(write_segmentation))
def read_segmentation(folder: Path) -> None:
    segmenter = Segmenter.load(folder)
    segmenter.decode(segmenter.encode("A cat, 猫.", "en"), "en")
    read_model(folder / "spm.model")
    SubwordSegmenter(folder / "spm.model").vocabulary()


MT5 = {"model_type": "mt5", "vocab_size": 300, "pad_token_id": 0, "eos_token_id": 1}


@reader("config.json", "mT5, encoders", {"config.json": one(with_map(MT5) | {"num_hidden_layers": 2})})
def read_configuration(folder: Path) -> None:
    config = read_config(folder, "--mt5")
    start_tokens(config)
    depth(folder, "--encoder")


@reader("names of languages", "prepare, align", {"name": b"english-bengali"})
def read_names(folder: Path) -> None:
    parse_languages((folder / "name").read_bytes().decode("utf-8", "replace")[:LONGEST_NAME])
