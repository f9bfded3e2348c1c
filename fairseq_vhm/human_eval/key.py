"""``key.json``: what the organiser keeps, the systems behind the items and how the study was made."""

import re
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from fairseq_vhm.errors import UserError, unreadable
from fairseq_vhm.files import parse_json

KEY_FORMAT = "vhm human-eval key 1"
KEY_FILE = "key.json"
ANNOTATOR = re.compile(r"\w[\w.-]*")
"""Names of annotators, which are parts of names of files."""
DAMAGED = "a damaged key; the command that made it makes it again in a new folder"


@dataclass
class Key:
    """A study.

    ``samples`` lists ``{"number", "line", "items": {ITEM: [SYSTEM, ...]}, "empty": [ITEM, ...]}`` in
    the order of the test set; ``orders`` gives for each annotator the items as they stand on the page,
    a list for each sample.  ``study`` names all but the annotators: who rates may change later.
    """

    study: str
    systems: list[str]
    samples: list[dict[str, Any]]
    orders: dict[str, list[list[str]]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    @property
    def items(self) -> dict[str, list[str]]:
        """Systems of each item."""
        return {item: names for sample in self.samples for item, names in sample["items"].items()}

    def as_json(self) -> dict[str, Any]:
        return {"format": KEY_FORMAT, **asdict(self)}


def read_key(path: Path) -> Key:
    """The key at ``path``.

    Raises:
        UserError: where it is missing or is not a whole key.
    """
    content = read_object(path, "key.json of 'vhm human-eval sheet'")
    if content.get("format") != KEY_FORMAT:
        raise UserError(f"{path}: not a key of 'vhm human-eval sheet' ('format' is not '{KEY_FORMAT}')")
    try:
        key = Key(**{name: value for name, value in content.items() if name != "format"})
        whole = _is_whole(key)
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: {DAMAGED} ({error})") from error
    if not whole:
        raise UserError(f"{path}: {DAMAGED}")
    return key


def _is_whole(key: Key) -> bool:
    """Whether every annotator has a name and every item once, and every sample each system once."""
    numbers = {sample["number"]: sample["line"] for sample in key.samples}
    items = sorted(key.items)
    shown = [sorted(item for listed in order for item in listed) for order in key.orders.values()]
    systems = [sorted(chain(*sample["items"].values())) for sample in key.samples]
    known = all(names == sorted(key.systems) for names in systems)
    known = known and all(map(ANNOTATOR.fullmatch, key.orders))
    return known and len(numbers) == len(key.samples) > 0 and all(order == items for order in shown)


def read_object(path: Path, expected: str) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        content = parse_json(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise UserError(f"{path}: damaged, not JSON ({error}); give the {expected}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not the {expected}")
    return content
