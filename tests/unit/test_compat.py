"""What compat mends, and that it mends no more than that."""

import argparse
import fileinput
import io
import os
import pickle
import sys
from types import SimpleNamespace

import fairseq_cli.interactive
import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils, optim, options
from fairseq.data import data_utils
from fairseq.distributed import utils as distributed_utils
from fairseq.models import distributed_fairseq_model
from fairseq.trainer import Trainer

from fairseq_vhm import compat
from fairseq_vhm.compat import errors
from fairseq_vhm.compat.checkpoints import _missing_clearly, read
from fairseq_vhm.compat.command_line import mend_arguments
from fairseq_vhm.compat.encoding import keep_broken_bytes
from fairseq_vhm.compat.fallback import _falling_back
from fairseq_vhm.compat.non_finite import ScaledOverflow, _raising, _refusing
from fairseq_vhm.compat.precision import mend_precision
from fairseq_vhm.errors import UserError

OF_TRAINING = ("train", "validate_and_save", "get_valid_stats", "should_stop_early")
MENDED = {
    checkpoint_utils: (
        *("load_checkpoint_to_cpu", "load_model_ensemble_and_task", "save_checkpoint", "PathManager"),
        *("torch_persistent_save", "verify_checkpoint_directory"),
    ),
    data_utils: ("batch_by_size",),
    options: ("parse_args_and_arch",),
    distributed_fairseq_model: ("DistributedDataParallel", "DistributedTimeoutWrapper"),
    distributed_utils: ("call_main", "distributed_init", "distributed_main"),
    optim: ("AMPOptimizer",),
    sys: ("excepthook",),
    Trainer: ("load_checkpoint", "save_checkpoint", "clip_grad_norm", "train_step"),
}


class Malicious:
    """A pickle that would run a program when it is loaded."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_what_is_mended_is_mended_once(monkeypatch):
    for home, names in MENDED.items():
        for name in names:
            monkeypatch.setattr(home, name, getattr(home, name))
    program = SimpleNamespace(**{name: lambda: None for name in OF_TRAINING})
    monkeypatch.setitem(sys.modules, "fairseq_cli.train", program)
    places = [(home, name) for home, names in MENDED.items() for name in names]
    places += [(program, name) for name in OF_TRAINING]
    compat.apply()
    once = [getattr(home, name) for home, name in places]
    compat.apply()
    again = [getattr(home, name) for home, name in places]
    assert [name for (_, name), one, two in zip(places, once, again, strict=True) if one is not two] == []
    assert "fairseq_vhm" in program.train.__code__.co_filename


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


def test_indices_that_come_one_by_one_are_batched_as_an_array_is():
    lengths, limits = np.full(9, 50), {"max_sentences": 4, "required_batch_size_multiple": 8}
    found = data_utils.batch_by_size(iter(range(9)), None, num_tokens_vec=lengths, **limits)
    assert [list(batch) for batch in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


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
    flags = ["DATA", "--arch", "vhm_transformer_tiny", "--bf16"]
    args = options.parse_args_and_arch(options.get_training_parser(), flags)
    assert args.bf16 and not args.tpu


@pytest.mark.parametrize(("precision", "refused"), [("fp16", True), ("bf16", False), ("amp", False)])
def test_a_schedule_of_update_freq_needs_a_window_where_fp16_scales_the_loss(precision, refused):
    args = argparse.Namespace(update_freq=[2, 1], fp16_scale_window=None, **{precision: True})
    if refused:
        with pytest.raises(UserError, match="^--update-freq 2,1: .* --fp16 .* --fp16-scale-window"):
            mend_precision(args)
        args.fp16_scale_window = 4
    mend_precision(args)
    assert bool(args.fp16_scale_window) == (precision != "amp")  # fairseq asks for it of --bf16 too


@pytest.mark.parametrize("other", ["fp16", "bf16"])
def test_amp_beside_another_precision_is_refused(other):
    with pytest.raises(UserError, match=f"--amp beside --{other}"):
        mend_precision(argparse.Namespace(amp=True, **{other: True}))


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


@pytest.mark.parametrize("flag", ["finetune_from_model", "continue_once"])
@pytest.mark.parametrize(("given", "missing"), [("start.pt", False), ("nowhere.pt", True)])
def test_what_to_start_from_must_be_there_until_the_run_has_a_checkpoint(tmp_path, flag, given, missing):
    (tmp_path / "start.pt").write_text("")
    args = argparse.Namespace(**{flag: str(tmp_path / given)}, save_dir=str(tmp_path))
    if missing:
        with pytest.raises(UserError, match=f"^--{flag.replace('_', '-')} .*/nowhere.pt: missing"):
            mend_arguments(args)
        (tmp_path / "checkpoint_last.pt").write_text("")
    mend_arguments(args)


@pytest.mark.parametrize("other", [{"reset_meters": True}, {"restore_file": "a.pt"}], ids=str)
def test_fine_tuning_is_refused_beside_what_it_does_itself(other):
    flag = f"--{next(iter(other)).replace('_', '-')}"
    with pytest.raises(UserError, match=f"--finetune-from-model .* drop {flag}$"):
        mend_arguments(argparse.Namespace(finetune_from_model="start.pt", **other))


@pytest.mark.parametrize(("restored", "warned"), [("start.pt", True), ("checkpoint_last.pt", False)])
def test_beginning_again_beside_a_run_of_ones_own_is_warned_of(tmp_path, caplog, restored, warned):
    for name in ("start.pt", "checkpoint_last.pt"):
        (tmp_path / name).write_text("")
    mend_arguments(argparse.Namespace(restore_file=str(tmp_path / restored), save_dir=str(tmp_path)))
    assert ("give --continue-once in place of --restore-file" in caplog.text) == warned


def test_a_run_that_could_not_be_gone_on_with_is_refused():
    with pytest.raises(UserError, match="--save-async.*no checkpoint_last.pt"):
        mend_arguments(argparse.Namespace(write_checkpoints_asynchronously=True))


# ---- errors ------------------------------------------------------------------------------------


def caught(raising) -> BaseException:
    try:
        raising()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def replaced() -> None:
    try:
        raise UserError("--lr: too large")
    except UserError:
        raise ValueError("architectures must match")  # noqa: B904  (as fairseq's trainer does)


def test_a_users_mistake_is_one_line_and_any_other_error_a_stack_trace(capsys):
    for error in (UserError("--lr: too large"), caught(replaced)):
        errors._hook(type(error), error, error.__traceback__)
        assert capsys.readouterr().err == "fairseq_vhm: error: --lr: too large\n"
    error = caught(lambda: 1 / 0)
    errors._hook(type(error), error, error.__traceback__)
    assert capsys.readouterr().err.endswith("ZeroDivisionError: division by zero\n")


def load_ensemble(path: str):
    return checkpoint_utils.load_model_ensemble_and_task([path])


def test_a_hook_in_front_of_ours_that_hands_on_to_it_ends(monkeypatch, capsys):
    """Installed again behind it, ours would hand on to the other, and so on without end."""
    monkeypatch.setattr(sys, "excepthook", lambda *about: errors._hook(*about))
    errors.install()
    error = caught(lambda: 1 / 0)
    sys.excepthook(type(error), error, error.__traceback__)
    assert capsys.readouterr().err.endswith("ZeroDivisionError: division by zero\n")


def test_a_folder_in_place_of_a_checkpoint_is_refused_in_one_line(tmp_path):
    for load in (checkpoint_utils.load_checkpoint_to_cpu, read, load_ensemble):
        with pytest.raises(UserError, match=r": cannot be read \(Is a directory\); name a checkpoint's file"):
            load(str(tmp_path))


def test_only_a_missing_checkpoint_is_said_to_be_missing(tmp_path):
    with pytest.raises(UserError, match="nowhere.pt: missing; give --path"):
        checkpoint_utils.load_model_ensemble_and_task([str(tmp_path / "nowhere.pt")])
    with pytest.raises(FileNotFoundError, match="dict.en.txt"):
        _missing_clearly(lambda _: (tmp_path / "dict.en.txt").read_text())(["a.pt"])


def test_want_of_memory_is_no_fault_of_the_checkpoint(tmp_path, monkeypatch):
    torch.save({"model": {}}, tmp_path / "a.pt")

    def exhausted(*args, **kwargs):
        torch.empty(1 << 60)

    monkeypatch.setattr(torch, "load", exhausted)
    with pytest.raises(RuntimeError, match="memory"):
        checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "a.pt"))


def test_a_last_checkpoint_that_is_out_of_reach_is_no_reason_to_go_back_to_an_older_one(tmp_path):
    """It may be whole, and would be written over."""
    torch.save({"model": {}}, tmp_path / "checkpoint1.pt")
    load = _falling_back(lambda trainer, path: checkpoint_utils.load_checkpoint_to_cpu(path) or "loaded")
    (tmp_path / "checkpoint_last.pt").mkdir()
    checkpoint = SimpleNamespace(restore_file="checkpoint_last.pt", save_dir=str(tmp_path))
    trainer = SimpleNamespace(cfg=SimpleNamespace(checkpoint=checkpoint))
    with pytest.raises(UserError, match="checkpoint_last.pt: cannot be read"):
        load(trainer, str(tmp_path / "checkpoint_last.pt"))


@pytest.mark.parametrize("by_python", [False, True], ids=["installed", "python -m"])
def test_broken_bytes_pass_though_stdin_is_closed(monkeypatch, tmp_path, by_python):
    (tmp_path / "input").write_bytes(b"w1 \xff\n")
    if by_python:
        main, file = sys.modules["__main__"], fairseq_cli.interactive.__file__
        monkeypatch.setattr(main, "__file__", file, raising=False)  # a worker of the tests has none
    else:
        monkeypatch.setattr(sys, "argv", ["/bin/fairseq-interactive"])
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(fileinput, "hook_encoded", fileinput.hook_encoded)
    keep_broken_bytes()
    hook = fileinput.hook_encoded("utf-8")
    with fileinput.input([str(tmp_path / "input")], openhook=hook) as lines:
        assert list(lines) == ["w1 \udcff\n"]


# ---- tasks that are not ours -------------------------------------------------------------------


def test_another_task_keeps_fairseqs_way_with_what_is_not_finite():
    """Of its own are a norm that is NaN, and a checkpoint of such parameters."""
    trainer = SimpleNamespace(task=object(), saved=[])
    assert torch.isnan(_raising(lambda trainer, most: torch.tensor(torch.nan))(trainer, 1.0))
    save = _refusing(lambda cfg, trainer, epoch, loss: "path")
    assert save(None, trainer, None, None) == "path"


@pytest.mark.parametrize("cuda", [False, True])
def test_an_overflow_of_the_loss_scale_is_fairseqs_on_a_gpu_and_ended_here_on_a_cpu(cuda):
    def overflowing(trainer, most):
        raise OverflowError("setting loss scale to: 64")

    common = SimpleNamespace(amp=False)
    trainer = SimpleNamespace(
        task=SimpleNamespace(non_finite=None), cuda=cuda, cfg=SimpleNamespace(common=common)
    )
    with pytest.raises(OverflowError if cuda else ScaledOverflow, match="64"):
        _raising(overflowing)(trainer, 1.0)
