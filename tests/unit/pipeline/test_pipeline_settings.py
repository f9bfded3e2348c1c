"""What the user says of a pipeline's models: read, refused, and noted by contents."""

import json

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.settings import ModelSettings, Search, parse_generation


def of_fairseq(checkpoint, data, **more):
    return Search().settings_of("mt", str(checkpoint), data, "mt", **more)


@pytest.fixture
def model(tmp_path):
    """A checkpoint and its data folder, by their names."""
    (tmp_path / "a.pt").write_bytes(b"weights")
    (tmp_path / "DATA").mkdir()
    return tmp_path / "a.pt", tmp_path / "DATA"


def test_what_is_not_there_is_named_with_its_flag(model, tmp_path):
    checkpoint, data = model
    with pytest.raises(UserError, match="--mt .*b.pt: missing; give a checkpoint"):
        of_fairseq(f"{checkpoint}:{tmp_path / 'b.pt'}", data).check()
    with pytest.raises(UserError, match="--mt-data .*none: missing; give the folder of its training"):
        of_fairseq(checkpoint, tmp_path / "none").check()
    with pytest.raises(UserError, match="give --mt-data"):
        of_fairseq(checkpoint, None)
    with pytest.raises(UserError, match="holds no config.json and no weights"):
        of_fairseq(data, None).check()


@pytest.mark.parametrize("extra", [{"data": "DATA"}, {"segmentation": "none"}])
def test_a_folder_of_huggingface_takes_no_data_of_its_own(model, extra):
    with pytest.raises(UserError, match=f"brings its vocabulary; leave --mt-{next(iter(extra))} out"):
        Search().settings_of("mt", str(model[1]), **{"data": None, "eval_task": "mt", **extra})


@pytest.mark.parametrize(
    ("text", "library", "said"),
    [
        ("{", "fairseq", "--mt-gen-args {: not JSON"),
        ("[1]", "fairseq", "give a JSON object such as"),
        ('{"beem": 1}', "fairseq", "'beem' is no generation setting of fairseq; write max_len_b, say"),
        ('{"max_len_b": 1}', "transformers", "'max_len_b' is no generation setting of transformers"),
    ],
)
def test_generation_settings_that_the_library_does_not_know_are_refused(text, library, said):
    with pytest.raises(UserError, match=said):
        parse_generation("--mt-gen-args", text, library)


def test_generation_settings_stand_over_the_common_ones(model):
    given = json.dumps({"beam": 2, "max_len_b": 60})
    assert of_fairseq(*model, gen_args=given).generation == {"beam": 2, "lenpen": 0.6, "max_len_b": 60}
    assert of_fairseq(*model).generation == {"beam": 4, "lenpen": 0.6}


def test_a_run_is_made_of_what_decides_about_outputs_and_not_of_names(model):
    checkpoint, data = model
    (data / "mt").mkdir()
    dictionary = data / "mt" / "dict.en.txt"
    dictionary.write_text("a 1\n")
    before = of_fairseq(checkpoint, data).made_of()
    moved = checkpoint.rename(checkpoint.with_name("b.pt"))
    assert of_fairseq(moved, data).made_of() == before
    dictionary.write_text("b 1\n")
    assert of_fairseq(moved, data).made_of() != before


def test_the_dictionary_of_a_corpus_of_many_languages_is_part_of_a_run(model):
    checkpoint, data = model
    (data / "corpus.json").write_text("{}")
    made = []
    for text in ("a 1\n", "b 1\n"):
        (data / "dict.txt").write_text(text)
        made.append(ModelSettings("mt", str(checkpoint), data, "mt").made_of()["--mt-data"])
    assert made[0].keys() == {"dict.txt"} and made[0] != made[1]
