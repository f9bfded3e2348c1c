"""The two files of a card: made first, then written, so that a failure leaves none."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fairseq_vhm.card.facts import Facts
from fairseq_vhm.card.labels import check_license, without_folders
from fairseq_vhm.card.papers import citation_file
from fairseq_vhm.card.text import card, front_matter
from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import check_folder, write_text

CARD, CITATION = "README.md", "CITATION.cff"


@dataclass(frozen=True)
class Card:
    """Texts by the names of their files, and the same for programs."""

    texts: Mapping[str, str]
    document: dict


def build(facts: Facts, license_name: str | None = None) -> Card:
    """Both texts.

    Raises:
        UserError: the license is no name of one.
    """
    if license_name is not None:
        check_license(license_name)
    texts = {CARD: card(facts, license_name), CITATION: citation_file(facts.papers)}
    return Card(texts, _document(facts, license_name))


def check_out(out: Path, force: bool) -> None:
    """Refuse a destination that cannot be written to, or has a card already."""
    if not str(out).isprintable():
        raise UserError(f"--out {ascii(str(out))}: holds control characters; name another folder")
    check_folder(out, "--out")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; name a folder for the card")
    for path in (out / CARD, out / CITATION):
        if path.is_dir():
            raise UserError(f"{path}: is a folder; give another --out")
        if path.exists() and not force:
            raise UserError(f"{path}: is there already; give --overwrite to replace it, or another --out")


def write(made: Card, out: Path) -> None:
    """Write the files to ``out``, which :func:`check_out` has seen."""
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(f"--out {out}", error) from error
    for name, text in made.texts.items():
        write_text(out / name, text)


def _document(facts: Facts, license_name: str | None) -> dict:
    return {
        "name": facts.name,
        "system": facts.system,
        "checkpoint": facts.checkpoint.path.name,
        "parameters": facts.checkpoint.parameters,
        "updates": facts.checkpoint.updates,
        "best": facts.best,
        "data": {"name": facts.data.name, "languages": list(facts.data.languages), "pairs": facts.data.pairs},
        "settings": {name: without_folders(value) for name, value in facts.differing.items()},
        "scores": {
            one.path.name: {"metric": one.metric, "signature": one.signature, "n": one.count}
            for one in facts.scores
        },
        "front_matter": front_matter(facts, license_name),
        "files": [CARD, CITATION],
    }
