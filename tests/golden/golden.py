"""Old checkpoints, one of each form, and what they compute: NLLs of fixed pairs and beam search's outputs.

``make.py`` wrote them beside this file, once; nothing in a test writes here.
"""

import json
from argparse import Namespace
from pathlib import Path

import torch
from fairseq import checkpoint_utils

HERE = Path(__file__).parent
FORMS = {
    "vhm_transformer": ("cls", "mt", "ms"),
    "shared_encoding": ("cls", "mt", "ms"),
    "task_decoders": ("cls", "mt", "ms"),
    "ats": ("cls",),
    "args_namespace": ("cls",),
    "mt5": ("cls",),
    "bf16": ("cls", "mt", "ms"),
    "other_latents": ("cls", "mt", "ms"),
    "pretraining": ("cls", "ms"),
    "ms_cls_rec": ("cls", "ms"),
    "mbart": ("cls", "mt", "ms"),
    "many": ("en-zh", "fr-en"),
    "many_mt5": ("en-zh-CN", "zh-CN-en"),
}
"""Name of the checkpoint -> the tasks, or directions, that it was trained on and is asked for."""
DATA = {"mt5": "mt5_data", "many": "many_data", "many_mt5": "many_mt5_data"}
SEARCH = Namespace(beam=3, lenpen=0.6, max_len_b=12)


def data_of(form: str, folder: Path = HERE) -> Path:
    """The pairs that a checkpoint is asked for, binarised."""
    return folder / DATA.get(form, "data")


def stated(form: str) -> dict:
    """What the run that made a checkpoint computed with it."""
    return json.loads((HERE / f"{form}.json").read_text(encoding="utf-8"))


def figures(checkpoint: Path, data: Path, asked: tuple[str, ...]) -> dict:
    """What a checkpoint computes on the test set of each task, latents at the means of their priors."""
    return {one: _of_test_set(checkpoint, data, one) for one in asked}


def _of_test_set(checkpoint: Path, data: Path, asked: str) -> dict:
    """``nll``: nats a target; ``outputs``: ids of the best hypothesis; ``scores``: its score."""
    overrides = {"data": str(data), "pairs" if "-" in asked else "eval_task": asked}
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)], overrides)
    model.eval()
    task.load_dataset("test")
    pairs = task.datasets["test"]
    batch = pairs.collater([pairs[number] for number in sorted(pairs.ordered_indices())])
    best = [hypotheses[0] for hypotheses in _search(task, model, batch)]
    return {
        "nll": [nll.item() for nll in _nll(model, batch)],
        "outputs": [hypothesis["tokens"].tolist() for hypothesis in best],
        "scores": [float(hypothesis["score"]) for hypothesis in best],
    }


def released_nll(folder: Path, pairs: list[list[str]], kind: str) -> list[float]:
    """Nats a target of a converted checkpoint of the released code, one pair at a time."""
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(folder / "checkpoint.pt")], {"data": str(folder)}
    )
    words, found = task.dictionary, []
    for source, target in pairs:
        ids = [words.index(f"<{kind}>"), words.bos(), *map(words.index, source.split()), words.eos()]
        written = torch.tensor([[words.bos(), *map(words.index, target.split()), words.eos()]])
        given = {"src_tokens": torch.tensor([ids]), "src_lengths": torch.tensor([len(ids)]), "task": kind}
        batch = {"net_input": {**given, "prev_output_tokens": written[:, :-1]}, "target": written[:, 1:]}
        found.append(_nll(model.eval(), batch).item())
    return found


def _nll(model, batch: dict) -> torch.Tensor:
    with torch.no_grad():
        log_probs = model.get_normalized_probs(model(**batch["net_input"]), log_probs=True, sample=batch)
    target = batch["target"]
    of_tokens = -log_probs.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return of_tokens.masked_fill(target.eq(model.decoder.dictionary.pad()), 0).sum(dim=1)


def _search(task, model, batch: dict) -> list:
    generator = task.build_generator([model], SEARCH)
    return task.inference_step(generator, [model], batch)
