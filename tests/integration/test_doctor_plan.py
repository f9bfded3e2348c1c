"""``vhm doctor --plan`` against what it plans: files, checkpoints, mini-batches, multiply-adds."""

import copy
import json
import re
import shlex
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import mt5
import pytest
import tiny
import torch
from commands import REPOSITORY, SHORT_RUN

from fairseq_vhm import cli
from fairseq_vhm.data.plan import Turn
from fairseq_vhm.planning import measure
from fairseq_vhm.planning.batches import Schedule
from fairseq_vhm.planning.plan import make_plan
from fairseq_vhm.planning.prepared import material_of
from fairseq_vhm.planning.request import Settings, wanted_of
from fairseq_vhm.planning.run import Run
from fairseq_vhm.planning.storage import checkpoints_kept, memory
from fairseq_vhm.planning.unit_costs import UnitCosts, _Counted

LONG = "--max-tokens 240 --max-update 9"
SHALLOW = ["--encoder-layers", "1", "--decoder-layers", "1"]
TINY = ["--arch", "vhm_transformer_tiny", *SHALLOW, *LONG.split()]
FLAGS = [*TINY, *SHORT_RUN.split()]
NO_LATENTS = ["--latents", "none"]
KINDS = {
    "vhm": ([], ("cls", "mt", "ms")),
    "all logits at once, no latents": (["--loss-chunk", "0", "--latents", "none"], ("cls",)),
    "one encoding, a text of its own": (
        ["--share-document-encoding", "--task-tag", "target", "--pretraining-tasks", "mlm", *NO_LATENTS],
        ("cls+ms", "mt", "mlm"),
    ),
}
OTHER = 700  # symbols; others than counting is done with
NUMBERS = ["--pairs", "cls=1.5k,mt=2k", "ms=1000", "--lengths", "cls=20:7,mt=20:20,ms=20:7"]


@pytest.fixture
def plan(capsys, monkeypatch):
    """Runs ``vhm doctor --plan`` in this process; its JSON, or with ``fails`` its exit status and error."""

    def run(*words, fails: bool = False):
        monkeypatch.setattr(sys, "argv", ["vhm", "doctor", "--plan", *map(str, words), "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        if fails:
            assert not out
            return ended.value.code, err
        assert ended.value.code == 0, err
        return json.loads(out)

    return run


@pytest.fixture(scope="module")
def run(toy_data) -> Run:
    return Run.of(FLAGS, toy_data)


@pytest.fixture(scope="module")
def symbols() -> int:
    return len(tiny.make_dictionary(tiny.WORDS))


# ---- against reality ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def from_texts(tmp_path_factory, symbols) -> tuple[Path, dict]:
    """DATA, and what was planned from the texts that it was binarised from."""
    folder = tmp_path_factory.mktemp("texts")
    sizes = {task: {"train": 1000} for task in ("cls", "mt", "ms")}
    tiny.write_corpus(folder, sizes)
    words = []
    for task, languages in tiny.LANGUAGES.items():
        sides = (folder / "text" / task / f"train.{language}" for language in languages)
        words.append(f"{task}=" + ",".join(map(str, sides)))
    settings = Settings([], [], symbols, None, ["a100"], [1, 8], 0.25, 0)
    planned = make_plan(wanted_of([*words, *TINY, "--fp16"], settings))
    return tiny.binarise(folder, sizes), planned.as_json()


def test_the_disk_of_binarised_texts_is_foretold_within_5_percent(from_texts):
    data, planned = from_texts
    written = [path for path in data.rglob("*") if path.name != "preprocess.log"]
    size = sum(path.stat().st_size for path in written if path.is_file())
    assert planned["disk"]["data"] == pytest.approx(size, rel=0.05)


def test_a_checkpoint_and_its_parameters_are_foretold(plan, toy_data, tmp_path, run):
    trainer = measure.trainer_of(run)
    measure.train(trainer, next(measure.steps(run, trainer)))
    path = tmp_path / "checkpoint.pt"
    trainer.consolidate_optimizer()
    trainer.save_checkpoint(str(path), {"train_iterator": {"epoch": 1}})
    found = plan(toy_data, *FLAGS, "--measured-updates", 1)
    assert found["parameters"] == sum(p.numel() for p in trainer.model.parameters())
    assert found["disk"]["checkpoint"] == pytest.approx(path.stat().st_size, rel=0.05)
    optimizer = trainer.optimizer.optimizer.state.values()
    moments = sum(t.nbytes for state in optimizer for t in state.values() if torch.is_tensor(t) and t.dim())
    assert found["memory"]["optimizer"] == moments
    assert found["measured"]["share_of_the_rate"] > 0 and len(found["measured"]["seconds"]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_work_of_any_mini_batch_and_vocabulary_is_what_torch_counts(kind):
    flags, tasks = KINDS[kind]
    flagged = Run.of([*TINY, *flags])
    units, counted = UnitCosts(flagged, OTHER, tasks), _Counted(flagged, OTHER)
    assert units.parameters == counted.parameters
    for task, shape in zip(tasks, ((3, 21, 9), (2, 5, 17), (4, 30, 3)), strict=False):
        work, kept = counted.cost(task, *shape)
        foretold = units.of(task, *shape)
        assert foretold.multiply_adds == pytest.approx(work, rel=1e-9)
        assert foretold.activations == pytest.approx(kept, rel=0.02)


def test_mini_batches_and_epochs_are_those_that_fairseq_trains_on(run, toy_data):
    material = material_of(run, toy_data)
    trainer = measure.trainer_of(run)
    iterator = trainer.get_train_iterator(epoch=1, load_dataset=True)
    seen = {task: Counter() for task in run.tasks}
    for task, cut in iterator.dataset.mini_batches.items():
        for number in range(len(cut)):
            made = iterator.dataset[Turn(task, number, number)]
            seen[task][(*made["net_input"]["src_tokens"].shape, made["target"].shape[1])] += 1
    for task in run.tasks:
        planned = Counter(tuple(map(int, shape)) for shape in material.batches[task].shapes)
        assert planned == seen[task] and material.batches[task].number == seen[task].total()
    epochs = Schedule.of(Run.of([*FLAGS, "--max-update", "0", "--max-epoch", "3"], toy_data), material)
    assert epochs.updates == 3 * len(iterator)


@pytest.fixture
def beside_gpus(monkeypatch):
    """Eight GPUs are counted here, and torchrun has started this process as one of four."""
    launcher = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)


def test_gpus_and_a_launcher_of_this_machine_change_no_plan(plan, toy_data, request):
    words = (toy_data, *FLAGS, "--distributed-world-size=2", "--measured-updates", 1)
    alone = plan(*words)
    request.getfixturevalue("beside_gpus")
    beside = plan(*words)
    assert beside["measured"].keys() == alone["measured"].keys()
    assert {**beside, "measured": None} == {**alone, "measured": None}


def test_updates_are_measured_in_one_process_on_the_cpu_whatever_gpus_there_are(
    beside_gpus, toy_data, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    run = Run.of([*FLAGS, "--fp16"], toy_data)
    trainer = measure.trainer_of(run)
    assert (trainer.data_parallel_world_size, trainer.device.type) == (1, "cpu")
    assert run.cfg.common.fp16_no_flatten_grads


# ---- arithmetic that can be done by hand -------------------------------------------------------


def test_time_is_work_over_rate_and_eight_gpus_take_an_eighth(from_texts):
    _, planned = from_texts
    one, eight = planned["times"]
    work = planned["updates"] * planned["multiply_adds_an_update"]
    assert one["seconds"] == pytest.approx(work / (312e12 / 2 * 0.25))
    assert eight["seconds"] == pytest.approx(one["seconds"] / 8)
    assert (one["updates"], eight["updates"]) == (9, 9 / 8)


def test_twice_the_update_freq_or_the_gpus_are_twice_the_mini_batches_of_an_update(run, toy_data):
    material = material_of(run, toy_data)
    once = Schedule.of(run, material).mini_batches
    for flag in ("--update-freq", "--distributed-world-size"):
        twice = Schedule.of(Run.of([*FLAGS, flag, "2"], toy_data), material).mini_batches
        assert twice == {task: 2 * number for task, number in once.items()}


def changed(run: Run, **settings) -> Run:
    """The run with other settings, each named as ``GROUP_DOT_NAME`` of fairseq's configuration."""
    cfg = copy.deepcopy(run.cfg)
    for place, value in settings.items():
        group, name = place.split("_DOT_")
        cfg[group][name] = value
    return replace(run, cfg=cfg)


HALF = {"common_DOT_fp16": True}


@pytest.mark.parametrize(
    ("settings", "bytes_a_parameter"),
    [({}, 16), (HALF, 20), (HALF | {"common_DOT_memory_efficient_fp16": True}, 12)],
)
def test_the_state_of_a_parameter_is_that_of_fairseqs_optimizers(run, settings, bytes_a_parameter):
    assert memory(changed(run, **settings), 1000, 0, 0, 0).total == 1000 * bytes_a_parameter


NO_EPOCHS = {"checkpoint_DOT_no_epoch_checkpoints": True}
EVERY_TEN = NO_EPOCHS | {"checkpoint_DOT_save_interval_updates": 10}


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (NO_EPOCHS, 2),  # last and best
        (EVERY_TEN, 2 + 10),
        (EVERY_TEN | {"checkpoint_DOT_keep_interval_updates": 3}, 2 + 3),
        ({}, 2 + 5),  # an epoch each
        ({"checkpoint_DOT_keep_last_epochs": 2, "dataset_DOT_disable_validation": True}, 1 + 2),
        ({"checkpoint_DOT_no_save": True}, 0),
    ],
)
def test_checkpoints_are_kept_by_fairseqs_flags(run, settings, kept):
    assert checkpoints_kept(changed(run, **settings), updates=100, epochs=5.0) == kept


# ---- the document ------------------------------------------------------------------------------


def test_every_command_of_the_document_runs_on_smaller_models(toy_data, tmp_path, monkeypatch, capsys):
    text = (REPOSITORY / "docs" / "plan.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "DATA").symlink_to(toy_data)
    (tmp_path / "MT5").mkdir()
    config = json.dumps(mt5.make_config(vocab_size=250_112))
    (tmp_path / "MT5" / "config.json").write_text(config)
    monkeypatch.chdir(tmp_path)
    assert len(blocks) == 3
    for block in blocks:
        words = shlex.split(block.replace("\\\n", " ").replace("vhm_transformer ", "vhm_transformer_tiny "))
        monkeypatch.setattr(sys, "argv", words + SHALLOW * ("hf_mt5" not in words))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        assert "memory on each GPU" in out and "Assumed: the GPUs' published rates" in out


# ---- what cannot be planned --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-tokens", 9, "--max-update", 9], "give DATA (prepared), files as in"),
        ([*NUMBERS, "--max-update", 9], "--max-tokens: give it, or --batch-size"),
        ([*NUMBERS, "--max-tokens", 99], "--max-update: give it"),
        ([*NUMBERS, *TINY], "--vocab-size: say how many symbols"),
        ([*NUMBERS[:2], *TINY, "--vocab-size", 99], "--lengths: say how many tokens the pairs of cls have"),
        (["--pairs", "cls=many", *TINY, "--vocab-size", 99, "--lengths", "cls=1:1"], "'many' is no number"),
        (["cls=absent.en,absent.zh", *TINY, "--vocab-size", 99], "absent.en: cannot be read"),
        (["absent", *TINY], "absent: no such folder"),
        ([*NUMBERS, *TINY, "--vocab-size", 99, "--optimizer", "lamb"], "lamb"),
    ],
)
def test_what_cannot_be_planned_is_one_line(plan, words, said):
    status, err = plan(*words, fails=True)
    assert said in err and "Traceback" not in err and status in (1, 2)


def test_flags_that_fairseq_train_does_not_take_are_a_wrong_command_line(plan):
    status, err = plan(*NUMBERS, *TINY, "--vocab-size", 99, "--kl-anneal-stepz", 3, fails=True)
    assert status == 2 and "--kl-anneal-stepz" in err
