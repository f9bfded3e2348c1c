"""What was prepared, on stdout."""

from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

_COLUMNS = ("part", "pairs", "dropped", "twins", "side", "mean", "p95", "max", "cut", "unk %")
_CAPTION = "twins: also in held-out text; mean to max: symbols before cutting"


def print_summary(manifest: dict, out: Path, is_new: bool) -> None:
    """Print a row for each side of each part, and where everything is."""
    table = Table(*_COLUMNS, caption=_CAPTION, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for task, splits in manifest["tasks"].items():
        for split, part in splits.items():
            for side in ("source", "target"):
                table.add_row(*_row(f"{task}.{split}", part, side))
    console = Console()
    console.print(table)
    done = "prepared" if is_new else "was prepared already, from the same settings and inputs"
    size = manifest["dictionary"]["size"]
    console.print(f"{out} {done}: joined dictionary of {size} symbols", soft_wrap=True)


def _row(name: str, part: dict, side: str) -> list[str]:
    seen = part[side]
    length = seen["length"]
    first = [name, part["pairs"], sum(part["dropped"].values()), sum(part["duplicates"].values())]
    if side == "target":
        first = ["", "", "", ""]
    shown = [seen["suffix"], length["mean"], length["p95"], length["max"], seen["truncated"]]
    return [str(cell) for cell in (*first, *shown, f"{100 * seen['unknown_share']:.2f}")]


def print_lexicon(account: dict, out: Path) -> None:
    """Print what a lexicon was made from and how much it covers."""
    links = ", ".join(f"{number:,} {name}" for name, number in account["links"].items())
    each = account["entries"] / account["translated_words"]
    print(f"{out}: {account['entries']:,} translations of {account['translated_words']:,} words")
    print(f"lines {account['lines']:,}; links {links}; {each:.1f} translations a word")
    print(
        f"{account['translated_words']:,} of {account['source_words']:,} source words have one, "
        f"{100 * account['coverage']:.1f} % of their occurrences"
    )
