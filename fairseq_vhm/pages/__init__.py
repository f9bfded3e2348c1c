"""Self-contained HTML pages: one file each, no outside address, texts shown as text.

A page NAME is ``NAME.html`` (a Jinja template that extends ``base.html`` and fills its block
``main``), ``NAME.css`` and ``NAME.js`` in this folder.  Its data are embedded as JSON, which Jinja
escapes for HTML; the script reads them with ``JSON.parse(document.getElementById("data").textContent)``
and puts texts into the page as ``textContent`` only.  A content security policy in the page itself
keeps it from asking any address for anything.
"""

from functools import lru_cache
from importlib.resources import files
from typing import Any

from fairseq_vhm.errors import UserError


def render(name: str, title: str, data: dict) -> str:
    """The page ``name`` as one HTML text.

    Args:
        name: page, a file name in this folder without its ending.
        title: heading and window title.
        data: what JSON can hold; given to the template as ``data`` and to the script as JSON.

    Raises:
        UserError: where Jinja is not installed.
    """
    folder = files(__name__)
    parts = {"css": ("base.css", f"{name}.css"), "js": ("base.js", f"{name}.js")}
    joined = {
        kind: "\n".join((folder / part).read_text(encoding="utf-8") for part in listed)
        for kind, listed in parts.items()
    }
    return _environment().get_template(f"{name}.html").render(title=title, data=data, **joined)


@lru_cache(maxsize=1)
def _environment() -> Any:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise UserError("pages need Jinja: pip install 'fairseq-vhm[report]'") from error
    loader = PackageLoader(__name__, package_path="")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # half the size for Chinese
    return environment
