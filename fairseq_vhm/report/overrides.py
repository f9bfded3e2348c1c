"""``report.toml``: what cannot be read from a run, or should be shown otherwise.

    [runs.zh2en]                      # everything below RUNS/zh2en
    source_lang = "zh"
    target_lang = "en"
    references = ["../data/zh2en.ref"]    # paths are relative to this file
    source = "../data/zh2en.src"
    post_process = "ncls"

    [runs."zh2en/tncls"]              # the nearest table wins, key by key
    name = "TNCLS"
    outputs = "published/tncls.txt"   # makes a run even where there is no such folder
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from fairseq_vhm.errors import UserError, unreadable
from fairseq_vhm.metrics.pieces import PostProcess

FILE_NAME = "report.toml"


@dataclass(frozen=True)
class Override:
    """What the user says of a run; ``None`` where it is to be found out."""

    name: str | None = None
    outputs: Path | None = None
    references: tuple[Path, ...] | None = None
    source: Path | None = None
    source_lang: str | None = None
    target_lang: str | None = None
    post_process: PostProcess | None = None


KEYS = tuple(one.name for one in fields(Override))


@dataclass(frozen=True)
class Overrides:
    """Tables by the run or folder that they are for."""

    tables: Mapping[str, Override] = field(default_factory=dict)

    def of(self, run: str) -> Override:
        """What holds for a run: the tables of its folders and its own, the nearest first."""
        path = PurePosixPath(run)
        names = [".", *(str(parent) for parent in reversed(path.parents) if str(parent) != "."), run]
        found = Override()
        for name in dict.fromkeys(names):
            given = self.tables.get(name, Override())
            found = replace(found, **{k: v for k in KEYS if (v := getattr(given, k)) is not None})
        return found

    def outputs(self) -> dict[str, Path]:
        """Runs that are named with their outputs."""
        return {name: table.outputs for name, table in self.tables.items() if table.outputs}


def read_overrides(path: Path) -> Overrides:
    """The file's tables; an absent file has none.

    Raises:
        UserError: not a file, not TOML, an unknown key, or a value of the wrong kind.
    """
    if not os.path.lexists(path):
        return Overrides()
    if not os.path.isfile(path):
        raise UserError(f"{path}: is no file, nor a link to one; write the settings there, or remove it")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise UserError(f"{path}: not TOML ({error})") from error
    unknown = [key for key in document if key != "runs"]
    if unknown or not isinstance(document.get("runs", {}), dict):
        raise UserError(f'{path}: holds tables [runs.NAME] only, not "{(unknown or ["runs"])[0]}"')
    runs = document.get("runs", {})
    return Overrides({name.strip("/"): _override(path, name, table) for name, table in runs.items()})


def _override(path: Path, name: str, table: object) -> Override:
    where = f'{path}, [runs."{name}"]'
    if not isinstance(table, dict):
        raise UserError(f"{where}: is not a table")
    if unknown := [key for key in table if key not in KEYS]:
        raise UserError(f"{where}: unknown key {unknown[0]}; choose from {', '.join(KEYS)}")
    read = {key: _value(where, path.parent, key, value) for key, value in table.items()}
    return Override(**read)


def _value(where: str, folder: Path, key: str, value: Any) -> Any:
    listed = key == "references"
    texts = value if listed and isinstance(value, list) else [value]
    if not all(isinstance(text, str) and text for text in texts):
        raise UserError(f"{where}: {key} must be {'a list of texts' if listed else 'a text'}")
    if key == "post_process" and value not in get_args(PostProcess):
        raise UserError(f"{where}: post_process must be one of {', '.join(get_args(PostProcess))}")
    if key not in ("outputs", "references", "source"):
        return value
    paths = tuple(folder / text for text in texts)
    if missing := [one for one in paths if not os.path.isfile(one)]:
        raise UserError(f"{where}: {key} {missing[0]}: there is no such file")
    return paths if listed else paths[0]
