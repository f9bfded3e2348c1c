"""Articles in XL-Sum's form, and vectors for their summaries at cosines of one's choice: no model decides."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fairseq_vhm.align.embed import open_store
from fairseq_vhm.align.keys import KEY, key_of
from fairseq_vhm.align.settings import Embedding
from preprocess.progress import Progress

QUIET = Progress()


@dataclass(frozen=True)
class Page:
    """An article whose summary has a vector."""

    language: str
    name: str
    vector: np.ndarray
    split: str | None = "train"
    images: tuple[str, ...] = ()
    summary: str | None = None
    text: str | None = None

    @property
    def url(self) -> str:
        return f"https://news/{self.language}/{self.name}"

    @property
    def told(self) -> str:
        return self.summary or f"summary of {self.language} {self.name}"

    def line(self) -> str:
        record = {"id": self.name, "url": self.url, "title": "title", "summary": self.told}
        record["text"] = self.text or f"text of {self.language} {self.name}"
        return json.dumps(record | ({"images": list(self.images)} if self.images else {})) + "\n"


def write(folder: Path, pages: Iterable[Page]) -> Path:
    """``LANG_SPLIT.jsonl`` of the pages, as XL-Sum names them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {}
    for page in pages:
        name = page.language + (f"_{page.split}" if page.split else "")
        lines.setdefault(name, []).append(page.line())
    for name, listed in lines.items():
        (folder / f"{name}.jsonl").write_text("".join(listed), encoding="utf-8")
    return folder


def plant(pages: Iterable[Page], model: Path, cache: Path, precision: str = "float32") -> None:
    """Put the vectors of the pages into the cache of ``model``, which is then never asked."""
    vectors = {page.told: page.vector for page in pages}
    keys = np.array([key_of(text) for text in vectors], dtype=KEY)
    store = open_store(model, cache, Embedding("cpu", precision=precision))
    store.write(keys, np.stack(list(vectors.values())).astype(np.float32))


def at_cosine(cosine: float, place: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors at a cosine, at right angles to those of all other places."""
    axes = np.eye(width)
    return axes[2 * place], cosine * axes[2 * place] + np.sqrt(1 - cosine**2) * axes[2 * place + 1]


@dataclass
class Sets:
    """Disjoint sets, joined one pair at a time: what is transitively joined."""

    parent: dict = field(default_factory=dict)

    def find(self, one):
        while self.parent.setdefault(one, one) != one:
            one = self.parent[one]
        return one

    def join(self, one, other) -> None:
        self.parent[self.find(one)] = self.find(other)


def read_pairs(out: Path) -> list[dict[str, str]]:
    return _read_table(out / "pairs.tsv")


def read_splits(out: Path) -> list[dict[str, str]]:
    return _read_table(out / "splits.tsv")


def addresses(rows: Iterable[Mapping[str, str]]) -> set[frozenset[str]]:
    """The pairs of a table of pairs."""
    return {frozenset({row["source_url"], row["target_url"]}) for row in rows}


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _read_table(path: Path) -> list[dict[str, str]]:
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]
