"""The token of mT5's with which the decoder starts to write a language (Bhattacharjee et al., 2023).

A model of CrossSum's keeps them in its ``config.json``, as ``task_specific_params.langid_map``:
``{"english": [30, "▁<extra_id_69>"], ...}`` is name -> number and token.  One without such a map gets this
module's: language ``n`` of :data:`LANGUAGES` has token ``n`` of :data:`TOKENS`, whatever the data.
"""

from collections.abc import Mapping

from fairseq_vhm.errors import UserError
from fairseq_vhm.language_codes import XLSUM, language_code
from fairseq_vhm.text.mt5 import sentinel
from fairseq_vhm.text.symbols import byte_piece

_MC4 = (
    "af be bg ca ceb co cs da de el eo et eu fi fil fy ga gl haw he hmn ht hu hy is it jv ka kk km kn ku la "
    "lb lo lt lv mg mi mk ml mn ms mt nl no ny pl ro sd sk sl sm sn sq sr st su sv tg xh yi zh zu"
)
LANGUAGES = (*sorted(XLSUM.values()), *_MC4.split())
"""CrossSum's 45 languages, then the others that mT5 was pre-trained on, both in the order of their codes."""
TOKENS = (*map(sentinel, range(99, 2, -1)), *map(byte_piece, range(1, 32)))
"""Sentinels from the last, and the control characters, all of which mT5's normalisation takes out but NUL."""
TAG_TOKENS = tuple(map(sentinel, range(3)))
"""For the tags of the tasks."""

PARAMS, MAP = "task_specific_params", "langid_map"


def has_map(config: Mapping) -> bool:
    """Whether ``config`` says itself how languages start."""
    return bool((config.get(PARAMS) or {}).get(MAP))


def with_map(config: Mapping) -> dict:
    """``config`` with this module's map, unless it has one."""
    if has_map(config):
        return dict(config)
    names = {code: name for name, code in XLSUM.items()}
    pairs = zip(LANGUAGES, TOKENS, strict=False)
    own = {names.get(code, code): [number, token] for number, (code, token) in enumerate(pairs)}
    return {**config, PARAMS: {**(config.get(PARAMS) or {}), MAP: own}}


def start_tokens(config: Mapping) -> dict[str, str]:
    """Language code -> token, as the map of ``config`` says.

    Raises:
        UserError: it has no map, or one of another form.
    """
    try:
        named = {name: token for name, (_, token) in config[PARAMS][MAP].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"config.json: {PARAMS}.{MAP} is not of the form {{LANGUAGE: [NUMBER, TOKEN], ...}}"
        ) from error
    return {language_code(name): token for name, token in named.items()}
