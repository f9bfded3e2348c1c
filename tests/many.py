"""A toy corpus of several languages: an event is told in each of them, word for word."""

import random
from pathlib import Path

import numpy as np
from fairseq.data import Dictionary

from fairseq_vhm.data.corpus_writer import CorpusWriter

LANGUAGES = ("en", "fr", "zh")
WORDS = 12
EVENTS = {"train": 60, "valid": 6, "test": 7}
SUMMARY_WORDS = 3


def word(language: str, number: int) -> str:
    """The word of a language for a thing; no two languages have one in common."""
    return f"{language}{number}"


def toy_dictionary() -> Dictionary:
    dictionary = Dictionary()
    for language in LANGUAGES:
        for number in range(WORDS):
            dictionary.add_symbol(word(language, number))
    return dictionary


def write_toy_corpus(folder: Path, seed: int = 1, leave_out: tuple = (("fr", "zh"),)) -> Path:
    """Every event in every language: its article, of which the summary is the first words.

    Pairs: all two languages but those of ``leave_out``, and ``en-en``; the second half of the events is not
    told in French, and articles in Chinese have no summary of their own.
    """
    rng, dictionary = random.Random(seed), toy_dictionary()
    text = "".join(f"{symbol} 1\n" for symbol in dictionary.symbols[4:])
    with CorpusWriter(folder, text, "sentencepiece") as writer:
        for split, events in EVENTS.items():
            for event in range(events):
                told = [rng.randrange(WORDS) for _ in range(rng.randint(5, 9))]
                languages = [lang for lang in LANGUAGES if lang != "fr" or event < events // 2 + 1]
                _add_event(writer, dictionary, split, told, languages, leave_out)
    return folder


def _add_event(writer, dictionary, split: str, told: list[int], languages: list[str], leave_out) -> None:
    articles, summaries = {}, {}
    for language in languages:
        words = [word(language, number) for number in told]
        ids = np.array([dictionary.index(one) for one in words] + [dictionary.eos()])
        short = np.append(ids[:SUMMARY_WORDS], dictionary.eos())
        articles[language] = writer.add_article(language, ids)
        summaries[language] = writer.add_summary(language, short, " ".join(words[:SUMMARY_WORDS]))
        if language != "zh":
            writer.set_own(language, articles[language], summaries[language])
    for source in languages:
        for target in languages:
            if (source != target or source == "en") and (source, target) not in leave_out:
                writer.add_pair(split, source, target, articles[source], summaries[target])
