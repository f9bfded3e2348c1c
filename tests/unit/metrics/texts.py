"""Made-up English and Chinese summaries with the cases in which ROUGE scorers part company."""

import random

STEMS = ["argue", "nation", "operat", "replac", "adjust", "relat", "happi", "yell", "agree", "fly"]
SUFFIXES = ["", "s", "ed", "ing", "ement", "ments", "ation", "ational", "ization", "ly", "ies", "y"]
NUMBERS = ["2016", "3.5", "1,000", "covid19", "u.s", "a", "of", "the", "'s", "sci-fi", "$", "café"]
CHARACTERS = list("新华社北京法院今天开庭审理上海经济增长百分点记者报道天气")
CHINESE_EXTRAS = ["2016", "-16", "3.5", "-5", "NBA", "iPhone", "%", "，", "。", "。", "“", "<unk>"]


def english_summaries(count: int, seed: int) -> list[str]:
    """Tokenized sentences, some empty, of one word, with words repeated or a sentence doubled."""
    words = [stem + suffix for stem in STEMS for suffix in SUFFIXES] + NUMBERS * 5
    return _summaries(count, seed, words, end=" .", join=" ")


def chinese_summaries(count: int, seed: int) -> list[str]:
    return _summaries(count, seed, CHARACTERS * 3 + CHINESE_EXTRAS, end="。", join="")


def rewritten(summaries: list[str], seed: int, join: str) -> list[str]:
    """Other texts that share words with ``summaries``, and their order in part."""
    draw = random.Random(seed)
    others = []
    for text in summaries:
        units = text.split() if join else list(text)
        kept = [unit for unit in units if draw.random() < 0.7]
        cut = draw.randrange(len(kept) + 1)
        others.append(join.join(kept[cut:] + kept[:cut] + kept[:2]))
    return others


def _summaries(count: int, seed: int, words: list[str], end: str, join: str) -> list[str]:
    draw = random.Random(seed)
    texts = ["", words[0], words[0] + end]
    while len(texts) < count:
        sentences = [
            join.join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(draw.randint(1, 4))
        ]
        if draw.random() < 0.2:
            sentences.append(sentences[0])
        texts.append((end + join).join(sentences) + (end if draw.random() < 0.7 else ""))
    return texts[:count]
