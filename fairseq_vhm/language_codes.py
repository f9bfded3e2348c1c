"""Codes of languages, checked, and the names by which XL-Sum and CrossSum call their 45 languages and splits.

The names are those of the data's files (Hasan et al., Findings of ACL 2021; Bhattacharjee et al., ACL 2023);
the codes those of CrossSum's table, with two that it leaves open: its ``np`` for Nepali is no language code
(``ne`` is), and its two columns ``sr`` are Serbian in Cyrillic and in Latin script, written ``sr-cyrl`` and
``sr-latn`` here.
"""

import re

from fairseq_vhm.errors import UserError

XLSUM = {
    "amharic": "am",
    "arabic": "ar",
    "azerbaijani": "az",
    "bengali": "bn",
    "burmese": "my",
    "chinese_simplified": "zh-CN",
    "chinese_traditional": "zh-TW",
    "english": "en",
    "french": "fr",
    "gujarati": "gu",
    "hausa": "ha",
    "hindi": "hi",
    "igbo": "ig",
    "indonesian": "id",
    "japanese": "ja",
    "kirundi": "rn",
    "korean": "ko",
    "kyrgyz": "ky",
    "marathi": "mr",
    "nepali": "ne",
    "oromo": "om",
    "pashto": "ps",
    "persian": "fa",
    "pidgin": "pcm",
    "portuguese": "pt",
    "punjabi": "pa",
    "russian": "ru",
    "scottish_gaelic": "gd",
    "serbian_cyrillic": "sr-cyrl",
    "serbian_latin": "sr-latn",
    "sinhala": "si",
    "somali": "so",
    "spanish": "es",
    "swahili": "sw",
    "tamil": "ta",
    "telugu": "te",
    "thai": "th",
    "tigrinya": "ti",
    "turkish": "tr",
    "ukrainian": "uk",
    "urdu": "ur",
    "uzbek": "uz",
    "vietnamese": "vi",
    "welsh": "cy",
    "yoruba": "yo",
}
"""Name in the files of XL-Sum and CrossSum -> code."""
SPLIT_NAMES = {
    "train": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
}
"""Ends of the names of such files, as in ``english_val.jsonl`` -> split."""

_ELSEWHERE = {"np": "ne", "scottish-gaelic": "gd"}
_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def is_code(text: str) -> bool:
    """Whether ``text`` is a language code such as ``en``, ``zh-CN`` or ``sr-latn`` (BCP 47, by langcodes)."""
    from langcodes import tag_is_valid

    return bool(_CODE.fullmatch(text)) and tag_is_valid(text)


def language_code(name: str) -> str:
    """The code of a language that is given by its code or by its name in XL-Sum, in any case of letters.

    A code of XL-Sum's languages is written as in :data:`XLSUM` (``sr-Latn`` is ``sr-latn``); others stay.

    Raises:
        UserError: it is neither.
    """
    folded = name.strip().replace("_", "-").lower()
    known = {**{key.replace("_", "-"): code for key, code in XLSUM.items()}, **_ELSEWHERE}
    known |= {code.lower(): code for code in XLSUM.values()}
    code = known.get(folded, name.strip().replace("_", "-"))
    if not is_code(code):
        raise UserError(
            f"'{name}' is no language: give a code such as en, pt, zh-CN or sr-latn (BCP 47), or a name of "
            "XL-Sum's such as english or chinese_simplified"
        )
    return code


def check_codes(codes: tuple[str, ...] | list[str], where: str) -> tuple[str, ...]:
    """``codes``, each a language code and there once.

    Raises:
        UserError: names ``where`` and the first that is not.
    """
    for code in codes:
        if not isinstance(code, str) or not is_code(code):
            raise UserError(f"{where}: '{code}' is no language code; give one such as en, zh-CN or sr-latn")
    if len(set(codes)) < len(codes):
        raise UserError(f"{where}: a language stands there twice; name each once")
    return tuple(codes)
