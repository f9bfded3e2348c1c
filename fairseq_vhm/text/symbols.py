"""Symbol text: one line of symbols with one blank between two, which fairseq reads back unchanged.

fairseq splits a line at every Unicode blank and gives ``<s>``, ``<pad>``, ``</s>`` and ``<unk>`` a
meaning of their own; SentencePiece writes a blank as U+2581.  So the few characters that symbol
text cannot carry are written with characters of a private-use block (plane 16), and back.  The
mapping is one to one on all of Unicode: the block's own characters are quoted.
"""

import re

BLANK = "\u2581"

_UNSAFE = (
    BLANK + "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_BLOCK_START = 0x10FF00
_QUOTE = chr(_BLOCK_START)
_STAND_INS = {char: chr(_BLOCK_START + 1 + place) for place, char in enumerate(_UNSAFE)}
_BLOCK = "".join(_STAND_INS.values()) + _QUOTE
_TO_SYMBOLS = str.maketrans({**_STAND_INS, **{char: _QUOTE + char for char in _BLOCK}})
_MEANING = {stand_in: char for char, stand_in in _STAND_INS.items()}
_FROM_SYMBOLS = re.compile(f"{_QUOTE}(.)|([{_BLOCK}])", re.DOTALL)
_TO_PIECE = str.maketrans({char: mark for char, mark in _STAND_INS.items() if char != BLANK})
_HAS_UNSAFE = re.compile(f"[{re.escape(_UNSAFE)}{_BLOCK}]")

_BYTE_PIECES = re.compile(r"(?:<0x[0-9A-F]{2}>)+")

SPECIAL_SYMBOLS = frozenset({"<s>", "<pad>", "</s>", "<unk>"})


def escape(text: str) -> str:
    """Replace what symbol text cannot carry; the only blank left in the result is U+0020."""
    return text.translate(_TO_SYMBOLS) if _HAS_UNSAFE.search(text) else text


def escape_piece(piece: str) -> str:
    """Likewise for a piece of SentencePiece's, in which U+2581 is a blank."""
    return piece.translate(_TO_PIECE) if _HAS_UNSAFE.search(piece) else piece


def unescape(text: str) -> str:
    """Inverse of :func:`escape`."""
    return _FROM_SYMBOLS.sub(lambda found: found[1] or _MEANING.get(found[2], found[2]), text)


def byte_piece(number: int) -> str:
    """What SentencePiece writes for a byte of a character that it has no piece for (``byte_fallback``)."""
    return f"<0x{number:02X}>"


def join_bytes(text: str) -> str:
    """``text`` with each run of byte pieces as the characters that it spells; U+FFFD for a broken run."""

    def spelt(run: re.Match) -> str:
        return bytes(int(number, 16) for number in re.findall("<0x(..)>", run[0])).decode(errors="replace")

    return _BYTE_PIECES.sub(spelt, text)


def quote_special(symbol: str) -> str:
    """A symbol that a reader of symbol text would take for a special one, made harmless."""
    return _QUOTE + symbol if symbol in SPECIAL_SYMBOLS else symbol


def language_of(suffix: str) -> str:
    """The bare language of a file suffix or code: ``en_sum`` is English text, ``zh-CN`` Chinese."""
    return re.split("[-_]", suffix, maxsplit=1)[0]
