"""Texts in which there is nothing to see."""


def shows_nothing(text: str) -> bool:
    """Whether ``text`` is blanks and invisible characters (U+200B, U+FEFF) alone.

    Of such a text a segmenter may leave no symbol at all; ``vhm prepare`` refuses it, and metrics count it as
    empty.
    """
    return not any(char.isprintable() and not char.isspace() for char in text)
