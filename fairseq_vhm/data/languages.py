"""Language tokens as mBART was trained with them (Liu et al., TACL 2020, sections 2.2 and 3.1).

A source is ``text </s> [language]``; the target likewise, and the decoder starts with ``[language]`` of the
target: ``[language] text </s>`` is what it is fed.  Their symbols, and ``<mask>``, follow those of the
texts in the dictionary in the order of pre-training, as in fairseq's ``translation_from_pretrained_bart``.
"""

import hashlib
from dataclasses import dataclass, field

from fairseq.data import Dictionary

from fairseq_vhm.errors import UserError
from fairseq_vhm.names import MASK, PRETRAINING_TASKS, TASKS, language_symbol, start_symbol, task_tag

MBART25 = (
    "ar_AR,cs_CZ,de_DE,en_XX,es_XX,et_EE,fi_FI,fr_XX,gu_IN,hi_IN,it_IT,ja_XX,kk_KZ,ko_KR,lt_LT,lv_LV,"
    "my_MM,ne_NP,nl_XX,ro_RO,ru_RU,si_LK,tr_TR,vi_VN,zh_CN"
)
NAMED = {"mbart25": MBART25}
"""Lists of languages that have a name; ``mbart25`` is that of ``mbart.cc25`` in its order."""
_DIGITS = 16


@dataclass(frozen=True)
class Languages:
    """The languages of a pre-trained model in its order, and which of them a file suffix is in."""

    codes: tuple[str, ...]
    of_suffix: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, langs: str | None, lang_codes: str | None = None) -> "Languages | None":
        """``--langs`` (codes, or a name of :data:`NAMED`) and ``--lang-codes`` (``suffix=code,...``).

        Raises:
            UserError: a code twice, or one that ``langs`` lacks.
        """
        if not langs:
            if lang_codes:
                raise UserError(f"--lang-codes {lang_codes} needs --langs: the languages of pre-training")
            return None
        codes = tuple(NAMED.get(langs, langs).replace(" ", "").split(","))
        if "" in codes or len(set(codes)) < len(codes):
            raise UserError(f"--langs {langs}: give each language once, in the order of pre-training")
        return cls(codes, _suffixes(lang_codes, codes))

    @property
    def text(self) -> str:
        """As ``--langs`` takes them."""
        return ",".join(self.codes)

    @property
    def symbols(self) -> list[str]:
        """What they add to a dictionary, in order."""
        return [*map(language_symbol, self.codes), MASK]

    def of(self, suffix: str) -> str:
        """The language of a file suffix: the one named for it, itself, or the only one that begins so.

        ``en`` and ``en_sum`` are ``en_XX``, ``zh`` is ``zh_CN``.

        Raises:
            UserError: there is none, or several.
        """
        if suffix in self.of_suffix:
            return self.of_suffix[suffix]
        if suffix in self.codes:
            return suffix
        language = suffix.partition("_")[0]
        fitting = [code for code in self.codes if code.partition("_")[0] == language]
        if len(fitting) != 1:
            found = ", ".join(fitting) or "none"
            raise UserError(
                f"--langs: the files of '{suffix}' are in one of the languages of pre-training, but {found} "
                f"of them begin with '{language}': say which by --lang-codes {suffix}=CODE"
            )
        return fitting[0]

    def symbol_of(self, suffix: str) -> str:
        """The dictionary symbol of a file suffix's language."""
        return language_symbol(self.of(suffix))


@dataclass(frozen=True)
class TargetLanguages:
    """The languages that a many-to-many model writes, and the symbols with which its decoder starts."""

    codes: tuple[str, ...]

    @property
    def symbols(self) -> list[str]:
        """What they add to a dictionary, in order."""
        return [*map(start_symbol, self.codes)]


def _suffixes(text: str | None, codes: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for part in text.replace(" ", "").split(",") if text else []:
        suffix, _, code = part.partition("=")
        if not suffix or code not in codes:
            raise UserError(f"--lang-codes {text}: '{part}' is not SUFFIX=CODE with a code of --langs")
        found[suffix] = code
    return found


class MarkedDictionary(Dictionary):
    """The symbols of the texts, and behind them those that no text holds: languages, mask, task tags.

    With ``pretraining`` the mask and the tags of the pre-training tasks come last of all, so that a model
    without them is one with them less its last rows.
    """

    pretraining = False

    @property
    def pretraining_symbols(self) -> int:
        """How many symbols behind the tags of the tasks there are for pre-training alone."""
        return len(self) - 1 - self.index(task_tag(list(TASKS)[-1])) if self.pretraining else 0

    @property
    def digest(self) -> str:
        """Of the texts' symbols in their order: equal where a token id means the same symbol."""
        texts = self.symbols[: getattr(self, "text_symbols", len(self))]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:_DIGITS]

    def mark(self, languages: "Languages | TargetLanguages | None") -> None:
        """Put the marks in place of those that there are; the symbols of the texts stay."""
        if not hasattr(self, "text_symbols"):
            self.text_symbols = len(self)
        for symbol in self.symbols[self.text_symbols :]:
            del self.indices[symbol]
        del self.symbols[self.text_symbols :], self.count[self.text_symbols :]
        more = [MASK, *map(task_tag, PRETRAINING_TASKS)] if self.pretraining else []
        for symbol in [*(languages.symbols if languages else ()), *map(task_tag, TASKS), *more]:
            self.add_symbol(symbol)
