"""Tasks over toy data, and settings of a small model."""

from argparse import Namespace

import pytest
import tiny
from many import write_toy_corpus

from fairseq_vhm.models.architectures import vhm_transformer
from fairseq_vhm.tasks.config import CrossLingualSummarizationConfig
from fairseq_vhm.tasks.cross_lingual_summarization import CrossLingualSummarizationTask
from fairseq_vhm.tasks.many_to_many_config import ManyToManyConfig
from fairseq_vhm.tasks.many_to_many_summarization import ManyToManySummarizationTask

OF_FAIRSEQ = {
    "seed": 1,
    "fp16": False,
    "bf16": False,
    "dataset_impl": None,
    "update_freq": [1],
    "train_subset": "train",
    "best_checkpoint_metric": "loss",
    "maximize_best_checkpoint_metric": False,
}


def settings(kind: type, **flags):
    config = kind()
    for name, value in {**OF_FAIRSEQ, **flags}.items():
        setattr(config, name, value)
    return config


@pytest.fixture
def cross_lingual(toy_data):
    """Makes the task of ``cls``, ``mt`` and ``ms`` by its flags."""

    def make(**flags) -> CrossLingualSummarizationTask:
        return CrossLingualSummarizationTask.setup_task(
            settings(CrossLingualSummarizationConfig, **{"data": str(toy_data), **flags})
        )

    return make


@pytest.fixture(scope="session")
def many_data(tmp_path_factory):
    return write_toy_corpus(tmp_path_factory.mktemp("many_unit") / "DATA")


@pytest.fixture
def many_to_many(many_data):
    """Makes the task of many languages by its flags."""

    def make(data=many_data, **flags) -> ManyToManySummarizationTask:
        return ManyToManySummarizationTask.setup_task(settings(ManyToManyConfig, data=str(data), **flags))

    return make


@pytest.fixture
def of_model():
    """Makes a small model's settings, as a command line or a checkpoint has them."""

    def make(**flags) -> Namespace:
        args = Namespace(arch="vhm_transformer", _name="vhm_transformer", **{**tiny.SMALL, **flags})
        vhm_transformer(args)
        return args

    return make
