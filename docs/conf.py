"""Settings of the documentation site, which ``make docs`` builds; its pages are the files beside this one."""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import fairseq_vhm  # noqa: E402  (found by the line above)

logging.getLogger("markdown_it").setLevel(logging.WARNING)  # importing fairseq lets all loggers speak

project = "fairseq_vhm"
version = release = fairseq_vhm.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "flag_tables"]
myst_heading_anchors = 3
smartquotes = False  # "--" begins a flag

PUBLIC = (
    *("latent", "modules", "models", "criterions", "data", "tasks", "generation", "metrics", "text", "align"),
    "errors",
)
"""The packages, and one module, whose docstrings are the API."""
OPTIONAL = (
    *("bert_score", "faiss", "fasttext", "matplotlib"),
    *("ot", "ray", "sentence_transformers", "transformers"),
)
"""What extras bring; the build does without them."""
autodoc_mock_imports = [name for name in OPTIONAL if find_spec(name) is None]
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
toc_object_entries_show_parents = "hide"
nitpicky = True
OTHERS = (
    *("argparse.", "collections.", "contextlib.", "fairseq.", "nltk.", "numpy.", "omegaconf.", "pathlib."),
    *("str.", "torch."),
)
"""What has no pages here to link to; nor has what is private, or no name but a form of a type."""
PRIVATE = (
    *(r"(dict|tuple)\[str", "optional"),
    "fairseq_vhm.(tables|report|text.encoders._|align.workers.(Task|Result))",
)
nitpick_ignore_regex = [("py:.*", rf"({'|'.join(OTHERS)}).*"), ("py:.*", rf"({'|'.join(PRIVATE)}).*")]

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = f"fairseq_vhm {release}"
html_copy_source = False
html_show_copyright = False


def write_api(app) -> None:
    """A page for each public package: its docstring, then those of its modules and of what they define."""
    folder = Path(app.srcdir) / "api"
    for package in PUBLIC:
        modules = sorted((ROOT / "fairseq_vhm" / package).glob("[!_]*.py"))
        lines = [package, "=" * len(package), "", f".. automodule:: fairseq_vhm.{package}"]
        lines += ["   :no-members:", ""] if modules else [""]
        for name in (path.stem for path in modules):
            lines += [name, "-" * len(name), "", f".. automodule:: fairseq_vhm.{package}.{name}", ""]
        page, text = folder / f"{package}.rst", "\n".join(lines)
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def keep_colons(app, what: str, name: str, thing, options, lines: list[str]) -> None:
    """Keep napoleon from taking what stands before a colon in a constant's docstring for its type."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment


def find_by_name(app, env, node, content):
    """A name without its module, or with a package that hands it on, is the one object of that name."""
    if node.get("refdomain") != "py" or node["reftarget"].startswith(OTHERS):
        return None
    node["refspecific"] = True
    name = node["reftarget"].rpartition(".")[2]
    python = env.get_domain("py")
    return python.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], name, node, content)


def setup(app) -> None:
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon, at 500
    app.connect("missing-reference", find_by_name)
    app.connect("builder-inited", write_api)
