"""fairseq-train with the plugin: what it logs, which checkpoint it calls best, schedules, ablations."""

import re
import statistics
import struct

import pytest
import sacrebleu
import torch
from commands import (
    PLUGIN,
    REPOSITORY,
    decoding,
    difference,
    hypotheses,
    learned,
    logged,
    printed,
    read,
    training,
)
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from tensorboardX.proto.event_pb2 import Event

from fairseq_vhm.metrics.rouge import sentence_rouge

TASKS = ("cls", "mt", "ms")
TRAINED = ["loss", "nll_loss", "kl_weight"]
TRAINED += [f"{name}_{task}" for name in ("loss", "nll_loss", "kl") for task in TASKS]
VALIDATED = [*TRAINED, *(f"au_{task}" for task in TASKS)]
GENERATED = ["rouge1", "rouge2", "rougeL", "bleu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluated")


@pytest.fixture(scope="module")
def evaluated(toy_data, forked, folder):
    """A run of 30 updates that validates by generation every 10 and keeps the best by ROUGE-L."""
    flags = ["--eval-rouge", "--eval-bleu", "--validate-interval-updates", 10, "--lr", 0.01]
    flags += ["--best-checkpoint-metric", "rougeL", "--maximize-best-checkpoint-metric"]
    flags += ["--tensorboard-logdir", folder / "board", "--save-interval-updates", 10]
    return forked("fairseq-train", *training(toy_data, folder / "run", *flags, updates=30))


def tags(event_file) -> set[str]:
    """Names of the scalars in a TensorBoard event file (records: length, CRC, protobuf, CRC)."""
    data, found, start = event_file.read_bytes(), set(), 0
    while start < len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        event = Event.FromString(data[start + 12 : start + 12 + length])
        found |= {value.tag for value in event.summary.value}
        start += 12 + length + 4
    return found


@pytest.mark.parametrize("name", VALIDATED + GENERATED)
def test_each_validation_logs(evaluated, name):
    validations = logged(evaluated, "valid")
    assert {10, 20, 30} <= {v["valid_num_updates"] for v in validations}
    assert all(f"valid_{name}" in validation for validation in validations)


@pytest.mark.parametrize("name", TRAINED)
def test_each_training_update_logs(evaluated, name):
    updates = logged(evaluated, "train_inner")
    assert len(updates) == 30
    assert all(name in update for update in updates)


def test_kl_weight_rises_in_training_and_is_full_in_validation(toy_data, forked, tmp_path):
    process = forked("fairseq-train", *training(toy_data, tmp_path, "--kl-anneal-steps", 4))
    assert [u["kl_weight"] for u in logged(process, "train_inner")] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert logged(process, "valid")[-1]["valid_kl_weight"] == 1


@pytest.mark.parametrize(
    ("logger", "names"),
    [("train_inner", TRAINED), ("train", TRAINED), ("valid", VALIDATED + GENERATED)],
)
def test_tensorboard_holds_what_the_log_holds(evaluated, folder, logger, names):
    events = [tag for path in (folder / "board" / logger).iterdir() for tag in tags(path)]
    assert set(names) <= set(events)


def test_rouge_picks_the_best_checkpoint(evaluated, folder):
    validations = logged(evaluated, "valid")
    best = max(validations, key=lambda v: v["valid_rougeL"])
    state = read(folder / "run" / "checkpoint_best.pt")
    assert state["extra_state"]["best"] == pytest.approx(best["valid_rougeL"], abs=0.01)
    assert state["optimizer_history"][-1]["num_updates"] == best["valid_num_updates"]
    assert best["valid_rougeL"] > 0


@pytest.fixture(scope="module")
def generated(evaluated, toy_data, forked, folder):
    """Beam-search output of the last checkpoint on the validation set, with --eval-gen-args' defaults."""
    flags = ["--gen-subset", "valid", "--beam", 4, "--lenpen", 0.6]
    return forked("fairseq-generate", *decoding(toy_data, folder / "run" / "checkpoint_last.pt", *flags))


def test_logged_rouge_is_that_of_generated_output(evaluated, generated):
    references = printed(generated, "T")
    scores = [
        sentence_rouge(text, references[number], "zh")
        for number, [(_, text)] in hypotheses(generated).items()
    ]
    for name in ("rouge1", "rouge2", "rougeL"):
        mean = statistics.mean(score[name] for score in scores)
        assert logged(evaluated, "valid")[-1][f"valid_{name}"] == pytest.approx(mean, abs=0.006)


def test_logged_bleu_is_that_of_generated_output(evaluated, generated):
    references = printed(generated, "T")
    outputs = {number: best[0][1] for number, best in hypotheses(generated).items()}
    in_order = [references[number] for number in outputs]
    bleu = sacrebleu.corpus_bleu(list(outputs.values()), [in_order], tokenize="zh")
    assert logged(evaluated, "valid")[-1]["valid_bleu"] == pytest.approx(bleu.score, abs=0.01)


def test_start_up_is_quiet_and_forks_change_nothing(toy_data, run, forked, tmp_path):
    real = run("fairseq-train", *training(toy_data, tmp_path / "real", updates=2))
    forked("fairseq-train", *training(toy_data, tmp_path / "forked", updates=2))
    last = [learned(tmp_path / way / "checkpoint_last.pt") for way in ("real", "forked")]
    assert difference(*last) is None
    assert re.findall(r".*warn.*", real.stdout + real.stderr, re.IGNORECASE) == []


def test_generation_starts_quietly(toy_data, run, trained):
    process = run("fairseq-generate", *decoding(toy_data, trained / "checkpoint_last.pt"))
    assert re.findall(r".*(?:warn|debug:).*", process.stdout + process.stderr, re.IGNORECASE) == []


@pytest.mark.parametrize("slash", ["", "/"])
def test_user_dir_may_be_a_path_from_anywhere(toy_data, forked, tmp_path, slash):
    flags = ("--user-dir", f"{REPOSITORY / 'fairseq_vhm'}{slash}")
    forked("fairseq-train", *training(toy_data, tmp_path / "run", *flags, updates=1), cwd=tmp_path)
    assert (tmp_path / "run" / "checkpoint_last.pt").exists()


def test_valid_subsets_of_single_tasks_say_what_valid_says_of_them(toy_data, forked, tmp_path):
    flags = ("--valid-subset", "valid,valid_cls,valid_mt")
    process = forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=2))
    (together,) = logged(process, "valid")
    for task in ("cls", "mt"):
        (alone,) = logged(process, f"valid_{task}")
        assert alone[f"valid_{task}_loss_{task}"] == together[f"valid_loss_{task}"]
        assert alone[f"valid_{task}_kl_{task}"] == together[f"valid_kl_{task}"]
        assert not any(f"loss_{other}" in key for key in alone for other in TASKS if other != task)


@pytest.mark.parametrize(
    ("ratio", "turns"),
    [
        ([], ["cls", "mt", "ms", "cls", "mt", "ms", "cls", "mt"]),
        (["--task-ratio", "cls:2,mt:1"], ["cls", "cls", "mt", "ms", "cls", "cls", "mt", "ms"]),
        (["--tasks", "cls,mt", "--latents", "mt,cls"], ["cls", "mt"] * 4),
    ],
)
def test_alternate_trains_one_task_an_update_in_turn(toy_data, forked, tmp_path, ratio, turns):
    flags = ("--task-schedule", "alternate", *ratio, "--tensorboard-logdir", tmp_path / "board")
    process = forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=8))
    of_update = [[t for t in TASKS if f"loss_{t}" in u] for u in logged(process, "train_inner")]
    assert of_update == [[turn] for turn in turns]


def test_joint_trains_every_task_in_every_update_by_ratio(toy_data, forked, tmp_path):
    flags = ("--task-ratio", "1,2,1", "--batch-size", 4, "--required-batch-size-multiple", 1)
    process = forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=4))
    for update in logged(process, "train_inner"):
        assert all(f"loss_{task}" in update for task in TASKS)
        assert update["bsz"] == 16


def test_an_epoch_passes_every_tasks_data_and_then_begins_anew(toy_data, forked, tmp_path):
    flags = ("--batch-size", 10, "--required-batch-size-multiple", 1, "--max-epoch", 2)
    process = forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=0))
    assert [e["train_num_updates"] for e in logged(process, "train")] == [10, 20]  # 100 MT pairs are the most


def test_few_shot_training_uses_the_fraction_of_cls_alone(toy_data, forked, tmp_path):
    process = forked("fairseq-train", *training(toy_data, tmp_path, "--cls-fraction", 0.1, updates=1))
    assert "cls train: 6 of 60 pairs in use" in process.stdout
    assert process.stdout.count("pairs in use") == 1


def test_without_latents_it_is_a_plain_transformer_under_fairseqs_criterion(toy_data, forked, tmp_path):
    arguments = training(
        toy_data, tmp_path, "--latents", "none", criterion="label_smoothed_cross_entropy", updates=8
    )
    updates = logged(forked("fairseq-train", *arguments), "train_inner")
    assert updates[-1]["nll_loss"] < updates[0]["nll_loss"]
    parameters = read(tmp_path / "checkpoint_last.pt")["model"]
    assert not any("hierarchy" in name or "fusion" in name for name in parameters)


@pytest.mark.parametrize(
    ("flags", "latents"),
    [
        (["--latents", "ms,cls"], {"ms", "cls"}),
        (["--latents", "mt,cls"], {"mt", "cls"}),
        (["--latents", "cls"], {"cls"}),
        (["--latents", "mt,ms"], {"mt", "ms"}),
        (["--no-hierarchy"], {"mt", "ms", "cls"}),
        (["--latents", "none"], set()),
        (["--latents", "none", "--tasks", "cls"], set()),
        (["--released-code-compat"], {"mt", "ms", "cls"}),
    ],
)
def test_each_ablation_trains_by_its_loss_and_logs_its_latents(toy_data, forked, tmp_path, flags, latents):
    process = forked("fairseq-train", *training(toy_data, tmp_path, *flags, updates=2))
    (validation,) = logged(process, "valid")
    assert {task for task in TASKS if f"valid_kl_{task}" in validation} == latents
    saved = read(tmp_path / "checkpoint_last.pt")
    assert {name.split(".")[3] for name in saved["model"] if "hierarchy.prior." in name} == latents
    kl_normalization = "released" if "--released-code-compat" in flags else "sum"
    assert saved["cfg"]["criterion"]["kl_normalization"] == kl_normalization


def test_the_users_own_loss_wins_over_that_of_the_released_code(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    given = ["DATA", *PLUGIN, "--arch", "vhm_transformer_tiny", "--released-code-compat"]
    given += ["--criterion", "elbo", "--kl-normalization", "sum"]
    args = options.parse_args_and_arch(options.get_training_parser(), given)
    assert convert_namespace_to_omegaconf(args).criterion.kl_normalization == "sum"


@pytest.mark.parametrize("precision", [["--bf16"], ["--fp16", "--fp16-no-flatten-grads"]])
def test_half_precision_trains(toy_data, forked, tmp_path, precision):
    process = forked("fairseq-train", *training(toy_data, tmp_path, *precision, updates=4))
    updates = logged(process, "train_inner")
    assert updates[-1]["num_updates"] == 4
    assert updates[-1]["nll_loss"] < updates[0]["nll_loss"]


def test_products_in_bfloat16_train_parameters_in_float32(toy_data, forked, tmp_path):
    """Losses as good as in full, from other products where the processor has them in bfloat16."""
    runs, states = [], []
    for precision in ("highest", "medium"):
        flags = ["--matmul-precision", precision]
        process = forked("fairseq-train", *training(toy_data, tmp_path / precision, *flags, updates=4))
        runs.append([update["loss"] for update in logged(process, "train_inner")])
        states.append(learned(tmp_path / precision / "checkpoint_last.pt"))
    assert runs[0] == pytest.approx(runs[1], rel=0.01)
    assert {one.dtype for one in states[1]["model"].values() if one.is_floating_point()} == {torch.float32}
    assert bool(difference(*states)) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
