"""A reader and its valid case; ``READERS`` has them by name.  And what cases are made of."""

import io
import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from preprocess.progress import Progress

Case = dict[str, bytes]
QUIET = Progress()
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


def files_of(make: Callable[[Path], object]) -> Callable[[], Case]:
    """The files that ``make`` writes into a folder."""

    def case() -> Case:
        with tempfile.TemporaryDirectory() as name:
            make(Path(name))
            found = (path for path in sorted(Path(name).rglob("*")) if path.is_file())
            return {path.relative_to(name).as_posix(): path.read_bytes() for path in found}

    return case


def crosssum_row(number: int, **more) -> dict:
    page = f"https://news/{number}"
    return {
        "text": f"article {number}",
        "summary": f"summary {number}",
        "url": page,
        "id": str(number),
        **more,
    }


def generated(numbers: Iterable[int], texts: Iterable[str]) -> bytes:
    """A log of ``fairseq-generate``."""
    parts = [
        (f"S-{n}\tx", f"T-{n}\ty", f"H-{n}\t-0.5\t{text}", f"P-{n}\t-0.5 -0.25")
        for n, text in zip(numbers, texts, strict=True)
    ]
    return lines(line for part in parts for line in part)


MANIFEST = {
    "segmentation": {"kind": "subword", "model": "spm.model", "lowercase": False},
    "tasks": {"cls": {"train": {"pairs": 3}}},
}
