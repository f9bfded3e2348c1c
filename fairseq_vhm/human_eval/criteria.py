"""What annotators rate, and the words in which they are asked.

The three criteria and the scale from 1 (worst) to 5 (best) are those of VHM (Liang et al., ACL 2022,
Tables 6 and 7); the wording of questions and levels is this project's.
"""

from dataclasses import dataclass

LOWEST, HIGHEST = 1, 5
SCALE = range(LOWEST, HIGHEST + 1)


@dataclass(frozen=True)
class Criterion:
    """``key`` names it in files, ``short`` in tables; ``levels`` says what 1, 2, ... 5 mean."""

    key: str
    short: str
    name: str
    question: str
    levels: tuple[str, str, str, str, str]


CRITERIA = (
    Criterion(
        "informativeness",
        "IF",
        "Informativeness",
        "Does it give the key content, and is what it says right?",
        (
            "none of it, or all of it wrong",
            "little of it, or much of it wrong",
            "the main point; something important is missing or wrong",
            "nearly all; a lesser point is missing or inexact",
            "all of it, and all of it right",
        ),
    ),
    Criterion(
        "conciseness",
        "CC",
        "Conciseness",
        "Is it free of repetition and of detail that a summary does not need?",
        (
            "almost all repetition or needless detail",
            "more than half could go",
            "a part could go",
            "a word or two could go",
            "nothing could go",
        ),
    ),
    Criterion(
        "fluency",
        "FL",
        "Fluency",
        "Is it grammatical, and does it read naturally?",
        (
            "cannot be understood",
            "hard to understand",
            "clear, with several mistakes",
            "natural but for a small slip",
            "as a careful native writer would put it",
        ),
    ),
)
KEYS = tuple(criterion.key for criterion in CRITERIA)
