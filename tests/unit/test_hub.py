"""from_pretrained(...).summarize: what it refuses, and whose segmentation it takes."""

import json
import shutil

import pytest
from golden.golden import HERE

from fairseq_vhm.errors import UserError
from fairseq_vhm.models import VHMTransformerModel
from fairseq_vhm.text.segment import WordSegmenter

SEGMENTATION = {"kind": WordSegmenter.kind, "chinese_words": "char", "lowercase": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A prepared folder that says how its texts were segmented."""
    folder = tmp_path_factory.mktemp("hub") / "DATA"
    shutil.copytree(HERE / "data", folder)
    (folder / "manifest.json").write_text(json.dumps({"segmentation": SEGMENTATION}), encoding="utf-8")
    return folder


def load(**settings):
    return VHMTransformerModel.from_pretrained(str(HERE), "vhm_transformer.pt", **settings)


@pytest.fixture(scope="module")
def hub(data):
    return load(data_name_or_path=str(data))


def test_no_documents_have_no_summaries_and_some_have_one_each(hub):
    assert hub.summarize([]) == []
    summaries = hub.summarize(["w1 w2", "w3"], target_language="zh", max_len_b=3)
    assert summaries == hub.summarize(["w1 w2", "w3"], max_len_b=3) and len(summaries) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"texts": "w1 w2"}, "takes a list of documents; put the one in brackets"),
        ({"texts": ["w1", " \n"]}, "document 2 is empty"),
        ({"texts": ["w1"], "target_language": "de"}, "target_language 'de': the model writes zh alone"),
    ],
)
def test_what_cannot_be_summarized_is_said(hub, given, message):
    with pytest.raises(UserError, match=message):
        hub.summarize(**given)


def test_data_bring_their_segmentation_and_a_users_own_goes_before_it(hub, data):
    assert hub.segmenter.settings() == SEGMENTATION
    assert load(data_name_or_path=str(HERE / "data")).segmenter is None
    other = load(data_name_or_path=str(data), tokenizer="space")
    assert other.segmenter is None and other.encode("w1   w2").tolist() == hub.encode("w1 w2").tolist()


def test_without_a_folder_of_data_it_is_that_of_the_checkpoint(tmp_path):
    """As vhm convert writes one."""
    shutil.copytree(HERE / "data", tmp_path / "out")
    shutil.copy(HERE / "vhm_transformer.pt", tmp_path / "out")
    hub = VHMTransformerModel.from_pretrained(str(tmp_path / "out"), "vhm_transformer.pt")
    assert hub.languages == ("en", "zh") and hub.segmenter is None


def test_a_checkpoint_of_an_ensemble_that_is_missing_is_named():
    with pytest.raises(UserError, match=r"absent.pt: missing; name the file with checkpoint_file="):
        VHMTransformerModel.from_pretrained(str(HERE), "vhm_transformer.pt:absent.pt")
