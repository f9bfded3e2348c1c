"""Readers of ``vhm report``, ``card`` and ``average``: logs, scores, settings, checkpoints."""

from argparse import Namespace
from pathlib import Path

import torch
from fairseq import checkpoint_utils

from fairseq_vhm.card import build as cards
from fairseq_vhm.card import facts
from fairseq_vhm.checkpoints import average
from fairseq_vhm.language_pairs import files as pair_files
from fairseq_vhm.language_pairs.results import PairScores
from fairseq_vhm.report.checkpoint import read_checkpoint
from fairseq_vhm.report.logs import is_training_log, read_log
from fairseq_vhm.report.overrides import read_overrides
from fairseq_vhm.report.pairs import pair_tables, wrong_language_tables, wrong_languages
from fairseq_vhm.report.runs import find_runs
from fairseq_vhm.report.texts import Given, test_sets
from fuzzing.cases import ENGLISH, MANIFEST, drain, generated, lines, one, reader, saved


def json_log() -> bytes:
    inner = [
        f"2026-01-01 00:00:00 | INFO | train_inner | "
        f'{{"epoch": 1, "num_updates": "{n}", "ups": "2.5", "train_wall": "10", "kl_cls": "0.5"}}'
        for n in range(25, 125, 25)
    ]
    head = ["2026 | INFO | fairseq_cli.train | training on 1 devices (GPUs/TPUs)"]
    head += ["2026 | INFO | fairseq_cli.train | num. shared model params: 1,000"]
    end = ['2026 | INFO | valid | {"epoch": 1, "valid_num_updates": "100", "valid_kl_cls": "1"}']
    end += ['2026 | INFO | train | {"epoch": 1, "train_num_updates": "100", "train_train_wall": "40"}']
    return lines([*head, *inner, *end, "2026 | INFO | fairseq_cli.train | done training in 9.0 seconds"])


SIMPLE_LOG = lines(
    [
        "2026 | INFO | train_inner | epoch 001:     50 / 100 loss=9.1, nll_loss=8, num_updates=50, ups=2",
        "2026 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 8 | num_updates 100",
        "2026 | INFO | train | epoch 001 | loss 8 | train_wall 20 | num_updates 100",
        "rank   0: capabilities =  9.0  ; total memory = 139 GB ; name = NVIDIA H200",
    ]
)


@reader("training log", "report", {"train.log": json_log(), "simple.log": SIMPLE_LOG})
def read_training_logs(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        is_training_log(path.read_bytes().decode("utf-8", "replace"))
        log = read_log(path)
        log.timing(), log.updates, log.hardware, log.series("train_inner", "kl_cls")


SCORES = {"metric": {"rouge1": {"f": 40.0, "p": 41.0}}, "signature": {"rouge1": "rouge|x"}, "n": 3}
PAIR = {**SCORES, "source": "en", "target": "bn"}
PAIR["metric"] = {
    **SCORES["metric"],
    "offtarget": {"value": 33.3, "empty": 0, "unidentified": 0, "identified": 3, "references": 0, "in_hi": 1},
}
SUMMARY = {"pairs": {"en-bn": {"n": 3}}, "min_pair_size": 1, "off_target": {"limit": 5.0}}


@reader(
    "folder of runs",
    "report",
    {
        "a/train.log": json_log(),
        "a/test.log": generated(range(4), ENGLISH),
        "a/scores.json": one(SCORES),
        "m/scores.en-bn.json": one(PAIR),
        "m/scores.pairs.json": one(SUMMARY),
    },
)
def read_runs(folder: Path) -> None:
    runs = find_runs(folder, read_overrides(folder / "report.toml"))
    test_sets(runs, Given(lang="en"), folder)
    drain(table.markdown() for table in (*wrong_language_tables(runs), *pair_tables(runs)))
    wrong_languages(runs)


@reader(
    "earlier scores",
    "score --corpus, repeated",
    {"out/scores.pairs.json": one(SUMMARY), "out/scores.en-bn.json": b"{}"},
)
def read_earlier_scores(folder: Path) -> None:
    pair = PairScores("en", "bn", 3, PAIR["metric"], PAIR["signature"])
    pair_files.write(folder / "out", [pair], least=1, limit=5.0)


@reader(
    "report.toml",
    "report",
    {"report.toml": b'[runs.a]\nname = "A"\nsource_lang = "zh"\nreferences = ["ref"]\n', "ref": b"x\n"},
)
def read_settings_of_report(folder: Path) -> None:
    read_overrides(folder / "report.toml").of("a/b")


SECTIONS = {
    "optimization": {"max_update": 400, "lr": [0.005]},
    "checkpoint": {"save_dir": "runs", "best_checkpoint_metric": "loss"},
    "criterion": {"_name": "elbo", "kl_anneal_steps": 200},
    "optimizer": {"_name": "adam"},
    "lr_scheduler": {"_name": "inverse_sqrt"},
    "task": {"_name": "cross_lingual_summarization", "tasks": "cls,mt,ms", "data": "DATA"},
}
MODEL = Namespace(arch="vhm_transformer", latents="mt,ms,cls", latent_dim=8, no_hierarchy=False)


def checkpoint(**changes) -> bytes:
    state = {
        "args": None,
        "cfg": {**SECTIONS, "model": MODEL},
        "model": {
            "encoder.version": torch.ones(1),
            "w": torch.ones(3, 2),
            "b.embed_tokens.weight": torch.ones(4),
        },
        "optimizer_history": [{"num_updates": 400, "lr_scheduler_state": {"best": 2.5}}],
        "extra_state": {"best": 2.5, "epoch": 1},
        "last_optimizer_state": None,
    }
    return saved(state | changes)


OLD = checkpoint(args=Namespace(**vars(MODEL), task="cross_lingual_summarization"), cfg=None)


@reader("checkpoint", "report", {"checkpoint_best.pt": checkpoint()})
def read_a_checkpoint(folder: Path) -> None:
    found = read_checkpoint(folder / "checkpoint_best.pt")
    found.checked().settings.get("arch")


@reader("checkpoint with args", "report", {"checkpoint_best.pt": OLD})
def read_an_old_checkpoint(folder: Path) -> None:
    read_a_checkpoint(folder)


@reader("checkpoints", "average, training", {"a.pt": checkpoint(), "b.pt": checkpoint()})
def read_checkpoints(folder: Path) -> None:
    checkpoint_utils.load_checkpoint_to_cpu(str(folder / "a.pt"))
    average([folder / "a.pt", folder / "b.pt"], folder / "out.pt")


@reader(
    "model, manifest, scores",
    "card",
    {"best.pt": checkpoint(), "DATA/manifest.json": one(MANIFEST), "scores.json": one(SCORES)},
)
def read_facts(folder: Path) -> None:
    found = facts.gather(folder / "best.pt", [folder / "scores.json"], None, folder / "DATA")
    cards.write(cards.build(found), folder / "card")
