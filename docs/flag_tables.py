"""``{flags} MODULE.CLASS``: a page's table of the flags that a dataclass of settings stands for."""

import re
from dataclasses import MISSING, Field, fields
from enum import EnumType
from importlib import import_module

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Flags(SphinxDirective):
    """The fields that have a help, a line each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table, as the page's own Markdown would give it."""
        module, _, name = self.arguments[0].rpartition(".")
        settings = getattr(import_module(module), name)
        rows = [row_of(field) for field in fields(settings) if "help" in field.metadata]
        return self.parse_text_to_nodes("\n".join(["| flag | default | |", "|---|---|---|", *rows]))


def row_of(field: Field) -> str:
    """Flag, default and help; the choices that a flag has stand before the help."""
    alias = field.metadata.get("argparse_alias", "")
    flag = alias if alias.startswith("--") else "--" + field.name.replace("_", "-")
    default = field.default_factory() if field.default is MISSING else field.default
    shown = "" if default in (None, "", False) else f"`{default}`"
    choices = ", ".join(f"`{one.value}`" for one in field.type) if isinstance(field.type, EnumType) else ""
    meaning = re.sub(r"([*<|\[])", r"\\\1", field.metadata["help"])
    return f"| `{flag}` | {shown} | {f'{choices}: ' * bool(choices)}{meaning} |"


def setup(app) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_directive("flags", Flags)
    return {"parallel_read_safe": True}
