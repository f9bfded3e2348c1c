"""Tables whose cells users have named: in every form each name stands in its own cell."""

import re

import pytest
from markdown_it import MarkdownIt

from fairseq_vhm.tables import Table

NAMES = ["a|b", "|", r"a\b", "a_b", "$x$"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_in_its_cell_of_markdown(name):
    """As markdown-it, which reads tables as GitHub does, takes the table apart."""
    text = Table("title", [name, "score"], [[name, "1"], ["other", "2"]]).markdown()
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert re.findall(r"<t[hd].*?>(.*?)</t[hd]>", html) == [name, "score", name, "1", "other", "2"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is_on_a_terminal(name):
    lines = Table("title", ["system", "score"], [[name, "1"]]).plain().splitlines()
    assert lines[2].split() == [name, "1"]
