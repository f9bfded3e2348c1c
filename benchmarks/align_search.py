"""Time and memory of ``vhm align``'s search: exact, IVF, and a numpy product that compares all.

Vectors have LaBSE's width and lie around topics; each query is one of them with noise, at cosine 0.8, so that
there is one to find.  They are read from a file in blocks, as in a run.  Each measurement is a process of its
own; its memory is what it holds itself at its most, without the pages of the file.

    python benchmarks/align_search.py [--full] [--queries 2000] [--json FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from fairseq_vhm.align.search import best_cosines, build_index, nearest
from fairseq_vhm.align.settings import Searching
from fairseq_vhm.align.store import BLOCK
from fairseq_vhm.tables import Table

WIDTH, TOPICS, COSINE = 768, 2000, 0.8
SMALL, LARGE = 10**5, 10**6
METHODS = ("exact", "ivf", "numpy")
EQUAL = 1e-5


class File:
    """Vectors in a file, read when they are asked for and not kept."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, path.stat().st_size // (4 * WIDTH)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, rows) -> np.ndarray:
        if isinstance(rows, slice):
            start, end, _ = rows.indices(self.size)
            count = (end - start) * WIDTH
            return np.fromfile(self.path, np.float32, count, offset=4 * WIDTH * start).reshape(-1, WIDTH)
        return np.array(np.memmap(self.path, np.float32, "r").reshape(-1, WIDTH)[rows])


class Memory(threading.Thread):
    """Watches how much memory of its own this process has."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self._over = 0, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, anonymous())

    def stop(self) -> int:
        self._over.set()
        self.join()
        return max(self.most, anonymous())


def anonymous() -> int:
    """Bytes that are no file's pages (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write_vectors(folder: Path, size: int, queries: int) -> None:
    draw = np.random.default_rng(size)
    topics = draw.standard_normal((TOPICS, WIDTH), dtype=np.float32)
    with (folder / "vectors").open("wb") as file:
        for start in range(0, size, BLOCK):
            count = min(BLOCK, size - start)
            noise = draw.standard_normal((count, WIDTH), dtype=np.float32)
            unit(topics[draw.integers(0, TOPICS, count)] + noise).tofile(file)
    asked = File(folder / "vectors")[np.sort(draw.choice(size, queries, replace=False))]
    noise = unit(draw.standard_normal(asked.shape, dtype=np.float32))
    unit(COSINE * asked + (1 - COSINE**2) ** 0.5 * noise).tofile(folder / "queries")


def measure(folder: Path, method: str) -> dict:
    """One method; the cosines that it finds are left in the folder."""
    vectors, asked = File(folder / "vectors"), File(folder / "queries")[:]
    before, memory, start = anonymous(), Memory(), time.perf_counter()
    memory.start()
    if method == "numpy":
        built, found = start, best_cosines(asked, vectors)
    else:
        index = build_index(vectors, Searching(method))
        built = time.perf_counter()
        starts = range(0, len(asked), BLOCK)
        places = np.concatenate([nearest(index, asked[first : first + BLOCK]) for first in starts])
    end = time.perf_counter()
    held = memory.stop() - before
    if method != "numpy":
        found = np.einsum("nd,nd->n", asked, vectors[places])
    np.save(folder / f"{method}.npy", found)
    per = 1000 / len(asked)
    return {"method": method, "build_s": built - start, "s_per_1000": (end - built) * per, "bytes": held}


def run(size: int, queries: int, methods: tuple[str, ...]) -> list[dict]:
    with tempfile.TemporaryDirectory() as name:
        write_vectors(Path(name), size, queries)
        rows = []
        for method in methods:
            print(f"{size:,} vectors: {method}", file=sys.stderr)
            done = subprocess.run(
                [sys.executable, __file__, "--measure", name, method], stdout=subprocess.PIPE, check=True
            )
            found, best = np.load(Path(name) / f"{method}.npy"), np.load(Path(name) / f"{methods[0]}.npy")
            recall = float((found >= best - EQUAL).mean())
            rows.append({"vectors": size, "queries": queries, **json.loads(done.stdout), "recall": recall})
    return rows


def table(rows: list[dict]) -> Table:
    shown = [
        [
            *(f"{row['vectors']:,} {row['method']}", f"{row['build_s']:.1f}", f"{row['s_per_1000']:.2f}"),
            *(f"{row['bytes'] / 2**20:,.0f}", f"{100 * row['recall']:.2f}"),
        ]
        for row in rows
    ]
    heads = ["vectors", "build (s)", "1,000 queries (s)", "memory (MiB)", "found (%)"]
    return Table(f"Search among vectors of {WIDTH} dimensions", heads, shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="also 10^6 vectors, without numpy")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "METHOD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(Path(arguments.measure[0]), arguments.measure[1])))
        return
    rows = run(SMALL, arguments.queries, METHODS)
    if arguments.full:
        rows += run(LARGE, arguments.queries, METHODS[:2])
    print(table(rows).plain())
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
