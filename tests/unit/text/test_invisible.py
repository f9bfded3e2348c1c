"""What shows nothing is empty, to metrics and to ``vhm prepare`` alike."""

import pytest

from fairseq_vhm.text.invisible import shows_nothing


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000", "\u200b\ufeff", "\x00"])
def test_blanks_and_invisible_characters_alone_show_nothing(text):
    assert shows_nothing(text)


@pytest.mark.parametrize("text", [".", "法", " a ", "\u200bक"])
def test_one_character_to_see_is_enough(text):
    assert not shows_nothing(text)
