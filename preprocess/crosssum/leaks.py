"""What is held out and also trained on: pages in any language, and texts.

A page (URL or id) leaks when a row of validation or test data and one of training name it, whatever the
language and the side; of an id such as ``news:7:en`` the language at its end does not count.  A text leaks
when its key (:func:`preprocess.duplicates.key_of`) stands in both and tells enough by itself.
"""

from typing import NamedTuple

from preprocess.crosssum.digests import Numbers, digest
from preprocess.crosssum.rows import Row
from preprocess.duplicates import is_telling, key_of


class Leak(NamedTuple):
    """What of a row is held out (``page``, ``article``, ``summary``), and by which split."""

    what: str
    split: str


class HeldOutRows:
    """Pages and telling texts of held-out rows, and the split that each was first met in."""

    def __init__(self) -> None:
        self._splits: list[str] = []
        self._pages, self._texts = Numbers(), Numbers()

    def add(self, row: Row, split: str) -> None:
        """Remember a held-out row."""
        if split not in self._splits:
            self._splits.append(split)
        place = self._splits.index(split)
        for page in _pages(row):
            self._pages.setdefault(digest(page), place)
        for text in (row.source, row.target):
            if is_telling(key := key_of(text)):
                self._texts.setdefault(digest(key), place)

    def find_page(self, row: Row, split: str) -> Leak | None:
        """The leak of a row of ``split`` whose page another split holds out."""
        places = (self._pages.get(digest(page)) for page in _pages(row))
        return next(filter(None, (self._leak("page", place, split) for place in places)), None)

    def find_text(self, what: str, text: str, split: str) -> Leak | None:
        """The leak of a text of ``split`` that another split holds out."""
        key = key_of(text)
        return self._leak(what, self._texts.get(digest(key)), split) if is_telling(key) else None

    def _leak(self, what: str, place: int, split: str) -> Leak | None:
        return None if place < 0 or self._splits[place] == split else Leak(what, self._splits[place])


def _pages(row: Row) -> set[str]:
    """The pages of a row without their languages."""
    named = ((row.source_page, row.source_lang), (row.target_page, row.target_lang))
    return {page.removesuffix(f":{language}") for page, language in named if page}
