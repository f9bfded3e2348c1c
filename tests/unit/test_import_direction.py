"""Imports flow one way, read off the code; and light commands stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "fairseq_vhm"

ALLOWED = {
    "errors": set(),
    "supported": set(),
    "names": set(),
    "plugins": {"errors"},
    "files": {"errors"},
    "tables": {"errors"},
    "language_codes": {"errors"},
    "pages": {"errors"},
    "report": {"errors", "files", "language_pairs", "names", "tables", "pages", "metrics", "compat"},
    "language_pairs": {"data", "errors", "files", "metrics", "tables", "text"},
    "align": {"errors", "files", "language_codes", "report", "tables", "text"},
    "human_eval": {"errors", "files", "metrics", "pages", "tables"},
    "compat": {"errors"},
    "latent": set(),
    "modules": {"latent"},
    "models": {"language_codes", "names", "modules", "latent", "compat", "errors", "generation", "text"},
    "criterions": {"names", "latent", "modules", "errors"},
    "optimizers": {"errors"},
    "data": {"names", "errors", "compat", "files", "language_codes", "text"},
    "text": {"errors", "files", "language_codes"},
    "metrics": {"errors", "files", "tables", "text"},
    "generation": {"latent", "errors", "text"},
    "tasks": {"names", "data", "latent", "generation", "metrics", "errors", "files", "compat"},
    "pipeline": {"data", "errors", "files", "tasks", "text"},
    "conversion": {"checkpoints", "compat", "errors", "files", "models", "names"},
    "trimming": {"checkpoints", "compat", "data", "errors", "files", "names", "report", "tables", "text"},
    "checkpoints": {"errors", "compat", "files", "names"},
    "card": {"data", "errors", "files", "language_codes", "report", "tables", "text"},
    "doctor": {"errors", "metrics", "supported"},
    "planning": {"compat", "data", "errors", "names", "tables", "tasks", "text"},
}


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "fairseq_vhm" and len(parts) > 1:
                rooms.add(parts[1])
            if name == "fairseq_vhm" and isinstance(node, ast.ImportFrom):
                rooms |= {alias.name for alias in node.names}
    return rooms


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_the_floors_below_it(room):
    single = PACKAGE / f"{room}.py"
    for path in [single] if single.exists() else (PACKAGE / room).rglob("*.py"):
        forbidden = imported_rooms(path) - ALLOWED[room] - {room}
        assert not forbidden, f"{path.relative_to(PACKAGE)} imports {forbidden}"


def test_every_room_is_listed():
    rooms = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__", "cli"} == set(ALLOWED)


def loaded_after(code: str, argv0: str = "vhm") -> set[str]:
    program = f"import sys; sys.argv = [{argv0!r}]; {code}; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in result.stdout.splitlines()[-1].split()}


def test_the_vhm_command_starts_without_torch_and_fairseq():
    loaded = loaded_after("import fairseq_vhm.cli.score, fairseq_vhm.cli.prepare")
    assert not loaded & {"torch", "fairseq", "faiss", "transformers", "sentence_transformers"}


def test_importing_the_plugin_loads_no_optional_package():
    loaded = loaded_after("import fairseq_vhm", argv0="fairseq-train")
    assert "fairseq" in loaded
    assert not loaded & {"faiss", "transformers", "sentence_transformers", "matplotlib", "jieba"}
