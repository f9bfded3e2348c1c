"""What looks wrong with the texts: by themselves, and between outputs and references as a whole.

Each check counts and gives one line or none.  A difference that a tool can make by itself (width,
script, Chinese characters of the other standard) moves scores without any error, so it is told.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from fairseq_vhm.metrics.tokens import RULES, language_of, rule_for

SCRIPTS = {
    **dict.fromkeys(("zh", "ja"), "CJK"),
    **dict.fromkeys(("ar", "fa", "ur"), "ARABIC"),
    **dict.fromkeys(("ru", "uk", "bg"), "CYRILLIC"),
    **{"hi": "DEVANAGARI", "ko": "HANGUL", "th": "THAI"},
}
JAPANESE = ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH")
FOREIGN_SHARE = 0.05
UNSPLIT_ENGLISH = re.compile(r"[a-z]{3}\. +\w")
UNSPLIT_SHARE = 0.1
UNKNOWN = re.compile(r"<unk>|<<unk>>|⁇")
FULL_WIDTH = re.compile(r"[！（），．：；？]")
HALF_WIDTH = re.compile(r"(?<![0-9A-Za-z])[!(),.:;?]|[!(),.:;?](?![0-9A-Za-z])")
OTHER_FORM_SHARE = 0.8
FEWEST_TELLING = 10
SAME_SHARE = 0.5


def findings(hypotheses: Sequence[str], references: Sequence[Sequence[str]], lang: str) -> list[str]:
    """What looks wrong with the texts, a line each: they are scored, but never in silence."""
    flat = [(line, text) for line, several in enumerate(references, 1) for text in several]
    sides = {"outputs": list(enumerate(hypotheses, 1)), "references": flat}
    found = [line for side, texts in sides.items() for line in _side_findings(side, texts, lang)]
    return [*found, *oddities_between(hypotheses, references, lang)]


def _side_findings(side: str, texts: Sequence[tuple[int, str]], lang: str) -> Iterator[str]:
    """Of the numbered lines of outputs or of references."""
    rule = rule_for(lang)
    empty = [line for line, text in texts if not text.strip()]
    unread = [line for line, text in texts if text.strip() and not rule.tokens(text)]
    unsplit = [line for line, text in texts if UNSPLIT_ENGLISH.search(text)]
    yield from _counted(empty, texts, f"{side} are empty and score 0")
    no_token = f"{side} hold no token that --lang {lang} reads, and score 0; is it the right language?"
    yield from _counted(unread, texts, no_token)
    if rule is RULES["en"] and len(unsplit) > UNSPLIT_SHARE * len(texts):
        one_sentence = "sentences that do not end in ' .' as tokenized English does"
        yield from _counted(unsplit, texts, f"{side} have {one_sentence}; ROUGE-L reads them as one sentence")


def oddities_between(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], lang: str
) -> Iterator[str]:
    """A line for each thing that looks wrong; the texts are scored as they are."""
    flat = [text for several in references for text in several]
    yield from _unknown_words(hypotheses)
    yield from _copies_of_references(hypotheses, references)
    yield from _other_scripts(hypotheses, flat, lang)
    if language_of(lang) in ("zh", "ja"):
        yield from _other_form(hypotheses, flat, _widths, "punctuation")
    if language_of(lang) == "zh":
        yield from _other_form(hypotheses, flat, _standards, "characters")


def _unknown_words(hypotheses: Sequence[str]) -> Iterator[str]:
    lines = [line for line, text in enumerate(hypotheses, 1) if UNKNOWN.search(text)]
    yield from _counted(lines, hypotheses, "outputs hold unknown words (<unk>), scored as that text")


def _counted(lines: Sequence[int], texts: Sequence, what: str) -> Iterator[str]:
    if lines:
        yield f"{len(lines)} of {len(texts)} (first: line {lines[0]}) {what}"


def _copies_of_references(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> Iterator[str]:
    pairs = zip(hypotheses, references, strict=True)
    same = sum(bool(text.strip()) and text in several for text, several in pairs)
    if same > SAME_SHARE * len(hypotheses):
        yield (
            f"{same} of {len(hypotheses)} outputs are equal to their reference;"
            " is --hyp the output of a system?"
        )


def _other_scripts(hypotheses: Sequence[str], references: Sequence[str], lang: str) -> Iterator[str]:
    letters, written = (_scripts(texts) for texts in (references, hypotheses))
    main = max(letters, key=letters.__getitem__, default="")
    if main and written and written[main] < FOREIGN_SHARE * written.total():
        other = max(written, key=written.__getitem__)
        yield f"outputs are in {other} script, references in {main}; do they belong together?"
    expected = SCRIPTS.get(language_of(lang))
    if main and expected and letters[expected] < FOREIGN_SHARE * letters.total():
        yield f"references are in {main} script, --lang {lang} in {expected}; is it the right language?"
    scripts = [set(map(_script, text)) - {""} for text in hypotheses]
    foreign = [line for line, found in enumerate(scripts, 1) if found and main and main not in found]
    if len(foreign) < sum(map(bool, scripts)):
        yield from _counted(foreign, hypotheses, f"outputs hold no letter of the references' {main} script")


def _other_form(
    hypotheses: Iterable[str],
    references: Iterable[str],
    forms: Callable[[str], Counter[str]],
    what: str,
) -> Iterator[str]:
    """Told where outputs and references mostly use different forms of the same thing."""
    sides = []
    for texts in (hypotheses, references):
        counts = sum(map(forms, texts), Counter())
        form = max(counts, key=counts.__getitem__, default="")
        if counts.total() < FEWEST_TELLING or counts[form] < OTHER_FORM_SHARE * counts.total():
            return
        sides.append((form, counts[form], counts.total()))
    (written, *outputs), (expected, *others) = sides
    if written != expected:
        yield (
            f"{what} of outputs are {written} ({outputs[0]} of {outputs[1]}), of references {expected}"
            f" ({others[0]} of {others[1]}); they do not match in scores, write both alike"
        )


def _widths(text: str) -> Counter[str]:
    counts = {"full-width": len(FULL_WIDTH.findall(text)), "half-width": len(HALF_WIDTH.findall(text))}
    return Counter(counts)


def _standards(text: str) -> Counter[str]:
    return Counter(standard for standard in map(_standard, text) if standard)


@lru_cache(maxsize=1 << 16)
def _standard(char: str) -> str:
    """Which of the two national character sets alone has a Chinese character: GB 2312 or Big5."""
    if not "\u4e00" <= char <= "\u9fff":
        return ""
    simplified, traditional = (_has(charset, char) for charset in ("gb2312", "big5"))
    if simplified == traditional:
        return ""
    return "simplified" if simplified else "traditional"


def _has(charset: str, char: str) -> bool:
    try:
        return bool(char.encode(charset))
    except UnicodeEncodeError:
        return False


def _scripts(texts: Iterable[str]) -> Counter[str]:
    """Letters by script."""
    return Counter(filter(None, map(_script, "".join(texts))))


@lru_cache(maxsize=1 << 16)
def _script(char: str) -> str:
    """The script of a letter, the first word of its Unicode name; Han and kana are one, CJK."""
    if not char.isalpha():
        return ""
    name = unicodedata.name(char, "UNKNOWN").split()[0]
    return "CJK" if name in JAPANESE else name
