"""How a HuggingFace model is told what languages it goes between; each family has its own way.

* M2M-100 (Fan et al., 2021), mBART-50, NLLB: the tokenizer marks the source with its language, and the first
  token of the output is forced to be the target's.
* mBART (Liu et al., 2020): likewise, but the decoder starts with the target's token.
* Marian's models of several targets: the source begins with ``>>code<<``.
* mT5 of CrossSum (Bhattacharjee et al., 2023): the decoder starts with the piece that the config's
  ``langid_map`` gives the target (:mod:`~fairseq_vhm.text.start_tokens`).
* All others have one direction, or read it from the text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.langid import language_code
from fairseq_vhm.text.start_tokens import has_map, start_tokens

_NLLB_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_MARIAN_CODE = re.compile(r">>(.+)<<")
_FARTHEST = 10
"""Distance by which langcodes takes two tags of one language for each other: ``en`` and ``en_XX`` have 5,
simplified and traditional Chinese 1,000."""
_SHOWN = 12


@dataclass(frozen=True)
class Direction:
    """Ids before each source besides the tokenizer's own, and settings of the search."""

    prefix: tuple[int, ...] = ()
    generation: dict = field(default_factory=dict)


def direct(where: str, tokenizer: Any, config: Any, source: str, target: str) -> Direction:
    """Tell ``tokenizer`` the source language; what else tells the model its direction.

    Args:
        where: the model in messages.
        source, target: codes such as ``en``, ``zh-CN``, ``en_sum``.

    Raises:
        UserError: the model does not know one of them.
    """
    if codes := _codes(tokenizer):
        tokenizer.src_lang = pick(where, source, codes)
        number = tokenizer.convert_tokens_to_ids(_token(tokenizer, pick(where, target, codes)))
        is_mbart = type(tokenizer).__name__.startswith("MBartTokenizer")
        return Direction(generation={"decoder_start_token_id" if is_mbart else "forced_bos_token_id": number})
    if marks := getattr(tokenizer, "supported_language_codes", None):
        by_code = {_MARIAN_CODE.fullmatch(mark)[1]: mark for mark in marks}  # type: ignore[index]  # all match
        return Direction(prefix=(tokenizer.convert_tokens_to_ids(by_code[pick(where, target, by_code)]),))
    if has_map(settings := config.to_dict()):
        starts = start_tokens(settings)
        piece = starts[pick(where, target, starts)]
        return Direction(generation={"decoder_start_token_id": _number(where, tokenizer, piece, target)})
    _check_pair(where, tokenizer, source, target)
    return Direction()


def pick(where: str, wanted: str, codes: Iterable[str]) -> str:
    """The one of ``codes`` that is the language ``wanted``: itself, or the nearest tag of that language.

    Raises:
        UserError: there is none.
    """
    from langcodes import closest_match

    codes = list(codes)
    if wanted in codes:
        return wanted
    tag = wanted.partition("_")[0] if wanted.endswith("_sum") else wanted
    own = {_standard(code): code for code in codes if _is_same(code, tag)}
    nearest = closest_match(_standard(tag), list(own), max_distance=_FARTHEST)[0] if own else ""
    if nearest not in own:
        some = f"{', '.join(sorted(codes)[:_SHOWN])}{', ...' if len(codes) > _SHOWN else ''}"
        raise UserError(f"{where}: does not know the language {wanted}; it has {some}")
    return own[nearest]


def _standard(tag: str) -> str:
    """A tag by CLDR's rules; of one whose script and region they do not know, the bare language."""
    from langcodes import LanguageTagError, standardize_tag

    try:
        return standardize_tag(tag, macro=True)
    except LanguageTagError:
        return language_code(tag)


def _is_same(code: str, wanted: str) -> bool:
    """Whether two tags are of one language, whatever their scripts and regions."""
    try:
        return language_code(code) == language_code(wanted)
    except UserError:
        return False


def _codes(tokenizer: Any) -> list[str]:
    """Languages that a tokenizer marks texts with; none where it does not."""
    if not hasattr(tokenizer, "src_lang"):
        return []
    if listed := getattr(tokenizer, "lang_code_to_id", None):
        return list(listed)
    return [token for token in tokenizer.all_special_tokens if _NLLB_CODE.fullmatch(token)]


def _token(tokenizer: Any, code: str) -> str:
    """The symbol of a language: ``__en__`` of M2M-100's, else the code itself."""
    return getattr(tokenizer, "lang_code_to_token", {}).get(code, code)


def _number(where: str, tokenizer: Any, piece: str, target: str) -> int:
    """Id of the piece with which the decoder of CrossSum's mT5 starts."""
    number = tokenizer.convert_tokens_to_ids(piece)
    if number is None or number == tokenizer.unk_token_id:
        raise UserError(f"{where}: its vocabulary lacks {piece}, with which outputs in {target} start")
    return number


def _check_pair(where: str, tokenizer: Any, source: str, target: str) -> None:
    """Refuse a model of one direction (Marian's, as its tokenizer says) where another is needed."""
    own = getattr(tokenizer, "source_lang", None), getattr(tokenizer, "target_lang", None)
    for mine, needed in zip(own, (source, target), strict=True):
        if mine and len(mine) <= 3 and not _is_same(mine, needed):
            raise UserError(
                f"{where}: goes from {own[0]} to {own[1]}, but {source} to {target} is needed here; give "
                "another model, or other languages"
            )
