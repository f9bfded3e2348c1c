"""Checkpoints of every older form load under torch's allow-list and compute what they did."""

import pytest
import torch
from fairseq.models import ARCH_MODEL_NAME_REGISTRY, MODEL_REGISTRY
from fairseq.tasks import TASK_REGISTRY
from golden.golden import FORMS, HERE, data_of, figures, released_nll, stated

from fairseq_vhm.compat.checkpoints import read
from fairseq_vhm.conversion.convert import Conversion, convert

CLOSE = {"rel": 0, "abs": 1e-5}


def test_every_old_checkpoint_is_asked_for_what_it_computes():
    assert {path.stem for path in HERE.glob("*.pt")} == {*FORMS, "released"}


def test_every_model_and_task_of_the_plugin_has_an_old_checkpoint():
    settings = [read(str(HERE / f"{form}.pt"))["cfg"] or {} for form in FORMS]
    kept = {ARCH_MODEL_NAME_REGISTRY[one["model"].arch] for one in settings if one}
    kept |= {one["task"]["_name"] for one in settings if one}
    registered = {**MODEL_REGISTRY, **TASK_REGISTRY}
    ours = {name for name, one in registered.items() if one.__module__.startswith("fairseq_vhm.")}
    assert ours == kept


@pytest.mark.parametrize("form", [*FORMS, "released"])
def test_an_old_checkpoint_is_read_with_weights_only(form):
    state = torch.load(HERE / f"{form}.pt", map_location="cpu", weights_only=True)
    assert all(isinstance(weight, torch.Tensor) for weight in state["model"].values())


@pytest.mark.parametrize("form", FORMS)
def test_an_old_checkpoint_scores_and_writes_as_when_it_was_made(form):
    found, expected = figures(HERE / f"{form}.pt", data_of(form), FORMS[form]), stated(form)
    assert found.keys() == expected.keys()
    for task, of_task in expected.items():
        assert found[task]["nll"] == pytest.approx(of_task["nll"], **CLOSE)
        assert found[task]["outputs"] == of_task["outputs"]
        assert found[task]["scores"] == pytest.approx(of_task["scores"], **CLOSE)


def test_the_older_form_of_settings_is_that_of_the_newer_checkpoint():
    assert stated("args_namespace")["cls"] == stated("vhm_transformer")["cls"]


def test_a_checkpoint_of_the_released_code_converts_to_what_its_twin_computes(tmp_path):
    vocabulary = (HERE / "released.vocab",)
    convert(Conversion(HERE / "released.pt", vocabulary, "zh", "en", tmp_path / "out"))
    expected = stated("released")
    for task, nll in expected["nll"].items():
        assert released_nll(tmp_path / "out", expected["pairs"], task) == pytest.approx(nll, **CLOSE)
