"""Outputs in another language: the rule by hand, real sentences, and what has no language."""

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.averages import notes
from fairseq_vhm.metrics.offtarget import ODDS, language_of_output, score_offtarget
from fairseq_vhm.text.langid import Py3LangidIdentifier

ENGLISH = "the court opened its doors on monday after a long delay ."
GERMAN = "das gericht öffnete am montag nach langer verzögerung seine türen ."
CHINESE = "法院周一开庭审理这起案件。"


class Table:
    """An identifier that knows by heart what it says."""

    name = "table"
    languages = frozenset({"en", "de", "zh", "yue", "wuu", "sr", "hr", "no", "id", "ms"})

    def __init__(self, **found):
        self.found = found

    def probabilities(self, text):
        return dict(sorted(self.found.items(), key=lambda item: -item[1]))


@pytest.fixture(scope="module")
def identifier():
    return Py3LangidIdentifier()


def score(outputs, lang, identifier, references=None):
    return score_offtarget(outputs, references or [[ENGLISH]] * len(outputs), lang, identifier)


def test_the_share_is_of_outputs_whose_language_can_be_told(identifier):
    outputs = [
        ENGLISH,
        GERMAN,
        "",
        ENGLISH,
        CHINESE,
        "... 3.5 %",
        " \u200b",
        "😀",
        ENGLISH.replace(" ", "\n"),
    ]
    scored = score(outputs, "en", identifier)
    assert scored.value == pytest.approx(100 * 2 / 5)
    assert scored.per_segment == [0, 100, 0, 0, 100, 0, 0, 0, 0]
    expected = {"identified": 5, "empty": 2, "unidentified": 2, "in_en": 3, "in_de": 1, "in_zh": 1}
    assert {part: scored.parts[part] for part in expected} == expected
    assert scored.parts["low"] <= scored.value <= scored.parts["high"]


def test_the_share_of_any_part_of_the_outputs_can_be_had_from_the_counts(identifier):
    outputs = [ENGLISH, GERMAN, "", CHINESE, "..."]
    whole = score(outputs, "en", identifier)
    assert whole.figure(whole.statistics.sum(axis=0)) == pytest.approx(whole.value)
    for rows in ([0, 1], [2, 4], [3, 3, 0]):
        part = score([outputs[row] for row in rows], "en", identifier).value
        assert whole.figure(whole.statistics[rows].sum(axis=0)) == pytest.approx(part)


@pytest.mark.parametrize(("lang", "right"), [("en", ENGLISH), ("de", GERMAN), ("zh_CN", CHINESE)])
def test_a_sentence_is_on_target_in_its_own_language_and_off_in_every_other(identifier, lang, right):
    for text in (ENGLISH, GERMAN, CHINESE):
        assert score([text], lang, identifier).value == (0 if text == right else 100)


def test_the_share_of_the_references_tells_what_the_identifier_gets_wrong(identifier):
    scored = score([ENGLISH] * 2, "en", identifier, [[ENGLISH, GERMAN], [ENGLISH, ENGLISH]])
    assert scored.value == 0 and scored.parts["references"] == pytest.approx(25)


def test_another_language_counts_from_odds_of_four_on():
    assert language_of_output("text", "en", Table(de=0.8, en=0.2)) == "de"
    for likelihood, language in ((0.61, "en"), (0.79, "en"), (0.81, "de")):
        identifier = Table(de=likelihood, en=1 - likelihood)
        assert language_of_output("text", "en", identifier) == language
    assert ODDS == 4 and "odds:4" in score(["text"], "en", Table(en=1)).signature


@pytest.mark.parametrize(
    ("lang", "found", "share"),
    [
        ("zh", "wuu", 0),
        ("zh_TW", "yue", 0),
        ("yue", "zh", 0),
        ("sr", "hr", 0),
        ("nb", "no", 0),
        ("id", "ms", 0),
        ("zho_Hans", "en", 100),
        ("no", "de", 100),
    ],
)
def test_varieties_that_a_line_hardly_tells_apart_are_on_target(lang, found, share):
    assert score(["text"], lang, Table(**{found: 1.0})).value == share


def test_the_signature_lists_what_is_on_target_and_names_the_identifier(identifier):
    signature = score([CHINESE], "zh", identifier).signature
    assert "|on-target:wuu+yue+zh|" in signature and f"lid:{identifier.name}" in signature


def test_nothing_is_said_of_outputs_none_of_which_has_a_language(identifier):
    scored = score(["", "..."], "en", identifier, [["3.5 %"], [""]])
    assert scored.value == scored.parts["references"] == 0 and scored.per_segment == [0, 0]
    assert scored.parts["identified"] == 0 and scored.parts["empty"] == 1


def test_a_language_that_the_identifier_does_not_know_is_refused(identifier):
    with pytest.raises(UserError, match="--lang tlh: py3langid.* does not know .*--lid"):
        score([ENGLISH], "tlh", identifier)


def test_a_share_needs_no_note(identifier):
    assert list(notes([score([ENGLISH], "en", identifier)])) == []
