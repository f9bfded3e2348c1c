"""Folders of runs for the tests of ``vhm report``: small, but in fairseq's own formats."""

import json
import random
from argparse import Namespace
from pathlib import Path

import torch

WORDS = [f"word{i}" for i in range(60)]
SECTIONS = {
    "common": {"seed": 1, "cpu": True},
    "distributed_training": {"distributed_world_size": 1},
    "dataset": {"max_tokens": 700},
    "optimization": {"max_update": 400, "lr": [0.005], "update_freq": [1]},
    "checkpoint": {"save_dir": "runs/x"},
    "criterion": {"_name": "elbo", "kl_anneal_steps": 200},
    "task": {
        "_name": "cross_lingual_summarization",
        "tasks": "cls,mt,ms",
        "task_schedule": "joint",
        "task_ratio": None,
        "cls_fraction": 1.0,
        "source_lang": None,
        "target_lang": None,
    },
}
MODEL = {"arch": "vhm_transformer", "latents": "mt,ms,cls", "no_hierarchy": False, "latent_dim": 8}


def write_checkpoint(folder: Path, weights: dict | None = None, updates: int = 400, **settings) -> Path:
    """A checkpoint as fairseq writes one; ``settings`` go to the section that has them, or the model."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = {name: dict(section) for name, section in SECTIONS.items()}
    model = dict(MODEL)
    for key, value in settings.items():
        home = next((section for section in sections.values() if key in section), None)
        if key == "data":
            home = sections["task"]
        (model if home is None else home)[key] = value
    for section in sections.values():
        model |= {key: value for key, value in section.items() if key != "_name"}
    state = {
        "args": None,
        "cfg": {**sections, "model": Namespace(**model)},
        "model": weights or {"encoder.version": torch.ones(1), "w": torch.ones(500, 300)},
        "optimizer_history": [{"num_updates": updates}],
        "last_optimizer_state": None,
    }
    torch.save(state, folder / "checkpoint_best.pt")
    return folder / "checkpoint_best.pt"


def inner_line(updates: int, wall: float = 10, latents: bool = True, **more) -> str:
    """A line of ``train_inner`` as ``--log-format json`` writes it."""
    figures = {"nll_loss_cls": 2 + 800 / updates, "nll_loss_mt": 1 + 800 / updates, "ups": 2.5}
    if latents:
        figures |= {"kl_weight": min(1, updates / 200), "kl_cls": 900 / updates, "kl_mt": 700 / updates}
    figures |= {"num_updates": updates, "train_wall": wall, **more}
    texts = {key: f"{value:g}" for key, value in figures.items()}
    return f"2026-01-01 00:00:00 | INFO | train_inner | {json.dumps({'epoch': 1, 'update': 0.1, **texts})}"


def valid_line(updates: int, latents: bool = True) -> str:
    figures = {"valid_nll_loss_cls": f"{2.2 + 800 / updates:g}", "valid_num_updates": f"{updates}"}
    if latents:
        figures |= {"valid_kl_cls": f"{850 / updates:g}", "valid_au_cls": "3", "valid_au_mt": "1"}
    return f"2026-01-01 00:00:00 | INFO | valid | {json.dumps({'epoch': 1, **figures})}"


def epoch_line(epoch: int, updates: int, wall: float) -> str:
    figures = {"train_num_updates": f"{updates}", "train_train_wall": f"{wall:g}"}
    return f"2026-01-01 00:00:00 | INFO | train | {json.dumps({'epoch': epoch, **figures})}"


def write_log(folder: Path, latents: bool = True, updates: int = 400) -> Path:
    """A whole training log of one epoch: 25 seconds for 100 updates."""
    header = "2026-01-01 00:00:00 | INFO | fairseq_cli.train | "
    lines = [f"{header}training on 1 devices (GPUs/TPUs)"]
    for now in range(25, updates + 1, 25):
        lines.append(inner_line(now, latents=latents))
        if now % 100 == 0:
            lines.append(valid_line(now, latents))
    lines += [epoch_line(1, updates, updates / 4), f"{header}done training in 500.0 seconds"]
    path = folder / "train.log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_texts(data: Path, count: int = 40, languages: tuple[str, str] = ("zh", "en")) -> list[str]:
    """DATA as ``vhm prepare`` leaves it, as far as a report reads it; returns the references."""
    rng = random.Random(1)
    (data / "text").mkdir(parents=True)
    (data / "cls").mkdir()
    source, target = languages
    (data / "cls" / f"test.{source}-{target}.{source}.idx").touch()
    references = [" ".join(rng.choices(WORDS, k=rng.randint(8, 14))) for _ in range(count)]
    (data / "text" / f"cls.test.{target}").write_text("".join(f"{one}\n" for one in references))
    sources = [f"第{i}篇文章：{'新闻' * 30}。" for i in range(count)]
    (data / "text" / f"cls.test.{source}").write_text("".join(f"{one}\n" for one in sources))
    return references


def spoilt(references: list[str], share: float, seed: int = 1) -> list[str]:
    """Outputs: the references with a share of their words changed."""
    rng = random.Random(seed)
    return [
        " ".join("other" if rng.random() < share else word for word in text.split()) for text in references
    ]


def write_outputs(folder: Path, texts: list[str], name: str = "test.log") -> Path:
    """A ``fairseq-generate`` log in the order of batches."""
    folder.mkdir(parents=True, exist_ok=True)
    numbered = list(enumerate(texts))
    random.Random(2).shuffle(numbered)
    lines = [f"S-{i}\tx\nT-{i}\ty\nH-{i}\t-0.5\t{text}\nP-{i}\t-0.5" for i, text in numbered]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def write_run(folder: Path, data: Path, texts: list[str], **settings) -> None:
    """A finished run: checkpoint, training log, outputs."""
    write_checkpoint(folder, data=str(data), **settings)
    write_log(folder, latents=settings.get("latents") != "none")
    write_outputs(folder, texts)


def write_scores(path: Path, **figures: float) -> Path:
    """A file of ``vhm score --json``."""
    metric = {
        name: {"f": v, "p": v, "r": v} if name.startswith("rouge") else {"value": v}
        for name, v in figures.items()
    }
    signature = {name: f"{name}|version:test" for name in figures}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"metric": metric, "signature": signature, "n": 3}), encoding="utf-8")
    return path
