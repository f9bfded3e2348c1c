"""What compat mends, and that it mends no more than that."""

import argparse
import io
import os
import pickle

import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.data import data_utils

from fairseq_vhm.compat import mend_arguments
from fairseq_vhm.errors import UserError


class Malicious:
    """A pickle that would run a program when it is loaded."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 618])
@pytest.mark.parametrize("limits", [{"max_tokens": 400}, {"max_sentences": 4}, {"max_sentences": 16}])
def test_no_index_is_lost_in_batching_and_limits_hold(size, limits):
    lengths = np.full(size, 50)
    batches = data_utils.batch_by_size(
        np.arange(size), None, num_tokens_vec=lengths, required_batch_size_multiple=8, **limits
    )
    assert np.concatenate(batches).tolist() == list(range(size))
    for batch in batches:
        assert 50 * len(batch) <= limits.get("max_tokens", 1 << 30)
        assert len(batch) <= limits.get("max_sentences", 1 << 30)


def test_checkpoint_with_fairseqs_own_types_loads(tmp_path):
    path = tmp_path / "good.pt"
    meters = {"bleu": np.array([1.0, 2.0]), "count": np.float64(3), "n": np.int64(4)}
    torch.save({"args": argparse.Namespace(arch="x"), "model": {}, "extra_state": meters}, path)
    state = torch.load(path)
    assert state["extra_state"]["bleu"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("zipped", [True, False])
def test_malicious_checkpoint_is_refused_in_one_line_and_nothing_runs(tmp_path, zipped):
    path, touched = tmp_path / "bad.pt", tmp_path / "touched"
    content = {"args": None, "model": {}, "evil": Malicious(f"touch {touched}")}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError) as caught:
        checkpoint_utils.load_checkpoint_to_cpu(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not touched.exists()
    torch.load(path, weights_only=False) if zipped else pickle.loads(path.read_bytes())
    assert touched.exists(), "the pickle was harmless: the test proves nothing"


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.6, 0.98])
def test_checkpoint_cut_short_is_refused_in_one_line(tmp_path, keep):
    path = tmp_path / "cut.pt"
    torch.save({"args": None, "model": {"w": torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(UserError) as caught:
        checkpoint_utils.load_checkpoint_to_cpu(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_weights_only_is_not_switched_off_anywhere():
    assert not os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    buffer = io.BytesIO()
    torch.save(Malicious("true"), buffer)
    buffer.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(buffer)


def test_bf16_is_not_taken_for_a_tpu():
    args = argparse.Namespace(bf16=True, tpu=True)
    mend_arguments(args)
    assert args.tpu is False


def test_several_processes_without_gpus_are_refused_unless_started_one_by_one():
    args = argparse.Namespace(distributed_world_size=2, cpu=True, distributed_no_spawn=False)
    with pytest.raises(UserError, match="--distributed-no-spawn"):
        mend_arguments(args)
    args.distributed_no_spawn = True
    mend_arguments(args)


@pytest.mark.parametrize("flags", [{"ddp_backend": "fully_sharded"}, {"zero_sharding": "os"}], ids=str)
def test_sharded_models_are_refused_with_what_works(flags):
    with pytest.raises(UserError, match="fairscale's.*legacy_ddp or pytorch_ddp"):
        mend_arguments(argparse.Namespace(**flags))
