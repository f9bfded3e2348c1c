"""Changes to the files of a valid case: in their bytes, their lines, and in the values that they hold.

A file whose ending says what it is (``.json``, ``.jsonl``, ``.yaml``, ``.pt``, ``.npy``) is taken apart, a
value in it replaced, left out or moved, and put together again, so that what comes is well-formed and wrong.
"""

import io
import json
import os
import random
import re
import struct
from argparse import Namespace
from collections.abc import Callable
from pathlib import PurePath

import numpy as np
import torch
import yaml

Values = Callable[[], object]
"""Gives a value that JSON can hold."""

LARGEST = 1 << 18
DEEP = 20_000
DEEP_YAML = 400  # too deep for its reader in Python, which is slow
IN_DEEP = "lists in lists"
"""Stands for so many lists in one another, which no value of Python's can be written from."""
LONG = "9" * 5_000


class Program:
    """Pickles as a program that would run in the reading process."""

    def __reduce__(self):
        return os.system, ("touch taken",)


NASTY_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\t",
        "\r",
        "\x0b",
        "\x1b[2J\x1b]0;taken\x07",
        "\u2028",
        "\u202e",
        "\ufeff",
        "\u00b2",
        "\u0663",
    ),
    *("../../taken", "/taken", "a/../../taken", "en/../../../taken", ".", "..", "-", "--", "~", "nul\0byte"),
    *("<script>taken</script>", "</script>", "=1+1", "{{ 7 * 7 }}", "${oc.env:HOME}", "%s%n", "[/bold]"),
    *("nan", "inf", "-inf", "1e999", "-1", "0", "1e-400", LONG, "0x10", "1_000", "True", "null", "~"),
    *(
        "H-0\t-1\tx",
        "H-99999999999999999999\t0\tx",
        f"H-{LONG}\t0\tx",
        "<doc id=0>",
        "</doc>",
        "|||",
        "x" * 70_000,
    ),
    *("!!python/object/apply:os.system ['touch taken']", "&a [*a, *a]", "\ud800", "en", "zh", "train"),
)
NASTY_NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**32, 2**63 - 1, 2**63, -(2**63), 2**64, 10**400, 0.5)
NASTY_VALUES = (
    *(None, True, False, [], {}, [[]], "", float("nan"), float("inf"), -float("inf")),
    *(IN_DEEP,) * 5,
    *NASTY_NUMBERS,
    *NASTY_TEXTS,
)
NASTY_BYTES = (
    *(
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x1f\x8b",
        b"PK\x03\x04",
        b"\xed\xa0\x80",
        b"\r\n",
        b"\n",
        b"\n\n",
    ),
    *(b"[" * DEEP, b'{"a":' * DEEP, b"-" * 50, b"\x93NUMPY\x01\x00", b"\x80\x02", b"MMIDIDX\x00\x00"),
    *(text.encode("utf-8", "surrogatepass") for text in NASTY_TEXTS),
)
_NUMBER = re.compile(rb"\d+")


def change(rng: random.Random, case: dict[str, bytes], values: Values | None = None) -> dict[str, bytes]:
    """A case with one to three changes; ``values`` gives what is put in place of values."""
    changed = dict(case)
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(sorted(changed))
        changed[name] = _changed(rng, name, changed[name], values or (lambda: rng.choice(NASTY_VALUES)))
    return changed


def _changed(rng: random.Random, name: str, content: bytes, values: Values) -> bytes:
    rebuild = _CODECS.get(PurePath(name).suffix)
    if rebuild and rng.random() < 0.7:
        try:
            return rebuild(rng, content, values)[:LARGEST]
        except Exception:  # it was changed before, or a value has no place in the format
            return _insert(rng, content)
    return rng.choice(_OF_BYTES)(rng, content)[:LARGEST]


def _insert(rng: random.Random, content: bytes) -> bytes:
    at = rng.randint(0, len(content))
    return content[:at] + rng.choice(NASTY_BYTES) + content[at:]


def _flip(rng: random.Random, content: bytes) -> bytes:
    if not content:
        return b"\0"
    at = rng.randrange(len(content))
    return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]


def _cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randint(0, len(content))]


def _take_out(rng: random.Random, content: bytes) -> bytes:
    first, last = sorted((rng.randint(0, len(content)), rng.randint(0, len(content))))
    return content[:first] + content[last:]


def _repeat(rng: random.Random, content: bytes) -> bytes:
    first, last = sorted((rng.randint(0, len(content)), rng.randint(0, len(content))))
    return content[:last] + content[first:last] * rng.choice((1, 2, 50)) + content[last:]


def _of_lines(rng: random.Random, content: bytes) -> bytes:
    """A line left out, said twice, put elsewhere or replaced."""
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    line = lines.pop(at)
    into = rng.choice(([], [line, line], [rng.choice(NASTY_BYTES)]))
    lines[at:at] = into
    if rng.random() < 0.3:
        lines.insert(rng.randint(0, len(lines)), line)
    return b"\n".join(lines)


def _other_number(rng: random.Random, content: bytes) -> bytes:
    """Another number in digits."""
    found = list(_NUMBER.finditer(content))
    if not found:
        return _insert(rng, content)
    one = rng.choice(found)
    number = rng.choice((*NASTY_NUMBERS, LONG, "nan", "1e999", "\u00b2"))
    return content[: one.start()] + str(number).encode() + content[one.end() :]


def _other_word(rng: random.Random, content: bytes) -> bytes:
    """Another number of 4 or 8 bytes at a place that is a multiple of 1, 4 or 8."""
    form = rng.choice(("<i", "<q"))
    width, step = struct.calcsize(form), rng.choice((1, 4, 8))
    if len(content) < width:
        return _insert(rng, content)
    at = rng.randrange(0, len(content) - width + 1, step)
    number = rng.choice(NASTY_NUMBERS[:9]) % (1 << 8 * width)
    return content[:at] + number.to_bytes(width, "little") + content[at + width :]


_OF_BYTES = (_insert, _flip, _cut, _take_out, _repeat, _of_lines, _of_lines, _other_number, _other_word)


def _with_other_value(rng: random.Random, tree: object, values: Values) -> object:
    """``tree`` with something in it replaced, left out or named otherwise; branches are copied."""
    if isinstance(tree, Namespace):
        changed = _with_other_value(rng, vars(tree), values)
        return Namespace(**{str(k): v for k, v in changed.items()}) if isinstance(changed, dict) else changed
    inner = isinstance(tree, dict | list | tuple) and len(tree)
    if not inner or rng.random() < 0.15:
        return values()
    if isinstance(tree, dict):
        key = rng.choice(list(tree))
        fate = rng.random()
        if fate < 0.12:
            return {k: v for k, v in tree.items() if k != key}
        if fate < 0.2:
            return {(str(rng.choice(NASTY_TEXTS)) if k == key else k): v for k, v in tree.items()}
        return {**tree, key: _with_other_value(rng, tree[key], values)}
    at = rng.randrange(len(tree))
    items = list(tree)
    items[at : at + 1] = rng.choice(([], [items[at]] * 2, *[[_with_other_value(rng, items[at], values)]] * 4))
    return items


def _json(rng: random.Random, content: bytes, values: Values) -> bytes:
    return _dumped(_with_other_value(rng, json.loads(content), values))


def _jsonl(rng: random.Random, content: bytes, values: Values) -> bytes:
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = _dumped(_with_other_value(rng, json.loads(lines[at] or b"{}"), values))
    return b"\n".join(lines)


def _dumped(tree: object) -> bytes:
    return json.dumps(tree).replace(f'"{IN_DEEP}"', "[" * DEEP + "]" * DEEP).encode()


def _yaml(rng: random.Random, content: bytes, values: Values) -> bytes:
    tree = _with_other_value(rng, yaml.safe_load(content), values)
    text = yaml.safe_dump(tree, allow_unicode=True).replace(IN_DEEP, "[" * DEEP_YAML + "]" * DEEP_YAML)
    return text.encode("utf-8", "surrogatepass")


def _checkpoint(rng: random.Random, content: bytes, values: Values) -> bytes:
    """Settings and weights changed; also tensors of other shapes and kinds, and a program in their place."""

    def anything() -> object:
        tensors = (torch.zeros(0), torch.ones(2, 3), torch.zeros(1, dtype=torch.int64), torch.tensor(1.0))
        return rng.choice((values(), rng.choice(tensors), Program(), np.float64(1), {1: 2}, Namespace(a=1)))

    tree = torch.load(io.BytesIO(content), weights_only=True)
    buffer = io.BytesIO()
    torch.save(_with_other_value(rng, tree, anything), buffer)
    return buffer.getvalue()


def _array(rng: random.Random, content: bytes, values: Values) -> bytes:
    """An array of another shape or kind, one of objects among them."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    flat = array.reshape(-1)
    changed = rng.choice(
        (
            lambda: flat,
            lambda: flat[:-1],
            lambda: flat.astype(rng.choice(("f8", "i8", "u1", "c16", "U3", "?"))),
            lambda: np.array([Program(), values()], dtype=object),
            lambda: flat[:0],
            lambda: array[None],
            lambda: np.array(3, array.dtype),
            lambda: _with_extreme(rng, array),
        )
    )()
    buffer = io.BytesIO()
    np.save(buffer, changed, allow_pickle=True)
    return buffer.getvalue()


def _with_extreme(rng: random.Random, array: np.ndarray) -> np.ndarray:
    """One number the least, the greatest, or none."""
    changed = array.copy().reshape(-1)
    if not changed.size:
        return changed
    floats = changed.dtype.kind == "f"
    limits = (np.nan, np.inf, 0) if floats else (np.iinfo(changed.dtype).min, np.iinfo(changed.dtype).max)
    changed[rng.randrange(changed.size)] = rng.choice(limits)
    return changed.reshape(array.shape)


_CODECS = {".json": _json, ".jsonl": _jsonl, ".yaml": _yaml, ".pt": _checkpoint, ".npy": _array}
