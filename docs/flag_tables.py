"""``{flags} MODULE.CLASS``: a page's table of the flags that a dataclass of settings stands for."""

from dataclasses import MISSING, Field, fields
from importlib import import_module

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Flags(SphinxDirective):
    """The fields that have a help, as flag, default and help; those of the classes before it only once."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].rpartition(".")
        rows = [row_of(field) for field in fields(getattr(import_module(module), name)) if "help" in field.metadata]
        text = ["| flag | default | |", "|---|---|---|", *rows]
        return self.parse_text_to_nodes("\n".join(text))


def row_of(field: Field) -> str:
    """A line of a table in Markdown; choices stand in front of the help."""
    default = field.default_factory() if field.default is MISSING else field.default
    flag = f"--{field.name}" if len(field.name) == 1 else "--" + field.name.replace("_", "-")
    flag = field.metadata.get("argparse_alias", flag) if "--" in field.metadata.get("argparse_alias", "") else flag
    shown = "" if default in (None, "", False) else f"`{default}`"
    choices = " \\| ".join(f"`{one.value}`" for one in field.type) if hasattr(field.type, "__members__") else ""
    meaning = field.metadata["help"].replace("*", "\\*").replace("<", "\\<").replace("|", "\\|").replace("--", "\\--")
    return f"| `{flag}` | {shown} | {choices + ': ' if choices else ''}{meaning} |"


def setup(app) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_directive("flags", Flags)
    return {"parallel_read_safe": True}
