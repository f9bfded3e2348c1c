"""What a corpus of CrossSum's size costs: disk, opening, memory, a batch, against one folder of text a pair.

    python benchmarks/corpus_of_pairs.py            # a twentieth of the examples of every direction
    python benchmarks/corpus_of_pairs.py --full     # all of them

The number of examples of each direction is CrossSum's (``crosssum_pairs.tsv``); token ids are drawn at
random, lengths from log-normal distributions with means of some 550 and 45 subwords.  How many articles and
summaries a language has the table does not say: as many as its largest direction needs, or its examples
divided by ``--times-used``.

Folders a pair are measured with ``vhm prepare trio`` on a few directions of generated text, beside ``vhm
prepare crosssum`` on the same rows; the figures for all directions are extrapolated, and said to be.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
COUNTS = HERE / "crosssum_pairs.tsv"
DICTIONARY_SIZE = 64_000
ARTICLE_TOKENS, SUMMARY_TOKENS = 550, 45
LONGEST = 1022
BATCH, BATCHES = 32, 100
MIB = 1 << 20
SUBSET = ("en", "bn", "ru", "sw")
SUBSET_EVENTS = 200

Direction = tuple[str, str]


def read_counts(share: float) -> dict[Direction, int]:
    """Examples of each direction, ``share`` of CrossSum's, at least one each."""
    rows = (line.split("\t") for line in COUNTS.read_text().splitlines() if not line.startswith("#"))
    next(rows)
    return {(source, target): max(1, round(share * int(count))) for source, target, count in rows}


def texts_of(counts: dict[Direction, int], side: int, times_used: float) -> dict[str, int]:
    """How many texts each language has on a side: 0 for articles, 1 for summaries."""
    totals, largest = Counter(), Counter()
    for direction, count in counts.items():
        totals[direction[side]] += count
        largest[direction[side]] = max(largest[direction[side]], count)
    return {language: max(largest[language], round(totals[language] / times_used)) for language in totals}


def write_store(rng, prefix: Path, count: int, mean: float, raw: bool) -> None:
    """A store of random texts."""
    from fairseq_vhm.data.corpus_layout import with_extension
    from fairseq_vhm.data.corpus_writer import StoreWriter

    spread = 0.6
    with StoreWriter(prefix, DICTIONARY_SIZE) as writer:
        for start in range(0, count, 10_000):
            size = min(10_000, count - start)
            drawn = rng.lognormal(np.log(mean) - spread**2 / 2, spread, size)
            lengths = np.clip(drawn, 2, LONGEST + 1).astype(np.int32)
            ids = rng.integers(4, DICTIONARY_SIZE, lengths.sum(), dtype=np.int32)
            ids[np.cumsum(lengths) - 1] = 2
            writer.extend(ids, lengths)
    if raw:
        with_extension(prefix, ".txt").write_text("a summary of some twenty words\n" * count)


def generate(folder: Path, counts: dict[Direction, int], times_used: float, length: float) -> None:
    """A corpus with these directions; nine tenths of each are training, the rest validation."""
    from fairseq_vhm.data import corpus_layout as layout
    from fairseq_vhm.data.corpus_writer import write_info, write_own, write_pairs

    rng = np.random.default_rng(1)
    for name in (layout.TEXTS, layout.PAIRS):
        (folder / name).mkdir(parents=True)
    (folder / layout.DICTIONARY).write_text("".join(f"piece{n} 1\n" for n in range(DICTIONARY_SIZE - 4)))
    articles, summaries = (texts_of(counts, side, times_used) for side in (0, 1))
    for language in articles:
        prefix = layout.text_prefix(folder, layout.ARTICLES, language)
        write_store(rng, prefix, articles[language], ARTICLE_TOKENS * length, raw=False)
        prefix = layout.text_prefix(folder, layout.SUMMARIES, language)
        write_store(rng, prefix, summaries[language], SUMMARY_TOKENS * length, raw=True)
        write_own(folder, language, np.arange(articles[language]) % summaries[language])
    pairs = {"train": {}, "valid": {}}
    for (source, target), count in sorted(counts.items()):
        sides = rng.permutation(articles[source])[:count], rng.permutation(summaries[target])[:count]
        both, held = np.stack(sides, 1).astype(np.int32), count // 10
        pairs["valid"][source, target], pairs["train"][source, target] = both[:held], both[held:]
    for split, groups in pairs.items():
        write_pairs(folder, split, groups)
    write_info(folder, sorted(articles), pairs, "sentencepiece")


def disk(folder: Path, *patterns: str) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for pattern in patterns for path in folder.rglob(pattern))


def forget(folder: Path) -> None:
    """Ask the system to drop the files of a folder from memory, so that opening meets the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def memory(pid: int | str = "self") -> dict[str, float]:
    """MiB of a process: ``rss``, and ``own``: what it shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return {"rss": sizes["Rss"], "own": sizes["Private_Clean"] + sizes["Private_Dirty"]}


class Examples:
    """Examples of a corpus by their number, as a loader takes them."""

    def __init__(self, corpus):
        self.corpus, self.table = corpus, corpus.pairs("train")

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: int):
        source, target = self.table.directions[int(self.table.group_of(number))]
        article, summary = self.table.texts[number]
        return self.corpus.articles(source)[article], self.corpus.summaries(target)[summary]


def pad(samples: list) -> tuple:
    """A batch of sources and targets."""
    from torch.nn.utils.rnn import pad_sequence

    return tuple(pad_sequence(list(side), batch_first=True) for side in zip(*samples, strict=True))


def open_here(folder: Path, workers: int) -> dict:
    """Open the corpus in this process and take batches from it, with ``workers`` loader processes."""
    from torch.utils.data import DataLoader

    from fairseq_vhm.data.corpus import Corpus

    before, start = memory(), time.perf_counter()
    corpus = Corpus.open(folder)
    opened, after = time.perf_counter() - start, memory()
    numbers = np.random.default_rng(2).permutation(len(corpus.pairs("train")))[: BATCH * BATCHES].tolist()
    loader = DataLoader(Examples(corpus), BATCH, sampler=numbers, num_workers=workers, collate_fn=pad)
    batches = iter(loader)
    next(batches)
    start, taken = time.perf_counter(), sum(1 for _ in batches)
    seconds = time.perf_counter() - start
    loaders = iter(loader)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    [next(loaders) for _ in range(BATCHES // 2)]
    return {
        "open_s": opened,
        "open_mib": after["rss"] - before["rss"],
        "batch_ms": 1000 * seconds / max(taken, 1),
        "rss_mib": memory()["rss"],
        "own_mib": [memory()["own"], *(memory(child)["own"] for child in children)],
    }


def measure_opening(folder: Path, workers: int, ranks: int, cold: bool = False) -> dict:
    """The same in ``ranks`` fresh processes at a time; times and memory of the slowest and largest."""
    if cold:
        forget(folder)
    argv = [sys.executable, "-W", "ignore", __file__, "--open", folder, "--workers", str(workers)]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(ranks)]
    found = [json.loads(process.communicate()[0]) for process in running]
    most = {key: max(one[key] for one in found) for key in ("open_s", "open_mib", "batch_ms", "rss_mib")}
    each = {"own_mib": max(max(one["own_mib"][1:], default=0.0) for one in found)}
    return {"workers": workers, "ranks": ranks, "cold": cold} | most | {"worker_own_mib": each["own_mib"]}


def fairseq_opening(folder: Path) -> float:
    """Seconds that fairseq's own reader takes to open all stores."""
    code = (
        "import sys, time; from pathlib import Path; "
        "from fairseq.data.indexed_dataset import MMapIndexedDataset as Read; "
        "names = sorted(Path(sys.argv[1]).glob('texts/*.idx')); start = time.perf_counter(); "
        "kept = [Read(str(name)[:-4]) for name in names]; print(time.perf_counter() - start)"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    return float(done.stdout)


def write_subset(folder: Path, events: int) -> int:
    """Rows of generated words in the neutral form, every direction of a few languages; how many."""
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghiklmnoprstuvz", k=rng.randint(2, 9))) for _ in range(4000)]
    told = defaultdict(str)
    for language in SUBSET:
        for event in range(events + 20):
            told[language, event, "a"] = " ".join(rng.choices(words, k=300))
            told[language, event, "s"] = " ".join(rng.choices(words, k=25))
    folder.mkdir()
    for split, numbers in (("train", range(events)), ("valid", range(events, events + 20))):
        with (folder / f"{split}.jsonl").open("w") as file:
            for event in numbers:
                for source in SUBSET:
                    for target in set(SUBSET) - {source}:
                        row = {"source_lang": source, "target_lang": target}
                        row |= {"source": told[source, event, "a"], "target": told[target, event, "s"]}
                        file.write(json.dumps(row) + "\n")
    return events * len(SUBSET) * (len(SUBSET) - 1)


def vhm(*arguments) -> float:
    """Seconds of a command."""
    start = time.perf_counter()
    code = "import sys; sys.argv[0] = 'vhm'; from fairseq_vhm.cli import main; main()"
    argv = [sys.executable, "-c", code, *map(str, arguments), "--workers", "1", "--quiet"]
    subprocess.run(argv, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def compare_preparing(folder: Path, events: int, directions: int = 3) -> dict:
    """Both ways to prepare the same rows: one corpus, and a folder a direction (a few of them)."""
    rows = write_subset(folder / "rows", events)
    first = folder / "corpus"
    trained = vhm("prepare", "crosssum", first, folder / "rows", "--vocab-size", 3000)
    model = ("--spm", first / "spm.model")
    once = vhm("prepare", "crosssum", folder / "again", folder / "rows", *model)
    chosen = [(s, t) for s in SUBSET for t in SUBSET if s != t][:directions]
    seconds = []
    for source, target in chosen:
        out, languages = folder / f"{source}-{target}", ("--source-lang", source, "--target-lang", target)
        files = ("--cls", f"jsonl:{folder / 'rows'}", "--spm-model", first / "spm.model")
        seconds.append(vhm("prepare", "trio", out, *languages, *files))
    pair = folder / "{}-{}".format(*chosen[0])
    total = len(SUBSET) * (len(SUBSET) - 1)
    return {
        "rows": rows,
        "directions": total,
        "corpus_s": once,
        "corpus_with_training_s": trained,
        "folder_s": sum(seconds) / len(seconds),
        "folders_s": total * sum(seconds) / len(seconds),
        "corpus_mib": disk(folder / "again", "*.bin", "*.idx", "*.npy") / MIB,
        "folders_mib": total * disk(pair, "*.bin", "*.idx") / MIB,
    }


def folders_on_disk(folder: Path) -> float:
    """MiB of ids and indices if every pair had its own copy of its two texts; exact for this corpus."""
    from fairseq_vhm.data.corpus import Corpus

    corpus, total = Corpus.open(folder), 0
    for split in corpus.splits:
        table = corpus.pairs(split)
        for source, target in table.directions:
            pairs = table.of((source, target))
            sizes = corpus.articles(source).sizes[pairs[:, 0]], corpus.summaries(target).sizes[pairs[:, 1]]
            total += sum(2 * int(side.sum(dtype=np.int64)) + 12 * len(side) + 26 for side in sizes)
    return total / MIB


def measure(folder: Path, arguments) -> dict:
    """All figures."""
    counts = read_counts(1.0 if arguments.full else arguments.share)
    start = time.perf_counter()
    generate(folder / "DATA", counts, arguments.times_used, arguments.length)
    figures: dict = {"directions": len(counts), "examples": sum(counts.values())}
    figures["generated_s"] = time.perf_counter() - start
    figures["ids_mib"] = disk(folder / "DATA", "*.bin", "*.idx") / MIB
    figures["pairs_mib"] = disk(folder / "DATA", "*.npy") / MIB
    figures["ids_in_folders_mib"] = folders_on_disk(folder / "DATA")
    ways = [(0, 1, True), (0, 1, False), (2, 1, False), (4, 1, False), (0, 2, False), (2, 2, False)]
    figures["opening"] = [measure_opening(folder / "DATA", *way) for way in ways]
    figures["fairseq_open_s"] = fairseq_opening(folder / "DATA")
    figures["preparing"] = compare_preparing(folder, arguments.events)
    return figures


OPENING = {
    "loader workers": ("workers", "d"),
    "ranks": ("ranks", "d"),
    "cold": ("cold", "d"),
    "open s": ("open_s", ".3f"),
    "open MiB": ("open_mib", ".1f"),
    "RSS MiB": ("rss_mib", ".0f"),
    "worker's own MiB": ("worker_own_mib", ".0f"),
    "batch ms": ("batch_ms", ".2f"),
}
"""Columns of the table of opening, the figure of each, and how it is written."""


def show(figures: dict) -> str:
    """The figures as text."""
    from fairseq_vhm.tables import Table

    rows = [[format(one[key], form) for key, form in OPENING.values()] for one in figures["opening"]]
    prep, folders = figures["preparing"], figures["directions"]
    return f"""\
{figures["examples"]:,} examples in {folders:,} directions, generated in {figures["generated_s"]:.0f} s
disk: texts once {figures["ids_mib"]:,.0f} MiB, pairs {figures["pairs_mib"]:.1f} MiB; a folder a pair: \
ids {figures["ids_in_folders_mib"]:,.0f} MiB

{Table("", [*OPENING], rows).plain()}
fairseq's own reader opens the same texts in {figures["fairseq_open_s"]:.2f} s (it reads them whole)

preparing {prep["rows"]:,} rows in {prep["directions"]} directions, measured, one core, with a given model:
one corpus {prep["corpus_s"]:.1f} s ({prep["corpus_with_training_s"]:.1f} s with training SentencePiece), \
{prep["corpus_mib"]:.1f} MiB
a folder a direction {prep["folder_s"]:.1f} s each (mean of 3), {prep["folders_s"]:.0f} s and \
{prep["folders_mib"]:.1f} MiB for all {prep["directions"]}
extrapolated: {folders:,} folders of {prep["rows"] // prep["directions"]:,} rows take \
{prep["folder_s"] * folders / 3600:.1f} h"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all examples of CrossSum")
    parser.add_argument("--share", type=float, default=0.05, help="share of each direction's examples")
    parser.add_argument("--length", type=float, default=1.0, help="scale of the texts' lengths")
    parser.add_argument("--times-used", type=float, default=4.0, help="examples that share an article")
    parser.add_argument("--events", type=int, default=SUBSET_EVENTS, help="events of the rows to prepare")
    parser.add_argument("--folder", type=Path, help="where to work; else a temporary folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        print(json.dumps(open_here(arguments.open, arguments.workers)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = measure(Path(folder), arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(show(figures))


if __name__ == "__main__":
    main()
