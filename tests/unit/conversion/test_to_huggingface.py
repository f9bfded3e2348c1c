"""vhm convert --to-hf: a folder with every weight of the checkpoint, or one line and no folder."""

import json

import mt5
import pytest
import torch
from golden.golden import HERE
from safetensors.torch import load_file
from transformers import MT5ForConditionalGeneration

from fairseq_vhm.conversion.hf_mt5 import to_huggingface
from fairseq_vhm.errors import UserError

GOLDEN = HERE / "mt5.pt"


def state_of_golden() -> dict:
    return torch.load(GOLDEN, weights_only=True)


def write(path, **weights):
    """The old checkpoint with some weights more."""
    state = state_of_golden()
    torch.save({**state, "model": {**state["model"], **weights}}, path)
    return path


def test_the_folder_is_huggingfaces_with_the_weights_of_the_checkpoint(tmp_path):
    account = to_huggingface(GOLDEN, tmp_path / "out")
    model, weights = MT5ForConditionalGeneration.from_pretrained(tmp_path / "out"), state_of_golden()["model"]
    assert account["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    for ours, theirs in (("encoder.stack.", model.encoder), ("decoder.stack.", model.decoder)):
        for name, value in theirs.state_dict().items():
            assert torch.equal(value, weights[ours + name]), name
    assert torch.equal(model.lm_head.weight, weights["decoder.lm_head.weight"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_table_that_is_the_output_layer_too_is_written_once(tmp_path):
    state = state_of_golden()
    settings, table = state["cfg"]["model"], state["model"]["encoder.stack.embed_tokens.weight"]
    settings.hf_config = json.dumps({**json.loads(settings.hf_config), "tie_word_embeddings": True})
    state["model"]["decoder.lm_head.weight"] = table.clone()  # as a checkpoint from a GPU has it
    torch.save(state, tmp_path / "tied.pt")
    account = to_huggingface(tmp_path / "tied.pt", tmp_path / "out")
    names = load_file(tmp_path / "out" / "model.safetensors")
    assert "lm_head.weight" not in names and account["parameters"] == sum(w.numel() for w in names.values())
    model = MT5ForConditionalGeneration.from_pretrained(tmp_path / "out")
    assert model.lm_head.weight is model.shared.weight and torch.equal(model.shared.weight, table)


@pytest.mark.parametrize("named", [True, False])
def test_the_folder_that_the_command_runs_in_may_be_the_tokenizers(tmp_path, monkeypatch, named):
    """By the flag, or because the run began there."""
    mt5.train_spm(tmp_path / "spiece.model")
    monkeypatch.chdir(tmp_path)
    state = state_of_golden()
    state["cfg"]["model"].hf_model = "." if not named else ""
    torch.save(state, tmp_path / "run.pt")
    account = to_huggingface(tmp_path / "run.pt", tmp_path / "out", type(tmp_path)(".") if named else None)
    assert account["tokenizer files"] == ["spiece.model"]
    assert (tmp_path / "out" / "spiece.model").read_bytes() == (tmp_path / "spiece.model").read_bytes()


def test_what_cannot_be_converted_is_one_line_and_no_folder(tmp_path):
    odd = write(tmp_path / "odd.pt", **{"encoder.hierarchy.weight": torch.ones(1)})
    (tmp_path / "there").mkdir()
    out, file = tmp_path / "out", GOLDEN
    for arguments, message in (
        ((tmp_path / "absent.pt", out), "absent.pt: missing"),
        ((HERE / "vhm_transformer.pt", out), "not of --arch hf_mt5"),
        ((odd, out), "has encoder.hierarchy.weight, which no mT5 has"),
        ((GOLDEN, out, tmp_path / "there"), "--tokenizer .*there: has none of spiece.model"),
        ((GOLDEN, tmp_path / "there"), "--out .*there: exists"),
        ((GOLDEN, file / "out"), "cannot be written: "),
    ):
        with pytest.raises(UserError, match=message):
            to_huggingface(*arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["odd.pt", "there"]
