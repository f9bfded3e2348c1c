"""Argument lists of fairseq's commands on the toy corpus, and what their logs and files say."""

import json
import re
from pathlib import Path

import torch

REPOSITORY = Path(__file__).parents[2]

PLUGIN = ("--user-dir", "fairseq_vhm", "--cpu")
TASK = ("--task", "cross_lingual_summarization")
TEST_SIZE = 13  # lines of each task's test set; no multiple of 8
ERROR = "fairseq_vhm: error: "
SHORT_RUN = """
    --encoder-embed-dim 32 --decoder-embed-dim 32 --dropout 0.1 --label-smoothing 0.1
    --optimizer adam --lr 0.003 --clip-norm 1 --num-workers 0 --seed 3
    --no-progress-bar --log-format json --log-interval 1
"""


def of_page(document: str, program: str = "vhm ") -> list[str]:
    """The commands of a program in the code blocks of a page of ``docs/``, continued lines joined."""
    text = (REPOSITORY / "docs" / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(.*?)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = "".join(code for kind, code in blocks if kind in ("bash", "")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(program)]


def training(data, save_dir, *flags, updates=6, criterion="elbo", arch="vhm_transformer_tiny") -> list:
    """Arguments of a short ``fairseq-train`` with dropout on; ``flags`` come last and win."""
    arguments = [data, *PLUGIN, *TASK, "--arch", arch, "--criterion", criterion]
    arguments += ["--save-dir", save_dir, "--max-update", updates, "--max-tokens", 240]
    return [*arguments, *SHORT_RUN.split(), *flags]


def decoding(data, checkpoint, *flags) -> list:
    """Arguments of ``fairseq-generate``, ``fairseq-interactive`` and ``fairseq-validate``."""
    return [data, *PLUGIN, *TASK, "--path", checkpoint, *flags]


def text_of_test_set(data, task: str = "cls", language: str = "en") -> list[str]:
    """Lines of the toy corpus from which the test set was binarised."""
    text = data.parent / "text" / task / f"test.{language}"
    return text.read_text(encoding="utf-8").splitlines()


def hypotheses(process) -> dict[int, list[tuple[float, str]]]:
    """Line number -> (score, text) of each H- line, in the order printed."""
    found: dict[int, list[tuple[float, str]]] = {}
    for number, score, text in re.findall(r"^H-(\d+)\t(\S+)\t(.*)$", process.stdout, re.MULTILINE):
        found.setdefault(int(number), []).append((float(score), text))
    return found


def printed(process, letter: str) -> dict[int, str]:
    """Line number -> text of each line of a kind: ``S`` source, ``T`` reference, ``P`` scores of tokens."""
    found = re.findall(rf"^{letter}-(\d+)\t(.*)$", process.stdout, re.MULTILINE)
    return {int(number): text for number, text in found}


def logged(process, kind: str) -> list[dict[str, float]]:
    """The JSON lines of one logger: ``train_inner``, ``train``, ``valid``, a subset's name.

    fairseq writes null for what has been logged before and is not in this line; such keys are left out.
    """
    lines = re.findall(rf"\| INFO \| {kind} \| (\{{.*\}})$", process.stdout, re.MULTILINE)
    entries = [json.loads(line) for line in lines]
    return [{key: float(v) for key, v in entry.items() if v is not None} for entry in entries]


def read(checkpoint) -> dict:
    """A checkpoint's content, under torch's allow-list."""
    return torch.load(checkpoint, map_location="cpu", weights_only=True)


def learned(checkpoint) -> dict:
    """What training changes: parameters and the optimizer's state."""
    state = read(checkpoint)
    return {"model": state["model"], "optimizer": state["last_optimizer_state"]}


def difference(first, second, place: str = "") -> str | None:
    """Where two nested structures of tensors are not equal bit by bit; ``None`` if nowhere."""
    if isinstance(first, torch.Tensor):
        return None if torch.equal(first, second) else place
    if isinstance(first, dict):
        if first.keys() != second.keys():
            return f"{place}: keys"
        pairs = ((f"{place}/{key}", first[key], second[key]) for key in first)
    elif isinstance(first, list | tuple):
        pairs = ((f"{place}/{i}", *both) for i, both in enumerate(zip(first, second, strict=True)))
    else:
        return None if first == second else place
    return next((found for key, a, b in pairs if (found := difference(a, b, key))), None)


def error_of(process) -> str:
    """The one line that a failed command ends in, checked to be that."""
    lines = process.stderr.strip().splitlines()
    assert "Traceback" not in process.stdout + process.stderr, process.stderr[-3000:]
    assert sum(ERROR in line for line in lines) == 1, process.stderr[-3000:]
    assert lines[-1].startswith(ERROR), lines[-1]
    return lines[-1].removeprefix(ERROR)
