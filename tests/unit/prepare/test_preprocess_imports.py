"""preprocess/ stays offline: of the plugin it imports text, errors, forms of files, nothing of torch."""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "preprocess"
FORMS = ("data.corpus_layout", "data.corpus_writer", "data.mt5_vocabulary", "files", "language_codes")
ALLOWED = ("fairseq_vhm.errors", "fairseq_vhm.text", *(f"fairseq_vhm.{form}" for form in FORMS), "preprocess")


def imported(path):
    """Full names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_preprocess_imports_no_models_tasks_or_torch(path):
    for name in imported(path):
        root = name.split(".")[0]
        assert root not in {"torch", "fairseq"}
        assert root != "fairseq_vhm" or name.startswith(ALLOWED)
