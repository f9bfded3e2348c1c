"""Which language a text is in: a fastText model that the user has, or py3langid, which brings its own.

Languages are told by bare codes, ISO 639-1 where there is one: ``zh`` for ``zh_CN``, ``zho_Hans``,
``cmn`` and the label ``__label__zho_Hans`` alike (CLDR's aliases, by the library ``langcodes``).
"""

import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.pretrained import HASH_DIGITS, INSTALL, digest
from fairseq_vhm.text.symbols import SPECIAL_SYMBOLS

FASTTEXT_MAGIC = 793712314
FASTTEXT_HEAD = struct.Struct("<2i12id3i")
"""Magic number and version; 12 settings (the first the width, the eighth the kind of model) and one
more; of the dictionary its size and its numbers of words and labels."""
SUPERVISED = 3
LABEL = "__label__"
BARE_LABELS = {"als": "gsw"}
"""Labels of fastText's models that are Wikipedia's names, not ISO's: there ``als`` is Alemannic."""

WRONG_BINDING = (
    "the installed binding of fastText fails with numpy 2: pip uninstall it (fasttext, fasttext-wheel),"
    " then pip install fasttext-numpy2"
)

INDISTINCT = (
    {"zh", "yue", "wuu", "gan", "hak", "hsn", "lzh", "nan"},
    {"ar", "acm", "aeb", "apc", "ars", "ary", "arz"},
    {"sr", "hr", "bs", "cnr"},
    {"no", "nb", "nn"},
    {"id", "ms"},
)
"""Varieties (of one ISO 639-3 macrolanguage each) that one line of text hardly tells apart."""

NO_EVIDENCE = 0.02
"""Confidence of py3langid below which it has found no feature at all (all languages are equal)."""

TAG = re.compile(r"([a-z]{2,3})(?:[-_].*)?")
UNREADABLE = re.compile("|".join(map(re.escape, sorted(SPECIAL_SYMBOLS))))


class LanguageIdentifier(Protocol):
    """Tells the language of a text."""

    @property
    def name(self) -> str:
        """What signatures say: the library with its version, or the model with its hash."""

    @property
    def languages(self) -> frozenset[str]:
        """Codes of all languages that it knows."""

    def probabilities(self, text: str) -> Mapping[str, float]:
        """Languages and their probabilities, the best first; none where the text tells nothing."""


def language_code(tag: str) -> str:
    """The bare language of a tag such as ``zh_CN``, ``en_XX``, ``zho_Hans``, ``en_sum`` or ``pes``.

    Raises:
        UserError: ``tag`` does not begin with a code of two or three letters.
    """
    from langcodes import standardize_tag

    code = TAG.fullmatch(tag.lower())
    if code is None:
        raise UserError(f"--lang {tag}: not a language code; give one such as en, zh, de or ja")
    return standardize_tag(code[1], macro=True).partition("-")[0]


def varieties(language: str) -> frozenset[str]:
    """``language`` and those of ``INDISTINCT`` with it."""
    return frozenset({language}.union(*(group for group in INDISTINCT if language in group)))


def target_languages(lang: str, identifier: LanguageIdentifier) -> frozenset[str]:
    """By which of its codes ``identifier`` knows ``lang``: its own, else those of its varieties.

    Empty where it does not know the language.
    """
    language = language_code(lang)
    if language in identifier.languages:
        return frozenset({language})
    return varieties(language) & identifier.languages


def readable(text: str) -> str:
    """``text`` on one line, without fairseq's special symbols, which no language has."""
    return " ".join(UNREADABLE.sub(" ", text).split())


class FastTextIdentifier:
    """A supervised fastText model (Joulin et al., 2017) whose labels are languages, such as lid.176.

    Labels ``__label__zh`` and ``__label__zho_Hans`` are read alike; those of one language in several
    scripts are one.
    """

    def __init__(self, path: Path, flag: str = "--lid") -> None:
        """Check the file; the model is loaded when it is first needed.

        Raises:
            UserError: there is no such file, or it is no fastText model.
        """
        self.path = Path(path)
        self._flag = flag
        self._check_file()

    @cached_property
    def name(self) -> str:
        return f"{self.path.resolve().name}@{digest([self.path])[:HASH_DIGITS]}"

    @cached_property
    def languages(self) -> frozenset[str]:
        return frozenset(_language_of_label(label) for label in self._model.get_labels())

    def probabilities(self, text: str) -> dict[str, float]:
        """Over all labels; one text a call, since bindings of fastText differ in batches."""
        labels, figures = self._model.predict(readable(text), k=-1)
        return _by_language(zip(labels, map(float, figures), strict=True))

    def _check_file(self) -> None:
        """Read of the file what fastText does not look at: it takes any that begins right.

        Of one that was cut short it reads on where nothing is, for minutes or to wrong predictions.
        """
        try:
            with self.path.open("rb") as file:
                head = file.read(FASTTEXT_HEAD.size)
        except OSError as error:
            raise self._refused(str(error.strerror)) from error
        if len(head) < FASTTEXT_HEAD.size or head[:4] != FASTTEXT_MAGIC.to_bytes(4, "little"):
            raise self._refused("not a fastText model")
        fields = FASTTEXT_HEAD.unpack(head)
        width, kind, labels = fields[2], fields[9], fields[-1]
        if kind != SUPERVISED:
            raise self._refused("a fastText model of words, not of labels")
        if not _ends_whole(self.path, labels, width):
            raise self._refused("cut short (or its output layer is quantized)")

    def _refused(self, reason: str) -> UserError:
        return UserError(
            f"{self._flag} {self.path}: {reason}; give a fastText language model such as lid.176.bin, from"
            " https://fasttext.cc/docs/en/language-identification.html"
        )

    @cached_property
    def _model(self) -> Any:
        try:
            import fasttext
        except ImportError as error:
            raise UserError(f"{self._flag}: needs the package fasttext-numpy2; {INSTALL}") from error
        try:
            model = fasttext.load_model(str(self.path))
            model.predict("", k=1)
        except (ValueError, MemoryError, RuntimeError) as error:
            if "copy" in str(error):
                raise UserError(WRONG_BINDING) from error
            raise self._refused(f"fastText cannot read it ({error})") from error
        return model


class Py3LangidIdentifier:
    """py3langid (after langid.py; Lui and Baldwin, 2012) with the model of 140 languages that it brings."""

    @cached_property
    def name(self) -> str:
        from importlib.metadata import version

        return f"py3langid-{version('py3langid')}"

    @cached_property
    def languages(self) -> frozenset[str]:
        return frozenset(map(_language_of_label, self._library.labels)) - {"zxx"}

    def probabilities(self, text: str) -> dict[str, float]:
        ranking = self._library.rank(readable(text))
        if ranking[0][1] < NO_EVIDENCE or ranking[0][0] == "zxx":
            return {}
        return _by_language(ranking)

    @cached_property
    def _library(self) -> Any:
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError as error:
            raise UserError("offtarget needs the package py3langid >= 0.4: pip install py3langid") from error
        return _unpacked(LanguageIdentifier, MODEL_FILE)


@cache
def _unpacked(library: Any, model: str) -> Any:
    """py3langid with its model, whose unpacking takes a third of a second: once a process."""
    return library.from_model_file(model, norm_probs=True)


class RememberingIdentifier:
    """An identifier that tells each text once, however often it is asked."""

    def __init__(self, identifier: LanguageIdentifier) -> None:
        self._identifier = identifier
        self._told: dict[str, Mapping[str, float]] = {}

    @property
    def name(self) -> str:
        return self._identifier.name

    @property
    def languages(self) -> frozenset[str]:
        return self._identifier.languages

    def probabilities(self, text: str) -> Mapping[str, float]:
        if text not in self._told:
            self._told[text] = self._identifier.probabilities(text)
        return self._told[text]


@cache
def _language_of_label(label: str) -> str:
    tag = label.removeprefix(LABEL)
    try:
        return BARE_LABELS.get(tag) or language_code(tag)
    except UserError:
        return tag


def _by_language(labelled: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Probabilities of languages, the best first, from those of labels; fastText's may exceed 1 a little."""
    found: defaultdict[str, float] = defaultdict(float)
    for label, figure in labelled:
        found[_language_of_label(label)] += figure
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {language: min(figure, 1.0) for language, figure in ordered}


def _ends_whole(path: Path, labels: int, width: int) -> bool:
    """Whether the file ends with the whole output layer: labels x width floats, its shape before them."""
    shape = struct.pack("<2q", labels, width)
    place = path.stat().st_size - 4 * labels * width - len(shape)
    if place < FASTTEXT_HEAD.size:
        return False
    with path.open("rb") as file:
        file.seek(place)
        return file.read(len(shape)) == shape
