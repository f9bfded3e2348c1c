"""Tiny models, and a scored corpus of three languages in which some outputs are in a wrong one."""

import random

import many_languages as many
import pytest
import tiny_encoders

from fairseq_vhm.data.corpus import Corpus
from fairseq_vhm.metrics.resources import Given


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """LaBSE and a language identifier that knows English, German and Chinese."""
    folder = tmp_path_factory.mktemp("models")
    labse = tiny_encoders.sentence_transformer(folder / "tiny-labse")
    return Given(labse=labse, lid=tiny_encoders.language_model(folder / "tiny.bin"), device="cpu")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return Corpus.open(many.write_corpus(tmp_path_factory.mktemp("corpus") / "DATA"))


@pytest.fixture(scope="session")
def outputs(corpus):
    """For each example its reference less a word; to Chinese, English instead."""
    draw = random.Random(5)
    return {
        number: many.sentence("en", draw) if target == "zh-CN" else reference.rpartition(" ")[0]
        for number, (_, target, reference, _) in enumerate(many.examples_of(corpus))
    }
