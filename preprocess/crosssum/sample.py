"""Text to train SentencePiece on, languages weighed by temperature (Conneau and Lample, 2019, section 3.1).

A language of n bytes has a share of the sample in proportion to n to the power alpha: with alpha below 1
small languages have more than their part of the corpus, with 0 all have the same.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from preprocess.progress import Progress


def copies(sizes: dict[str, int], alpha: float, most: int) -> dict[str, float]:
    """How often on average each text of a language is to be in a sample of up to ``most`` bytes.

    Args:
        sizes: bytes of text of each language.

    Returns:
        Numbers below 1 where a language has more text than its share, above 1 where it has less.
    """
    weights = {language: size**alpha for language, size in sizes.items() if size}
    whole = min(most, sum(sizes.values())) / sum(weights.values())
    return {language: whole * weight / sizes[language] for language, weight in weights.items()}


def draw_lines(path: Path, wanted: np.ndarray, times: float, seed: str, progress: Progress) -> Iterator[str]:
    """The lines of a file that are ``wanted`` (bool, one a line), each ``times`` on average.

    Every line comes the whole number of times or once more.
    """
    draw = random.Random(seed).random
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line, is_wanted in progress.counted(zip(lines, wanted, strict=True)):
            if is_wanted:
                for _ in range(int(times + draw())):
                    yield line.removesuffix("\n")
