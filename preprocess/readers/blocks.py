"""Blocks of tagged lines, the form of LCSTS and NCLS: like XML, but not XML.

    <doc id=0>
        <summary>
            one or more lines of text
        </summary>
        <human_label>5</human_label>
    </doc>

Nothing is escaped in them, so an XML parser refuses real files.  A tag stands on a line of its own,
with its text between two such lines or between tags on one line; other lines are text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from preprocess.records import Problem, origin
from preprocess.text import BadText, numbered_lines, to_text

_DOC_OPENS = re.compile(r"<doc\b(?:\s+id\s*=\s*[\"']?([^\"'\s>]*)[\"']?)?\s*>", re.IGNORECASE)
_DOC_CLOSES = "</doc>"
_TAG = re.compile(r"<(/?)([A-Za-z][\w-]*)>")
_INLINE = re.compile(r"<([A-Za-z][\w-]*)>(.*)</\1>")


@dataclass(frozen=True)
class Element:
    """One tagged text of a block; ``tag`` is in lower case."""

    tag: str
    text: str


@dataclass
class Block:
    """One ``<doc>``; ``where`` is the file and line that it starts on."""

    identifier: str
    where: str
    elements: list[Element] = field(default_factory=list)

    def text(self, tag: str) -> str | None:
        """The text of the first element of that name."""
        return next((element.text for element in self.elements if element.tag == tag), None)


class _Broken(Exception):
    """A block that cannot be read; holds the problem that says why."""

    def __init__(self, reason: str, where: str, detail: str = "") -> None:
        super().__init__(reason)
        self.problem = Problem(reason, where, detail)


def read_blocks(path: Path, is_known: Callable[[str], bool]) -> Iterator[Block | Problem]:
    """Blocks of a file in their order; one problem for each block that is broken.

    Args:
        is_known: whether a tag (lower case) may stand in a block.
    """
    return parse_blocks(numbered_lines(path), path, is_known)


def parse_blocks(
    lines: Iterator[tuple[int, bytes]], path: Path, is_known: Callable[[str], bool]
) -> Iterator[Block | Problem]:
    """:func:`read_blocks` of lines that are numbered already."""
    parser = _Parser(path, is_known)
    for number, line in lines:
        yield from parser.take(number, line)
    yield from parser.end()


class _Parser:
    """Takes one line after the other; ``_block`` is the open block, None between blocks.

    After a problem it passes over everything up to the next ``<doc``.
    """

    def __init__(self, path: Path, is_known: Callable[[str], bool]) -> None:
        self._path = path
        self._is_known = is_known
        self._block: Block | None = None
        self._tag: str | None = None
        self._texts: list[str] = []
        self._lost = False

    def take(self, number: int, line: bytes) -> Iterator[Block | Problem]:
        where = origin(self._path, number)
        try:
            text = to_text(line)
            if opening := _DOC_OPENS.fullmatch(text):
                yield from self._open(opening[1] or "", where)
            elif not self._lost and text:
                yield from self._continue(text, where)
        except BadText as bad:
            yield from self._lose(Problem(bad.reason, where, bad.detail))
        except _Broken as broken:
            yield from self._lose(broken.problem)

    def end(self) -> Iterator[Problem]:
        if self._block:
            yield self._cut_off("the file ends")

    def _open(self, identifier: str, where: str) -> Iterator[Problem]:
        if self._block:
            yield self._cut_off(f"the next one starts at {where}")
        self._block = Block(identifier, where)
        self._tag = None
        self._lost = False

    def _continue(self, text: str, where: str) -> Iterator[Block]:
        if self._block is None:
            raise _Broken("text outside of blocks", where)
        if text.lower() == _DOC_CLOSES:
            yield self._close(where)
        elif self._tag is None:
            self._between(text, where)
        else:
            self._inside(text, where)

    def _close(self, where: str) -> Block:
        if self._tag is not None:
            raise _Broken("cut-off block", where, f"<{self._tag}> is not closed")
        block, self._block = self._block, None
        return block  # type: ignore[return-value]  # there is one: _continue

    def _between(self, text: str, where: str) -> None:
        """A line between two elements starts one, or holds a whole one."""
        if inline := _INLINE.fullmatch(text):
            self._start(inline[1], where)
            self._texts.append(inline[2].strip())
            self._finish()
        elif (tag := _TAG.fullmatch(text)) and not tag[1]:
            self._start(tag[2], where)
        else:
            reason = "cut-off block" if tag else "text outside of tags"
            raise _Broken(reason, where, f"{text[:40]}")

    def _inside(self, text: str, where: str) -> None:
        """A line within an element is its text, its end, or shows that its end is missing."""
        tag = _TAG.fullmatch(text)
        name = tag[2].lower() if tag else ""
        if tag and tag[1] and name == self._tag:
            self._finish()
        elif tag and self._is_known(name):
            raise _Broken("cut-off block", where, f"<{self._tag}> is not closed before {text}")
        else:
            self._texts.append(text)

    def _start(self, tag: str, where: str) -> None:
        self._tag = tag.lower()
        self._texts = []
        if not self._is_known(self._tag):
            raise _Broken("unknown tag", where, f"<{tag}>; pass over it with --ignore-tag {tag}")

    def _finish(self) -> None:
        text = " ".join(filter(None, self._texts))
        assert self._block is not None and self._tag is not None, "see _continue"
        self._block.elements.append(Element(self._tag, text))
        self._tag = None

    def _lose(self, problem: Problem) -> Iterator[Problem]:
        """One problem a block: what follows in a broken one is not looked at."""
        if not self._lost:
            yield problem
        self._lost = True
        self._block = None

    def _cut_off(self, detail: str) -> Problem:
        assert self._block is not None, "what was cut off"
        return Problem("cut-off block", self._block.where, f"no {_DOC_CLOSES}: {detail}")
