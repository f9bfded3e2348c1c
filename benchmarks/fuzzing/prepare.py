"""Readers of ``vhm prepare``: corpora, dictionaries, alignments, manifests."""

import gzip
from pathlib import Path

from fairseq_vhm.text.lexicon import read_lexicon
from fuzzing.cases import CHINESE, ENGLISH, QUIET, crosssum_row, drain, lines, one, reader, rows
from preprocess.collect import collect_split, read_collected
from preprocess.corpus import open_corpus
from preprocess.crosssum.collect import READING_ORDER, Collector
from preprocess.crosssum.inputs import find_inputs
from preprocess.crosssum.rows import read_rows
from preprocess.dictionary import load_counts, symbols_of
from preprocess.lexicon import LexiconSettings, count_lexicon
from preprocess.links import Alignments
from preprocess.readers import Request
from preprocess.text import numbered_lines
from preprocess.workspace import finished


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
