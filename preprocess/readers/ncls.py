"""NCLS (Zhu et al., EMNLP 2019): Zh2EnSum and En2ZhSum as released in ZNLP/NCLS-Corpora.

A block holds, for each sentence of the summary, elements named by language (``EN``, ``ZH``), kind
(``REF`` with a number, or ``summary``) and origin: plain, ``human-corrected`` (test sets) or
``back-translated`` (made to filter the corpus).  En2ZhSum has the document in ``<Article>``;
Zh2EnSum has none: its documents are those of LCSTS's ``PART_I.txt`` with the same ``<doc id=..>``.
The layout is the one that the public readers of these files agree on (XL2248/VHM commit 669bcde,
``preprocessing_scripts``; the NCLS loader of ExpressAI/DataLab).

One corpus gives three tasks: cls (document to other-language summary), ms (document to summary in
its own language) and mt (the two summaries, which the released configuration of VHM trains MT on).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fairseq_vhm.errors import UserError
from preprocess.readers import lcsts
from preprocess.readers.articles import Articles, open_articles
from preprocess.readers.base import Request
from preprocess.readers.blocks import Block, read_blocks
from preprocess.readers.lcsts import pair_of
from preprocess.records import Level, Pair, Problem

ARTICLE_TAG = "article"
_LANGUAGES = {"en", "zh"}
_KINDS = {"ref", "summary"}
_CORRECTED = {"human", "corrected"}
_BACK_TRANSLATED = {"back", "translated"}
_JOIN = {"en": " ", "zh": ""}


@dataclass(frozen=True)
class _Role:
    """What a tag says about its text."""

    language: str
    corrected: bool
    back_translated: bool
    number: int | None


@lru_cache
def role_of(tag: str) -> _Role | None:
    """The role of a summary's tag (lower case), None if it is no such tag."""
    words = set(re.findall(r"[a-z]+", tag))
    language, kind = words & _LANGUAGES, words & _KINDS
    qualifiers = words - language - kind
    if len(language) != 1 or len(kind) != 1 or not qualifiers <= _CORRECTED | _BACK_TRANSLATED:
        return None
    number = re.search(r"[0-9]{1,9}", tag)
    return _Role(
        language=language.pop(),
        corrected=bool(qualifiers & _CORRECTED),
        back_translated=bool(qualifiers & _BACK_TRANSLATED),
        number=int(number[0]) if number else None,
    )


class NclsReader:
    """Reads one direction of NCLS: that of the languages that are asked for."""

    def __init__(self, path: str, request: Request) -> None:
        languages = (request.source_lang, request.target_lang)
        if set(languages) != _LANGUAGES:
            raise UserError(
                f"--{request.task} ncls:{path}: NCLS holds zh and en, not {' and '.join(languages)}"
            )
        self.path = Path(path)
        self.request = request
        self.name = "{}2{}SUM".format(*languages).upper()

    def files(self, split: str | None) -> list[Path]:
        """``ZH2ENSUM_SPLIT.txt`` in the folder or ``ZH2ENSUM/`` below it, and LCSTS if needed."""
        folder = self.path
        if split is None:
            return [self.path, *self._articles(self.path.parent)]
        if (folder / self.name).is_dir():
            folder /= self.name
        return [folder / f"{self.name}_{split}.txt", *self._articles(folder)]

    def read(self, files: list[Path]) -> Iterator[Pair | Problem]:
        """Pairs in the order of the blocks."""
        articles = open_articles(files[1]) if len(files) > 1 else None
        for block in read_blocks(files[0], self._is_known):
            yield self._item(block, articles) if isinstance(block, Block) else block

    def _articles(self, folder: Path) -> list[Path]:
        """Zh2EnSum's documents: named, or ``PART_I.txt`` in the folder or the one above."""
        if self.request.source_lang != "zh":
            return []
        if self.request.options.ncls_articles:
            return [Path(self.request.options.ncls_articles)]
        usual = lcsts.PARTS["train"]
        return [path for path in (folder / usual, folder.parent / usual) if path.is_file()][:1]

    def _is_known(self, tag: str) -> bool:
        if tag == ARTICLE_TAG or role_of(tag) is not None:
            return True
        return self.request.options.ignores(tag)

    def _item(self, block: Block, articles: Articles | None) -> Pair | Problem:
        document, own_summary = block.text(ARTICLE_TAG), None
        if document is None and articles is not None:
            original = articles.find(block.identifier)
            if isinstance(original, Problem):
                return original
            if original is None:
                detail = f"{articles.path} has no <doc id={block.identifier}>"
                return Problem("no article", block.where, detail)
            document, own_summary = original.text(lcsts.TEXT_TAG), original.text(lcsts.SUMMARY_TAG)
        elif document is None and self.request.task != "mt" and self.request.source_lang == "zh":
            detail = "Zh2EnSum's documents are in LCSTS: name its PART_I.txt with --ncls-articles"
            return Problem("no article", block.where, detail, Level.FATAL)
        return self._pair(block, document, own_summary)

    def _pair(self, block: Block, document: str | None, own_summary: str | None) -> Pair | Problem:
        languages = self.request.source_lang, self.request.target_lang
        source_summary = own_summary or summary_in(block, languages[0])
        target_summary = summary_in(block, languages[1])
        names = [f"{language}-summary" for language in languages]
        if self.request.task == "cls":
            return pair_of(block, document, target_summary, ARTICLE_TAG, names[1])
        if self.request.task == "ms":
            return pair_of(block, document, source_summary, ARTICLE_TAG, names[0])
        return pair_of(block, source_summary, target_summary, *names)


def summary_in(block: Block, language: str) -> str | None:
    """The summary of a block in a language, sentence by sentence.

    Of each sentence the human-corrected form is taken where there is one, else the plain one; only
    a language that has neither gives its back-translation.
    """
    forms: dict[str, dict[int, str]] = {"plain": {}, "corrected": {}, "back": {}}
    for element in block.elements:
        role = role_of(element.tag)
        if role is None or role.language != language:
            continue
        form = "back" if role.back_translated else "corrected" if role.corrected else "plain"
        number = role.number if role.number is not None else len(forms[form]) + 1
        forms[form][number] = element.text
    sentences = forms["plain"] | forms["corrected"] or forms["back"]
    if not sentences:
        return None
    return _JOIN[language].join(sentences[number] for number in sorted(sentences)).strip()
