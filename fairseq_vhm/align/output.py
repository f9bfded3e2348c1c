"""What a run leaves: pairs as CrossSum has them or as an index, and the split of every article.

::

    OUT/pairs.tsv                  each pair once: languages, addresses, cosine, how found, split
    OUT/splits.tsv                 each article: language, address, split, that of its file, unit
    OUT/pairs/SRC-TGT_SPLIT.jsonl  source_url, target_url, summary (of the target), text (of the source)
    OUT/pairs/LANG-LANG_SPLIT.jsonl  an article with its own summary
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_vhm.align.articles import NO_SPLIT
from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.pairs import FOUND, Pairs
from fairseq_vhm.align.settings import SPLITS
from fairseq_vhm.align.splits import Assignment

PAIRS = "pairs"
PAIR_COLUMNS = (
    *("source_lang", "target_lang", "source_url", "target_url"),
    *("cosine", "found", "lowered", "split"),
)
ARTICLE_COLUMNS = ("lang", "url", "split", "given_split", "unit")
LEFT_OUT, UNKNOWN = "left-out", "-"


def write_index(folder: Path, nodes: Nodes, pairs: Pairs, assignment: Assignment) -> None:
    """``pairs.tsv``, the pairs that are left out among them, and ``splits.tsv``."""
    _write_table(folder / "pairs.tsv", PAIR_COLUMNS, _pair_rows(nodes, pairs))
    _write_table(folder / "splits.tsv", ARTICLE_COLUMNS, _article_rows(nodes, assignment))


def write_texts(
    folder: Path, nodes: Nodes, pairs: Pairs, assignment: Assignment, own: bool, progress: Any
) -> None:
    """The files of JSON lines, of both directions of each pair of languages; with ``own`` also those of
    articles with their own summaries."""
    jobs = list(_directions(nodes, pairs))
    if own:
        jobs += _own(nodes, assignment)
    progress.stage("write pairs", sum(len(rows) for _, rows in jobs))
    (folder / PAIRS).mkdir()
    for name, rows in jobs:
        with (folder / PAIRS / name).open("w", encoding="utf-8") as out:
            out.writelines(progress.counted(_lines(nodes, rows)))


def _directions(nodes: Nodes, pairs: Pairs) -> Iterator[tuple[str, np.ndarray]]:
    """File name and articles (n, 2), source first, of each direction and split."""
    names = [articles.language for articles in nodes.languages]
    size = len(names)
    codes = (pairs.languages[:, 0] * size + pairs.languages[:, 1]) * len(SPLITS) + pairs.split
    codes = np.where(pairs.dropped, NO_SPLIT, codes)
    order = np.argsort(codes, kind="stable")
    for code, rows in _groups(codes[order], pairs.articles[order]):
        (first, second), split = divmod(code // len(SPLITS), size), SPLITS[code % len(SPLITS)]
        yield f"{names[first]}-{names[second]}_{split}.jsonl", rows
        yield (
            f"{names[second]}-{names[first]}_{split}.jsonl",
            rows[np.argsort(rows[:, 1], kind="stable"), ::-1],
        )


def _own(nodes: Nodes, assignment: Assignment) -> Iterator[tuple[str, np.ndarray]]:
    """File name and articles (n, 2), each with itself, of each language and split."""
    codes = nodes.article_language * len(SPLITS) + assignment.split
    codes = np.where(assignment.left_out, NO_SPLIT, codes)
    order = np.argsort(codes, kind="stable")
    for code, rows in _groups(codes[order], np.stack([order, order], axis=1)):
        name = nodes.languages[code // len(SPLITS)].language
        yield f"{name}-{name}_{SPLITS[code % len(SPLITS)]}.jsonl", rows


def _groups(codes: np.ndarray, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of each code, ascending, those of ``NO_SPLIT`` left out; ``codes`` are in order."""
    values, starts = np.unique(codes, return_index=True)
    for value, start, end in zip(values, starts, [*starts[1:], len(codes)], strict=False):
        if value != NO_SPLIT:
            yield int(value), rows[start:end]


def _lines(nodes: Nodes, rows: np.ndarray) -> Iterator[str]:
    """A line for each pair of articles (n, 2) of one direction."""
    source, first = nodes.place(rows[0, 0])
    target, second = nodes.place(rows[0, 1])
    places = rows - (rows[0] - (first, second))
    for text, summary in zip(source.read(places[:, 0]), target.read(places[:, 1]), strict=True):
        line = {"source_url": text.url, "target_url": summary.url}
        line |= {"summary": summary.summary, "text": text.text}
        yield json.dumps(line, ensure_ascii=False) + "\n"


def _pair_rows(nodes: Nodes, pairs: Pairs) -> Iterator[tuple[str, ...]]:
    names = [articles.language for articles in nodes.languages]
    for i in range(len(pairs)):
        (first, second), languages = pairs.articles[i], pairs.languages[i]
        yield (
            *(names[number] for number in languages),
            *(nodes.url(first), nodes.url(second), f"{pairs.cosine[i]:.4f}", FOUND[pairs.found[i]]),
            *("yes" if pairs.lowered[i] else "no", _split_name(pairs.split[i], LEFT_OUT)),
        )


def _article_rows(nodes: Nodes, assignment: Assignment) -> Iterator[tuple[str, ...]]:
    split, given, unit = assignment.split, assignment.given, assignment.unit
    urls = ((articles.language, url) for articles in nodes.languages for url in articles.urls)
    for i, (language, url) in enumerate(urls):
        names = _split_name(split[i], LEFT_OUT), _split_name(given[i], UNKNOWN)
        yield language, url, *names, str(unit[i])


def _split_name(number: int, otherwise: str) -> str:
    return otherwise if number == NO_SPLIT else SPLITS[number]


def _write_table(path: Path, columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write("\t".join(columns) + "\n")
        out.writelines("\t".join(row) + "\n" for row in rows)
