"""preprocess/ stays offline: of the plugin it imports text and errors, and nothing of torch."""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "preprocess"
ALLOWED = ("fairseq_vhm.errors", "fairseq_vhm.text", "preprocess")


def imported(path):
    """Full names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_preprocess_imports_no_models_tasks_or_torch(path):
    for name in imported(path):
        root = name.split(".")[0]
        assert root not in {"torch", "fairseq"}
        assert root != "fairseq_vhm" or name.startswith(ALLOWED)
