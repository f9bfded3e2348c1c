"""The files of a run's folder: ``scores.SRC-TGT.json`` of each pair, and what holds over all of them.

``scores.pairs.json`` is written last, so that a folder with it is whole; ``scores.pairs.md`` has its tables.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import parse_json, write_json, write_text
from fairseq_vhm.language_pairs import means, offtarget, tables
from fairseq_vhm.language_pairs.results import PairScores, counted
from fairseq_vhm.tables import Table

SUMMARY = "scores.pairs.json"
TABLES = "scores.pairs.md"
_BEYOND = 1e18  # any figure
PAIR_FILE = re.compile(r"scores\.(.+)-(.+)\.json")
"""Both languages may hold hyphens: which is which is said inside the file."""


def pair_file(pair: PairScores) -> str:
    return f"scores.{pair.name}.json"


def all_tables(pairs: Sequence[PairScores], least: int) -> list[Table]:
    """All tables, those of wrong languages first."""
    language = tables.language_table(pairs, least)
    return [
        *tables.off_target_tables(pairs),
        tables.overall_table([("all", pairs, least)]),
        *([language] if language else []),
        tables.pair_table(pairs, least),
    ]


def summary(pairs: Sequence[PairScores], least: int, limit: float, **about: Any) -> dict:
    """What ``scores.pairs.json`` holds; see ``docs/metrics.md``."""
    metrics = list(dict.fromkeys(name for pair in pairs for name in pair.metric if name != offtarget.NAME))
    large = counted(pairs, least)
    by_language = means.by_language(large, metrics)
    return {
        **about,
        "examples": sum(pair.count for pair in pairs),
        "warning": offtarget.warning(pairs, limit),
        "off_target": {
            "limit": limit,
            "all": offtarget.over_all(pairs).as_json() if offtarget.told(pairs) else None,
            "target": {one.name: one.as_json() for one in offtarget.by_target(pairs)},
            "pair": {one.name: one.as_json() for one in offtarget.by_pair(pairs)},
            "not_told": offtarget.not_told(pairs),
        },
        "min_pair_size": least,
        "discarded": {pair.name: pair.count for pair in pairs if pair.count < least},
        "means": {
            "all": means.mean(large, metrics).as_json(),
            **{side: {k: v.as_json() for k, v in found.items()} for side, found in by_language.items()},
        },
        "pairs": {
            pair.name: {"n": pair.count, **{m: v for m in metrics if (v := pair.headline(m)) is not None}}
            for pair in pairs
        },
    }


def check_out(out: Path) -> None:
    """Refuse a destination that cannot be a folder, before long work is done for it."""
    if (out.exists() and not out.is_dir()) or not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: not a folder, nor can it be made; give another one")


def write(out: Path, pairs: Sequence[PairScores], least: int, limit: float, **about: Any) -> None:
    """Write all files to ``out``, in place of those that an earlier scoring left there.

    Raises:
        UserError: ``out`` cannot be made or written to.
    """
    document = summary(pairs, least, limit, **about)
    warning = offtarget.warning(pairs, limit)
    parts = [f"**{warning}**"] if warning else []
    parts += [table.markdown() for table in all_tables(pairs, least)]
    try:
        out.mkdir(exist_ok=True)
        for path in _of_earlier_scoring(out):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(f"--out {out}", error) from error
    for pair in pairs:
        write_json(out / pair_file(pair), pair.as_json())
    write_text(out / TABLES, "\n\n".join(parts) + "\n")
    write_json(out / SUMMARY, document)


def read_summary(path: Path) -> dict:
    """``scores.pairs.json``; empty where it is not there or is none."""
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        figures = document.get("min_pair_size", 1), document.get("off_target", {}).get("limit", 0.0)
        return document if isinstance(document["pairs"], dict) and all(map(_is_figure, figures)) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and -_BEYOND < value < _BEYOND


def _of_earlier_scoring(out: Path) -> list[Path]:
    """The files of pairs that an earlier scoring wrote, and its summary before them."""
    earlier = {f"scores.{name}.json" for name in read_summary(out / SUMMARY).get("pairs", {})}
    there = (path for path in sorted(out.glob("scores.*.json")) if path.name in earlier)
    return [out / SUMMARY, *there]
