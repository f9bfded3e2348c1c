"""What was prepared, on stdout: its languages and its splits."""

from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from fairseq_vhm.data.corpus_layout import KINDS

_LANGUAGE_COLUMNS = ("language", "texts", "number", "own", "mean", "p95", "max", "cut", "unk %")
_SPLIT_COLUMNS = ("split", "pairs", "directions", "rows", "repeated", "dropped", "held out", "contradictions")
_CAPTION = "own: articles whose own summary is known; mean to max: symbols before cutting"


def print_corpus(manifest: dict, out: Path, is_new: bool) -> None:
    """Print a row for each store of texts and each split, and where everything is."""
    languages = _table(_LANGUAGE_COLUMNS, _CAPTION)
    for language, account in manifest["languages"].items():
        for kind in KINDS:
            languages.add_row(*_store_row(language, kind, account))
    splits = _table(_SPLIT_COLUMNS)
    for split, counts in manifest["splits"].items():
        sums = (sum(counts[name].values()) for name in ("dropped", "leaks", "contradictions"))
        plain = (counts[name] for name in _SPLIT_COLUMNS[1:5])
        splits.add_row(split, *(f"{number:,}" for number in (*plain, *sums)))
    console = Console()
    console.print(languages, splits)
    done = "prepared" if is_new else "was prepared already, from the same settings and inputs"
    size, number = manifest["dictionary"]["size"], len(manifest["languages"])
    console.print(f"{out} {done}: {number} languages, dictionary of {size:,} symbols", soft_wrap=True)


def _table(columns: tuple[str, ...], caption: str | None = None) -> Table:
    return Table(*columns, caption=caption, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))


def _store_row(language: str, kind: str, account: dict) -> list[str]:
    seen, is_first = account[kind], kind == KINDS[0]
    length = seen["length"]
    own = f"{account['own']:,}" if is_first else ""
    shown = (language if is_first else "", kind, f"{seen['texts']:,}", own)
    figures = (length["mean"], length["p95"], length["max"], seen["truncated"])
    return [*shown, *(f"{figure:,}" for figure in figures), f"{100 * seen['unknown_share']:.2f}"]
