"""Fixtures: what ``vhm doctor --plan`` is asked, and data for it."""

import many
import pytest
import tiny

from fairseq_vhm.planning.plan import Wanted
from fairseq_vhm.planning.request import Settings, wanted_of

SIZES = {"cls": {"train": 30}, "mt": {"train": 20}, "ms": {"train": 30}}
MODEL = ("--arch", "vhm_transformer_tiny", "--encoder-layers", "1", "--decoder-layers", "1")
FLAGS = (*MODEL, "--max-tokens", "60", "--max-update", "9", "--num-workers", "0")


@pytest.fixture
def wanted():
    """What words and options ask for; flags of a small run are added."""

    def of(*words, flags=FLAGS, **options) -> Wanted:
        usual = {"pairs": [], "lengths": [], "vocab_size": None, "spm": None, "gpu": ["a100"], "gpus": [1]}
        settings = {**usual, "utilisation": 0.25, "measured_updates": 0, **options}
        return wanted_of([*map(str, words), *flags], Settings(**settings))

    return of


@pytest.fixture(scope="session")
def text_files(toy_data):
    """The texts of the toy corpus, as the words ``cls=SOURCE,TARGET`` and so on."""
    return _words(toy_data)


def _words(data) -> list[str]:
    texts = data.parent / "text"
    return [
        f"{task}=" + ",".join(str(texts / task / f"train.{language}") for language in languages)
        for task, languages in tiny.LANGUAGES.items()
    ]


@pytest.fixture(scope="session")
def same_documents(tmp_path_factory):
    """DATA whose MS pairs are of the documents of CLS, backwards; and its texts as words."""
    folder = tmp_path_factory.mktemp("same")
    tiny.write_corpus(folder, SIZES)
    documents = (folder / "text/cls/train.en").read_text().splitlines()[::-1]
    summaries = (" ".join(text.split()[:4]) for text in documents)
    (folder / "text/ms/train.en").write_text("\n".join(documents) + "\n")
    (folder / "text/ms/train.en_sum").write_text("\n".join(summaries) + "\n")
    data = tiny.binarise(folder, SIZES)
    return data, _words(data)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """DATA of many languages, with pairs within one."""
    return many.write_toy_corpus(tmp_path_factory.mktemp("corpus") / "DATA")
