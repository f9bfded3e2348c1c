"""Settings that no run can use are refused by flag and remedy; each value at the edge is taken."""

import pytest
import torch
from fairseq.optim.fairseq_optimizer import FairseqOptimizer

from fairseq_vhm import names
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import register_training_task

NAN = float("nan")
SHARED = {
    "non_finite_limit": (0, 1, "--non-finite-limit 0: give at least 1"),
    "latent_samples": (0, 1, "--latent-samples 0: give at least 1"),
}
CROSS_LINGUAL = {
    **SHARED,
    "max_source_positions": (2, 3, r"--max-source-positions must be at least 3 \(a token, tag, EOS\)"),
    "max_target_positions": (2, 3, r"--max-target-positions must be at least 3 \(a token, tag, EOS\)"),
    "mlm_span": (NAN, 1.0, "--mlm-span nan: give at least 1 token"),
    "eval_task": ("foo", "ms", "--eval-task foo: choose from cls, mt, ms"),
    "eval_metrics": ("chrf,rouge", "chrf", "--eval-metrics rouge: give --eval-rouge in its place"),
}
MANY = {
    **SHARED,
    "source_alpha": (NAN, 0.0, "--source-alpha nan: give 0 or more"),
    "min_pair_size": (0, 1, "--min-pair-size 0: give 1 or more"),
    "max_source_positions": (2, 3, r"--max-source-positions must be at least 3 \(tag, a token, EOS\)"),
}
CASES = [("cross_lingual", flag) for flag in CROSS_LINGUAL] + [("many_to_many", flag) for flag in MANY]


@pytest.mark.parametrize(("task", "flag"), CASES, ids="-".join)
def test_a_value_beyond_the_edge_is_refused_and_that_at_the_edge_is_not(request, of_model, task, flag):
    make = request.getfixturevalue(task)
    refused, taken, said = (CROSS_LINGUAL if task == "cross_lingual" else MANY)[flag]
    latents = {"latents": "none"}
    make(**{flag: taken}).build_model(of_model(**latents))
    with pytest.raises(UserError, match=f"^{said}"):
        make(**{flag: refused}).build_model(of_model(**latents))


@pytest.mark.parametrize("mark", [{"text_bos": True}, {"langs": "en_XX,zh_CN"}], ids=["bos", "language"])
def test_a_longest_source_without_room_for_a_token_is_refused(cross_lingual, mark):
    with pytest.raises(UserError, match=r"^--max-source-positions must be at least 4 \(a token, tag, "):
        cross_lingual(max_source_positions=3, **mark)
    task = cross_lingual(max_source_positions=4, **mark)
    line = torch.tensor([5, 6, task.dictionary.eos()])
    assert 5 in task.build_dataset_for_inference([line], torch.tensor([3]))[0]["source"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"tasks": "mt,ms,cls", "task_ratio": "1,2,4"}, {"mt": 1, "ms": 2, "cls": 4}),
        ({"tasks": "ms, cls", "task_ratio": "ms:3"}, {"ms": 3, "cls": 1}),
        (
            {"tasks": "mt,cls", "pretraining_tasks": "dae,mlm", "task_ratio": "2,3,4,5"},
            {"mt": 2, "cls": 3, "dae": 4, "mlm": 5},
        ),
    ],
    ids=["bare", "named", "pre-training"],
)
def test_bare_numbers_of_the_ratio_are_in_the_order_in_which_tasks_are_named(cross_lingual, flags, expected):
    assert cross_lingual(**flags).ratio == expected


# ---- tasks of plugins --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cls", "mlm", "a-b", "", "1st"])
def test_a_name_that_is_taken_or_is_no_tag_is_refused(name):
    before = dict(names.TASKS)
    with pytest.raises(ValueError, match=f"^a task named '{name}': take a name that no task has"):
        register_training_task(name, "nothing")
    assert before == names.TASKS


def test_a_subset_of_one_task_is_known_by_its_end_though_names_end_alike(cross_lingual, monkeypatch):
    task = cross_lingual()
    for name in ("easy_mt", "back_easy_mt"):
        monkeypatch.setitem(names.TASKS, name, "another")
    for name in names.TASKS:
        assert task._tasks_of_split(f"valid_{name}", generating=False) == ((name,), "valid")
    for split in ("valid", "valid_foo", "_mt"):
        assert task._tasks_of_split(split, generating=True) == (("cls",), split)


# ---- a step ------------------------------------------------------------------------------------


class Optimizer(FairseqOptimizer):
    """fairseq's, as far as a backward pass goes."""

    def __init__(self):
        pass


def test_the_gradient_of_a_step_that_does_not_count_is_zero(cross_lingual):
    """As fairseq asks for on a rank that has run out of data."""
    task, model = cross_lingual(), torch.nn.Linear(2, 1)
    model.set_num_updates = lambda updates: None
    batch = {"stream": "cls", "position": 0, "target": torch.ones(1, 2)}

    def criterion(model, batch):
        return model(torch.ones(1, 2)).sum() + 4, 3, {"loss": 1.0}

    found = {}
    for ignored in (False, True):
        model.zero_grad()
        step = {"mini_batches": [batch, batch]}
        loss, size, log = task.train_step(step, model, criterion, Optimizer(), 1, ignore_grad=ignored)
        found[ignored] = (float(loss), size, log, model.weight.grad.abs().sum().item())
    assert found[True] == (0.0, 6, {"loss": 2.0}, 0.0)
    assert found[False][1:] == (6, {"loss": 2.0}, 4.0)
