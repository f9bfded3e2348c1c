"""mT5 between HuggingFace's folders and fairseq's checkpoints; every weight stays bit by bit what it was."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from torch import Tensor

from fairseq_vhm.checkpoints import save
from fairseq_vhm.compat.checkpoints import read, settings_of
from fairseq_vhm.conversion.convert import CHECKPOINT, untrained_state
from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import write_json
from fairseq_vhm.models.hf_weights import INSTALL, TIED

WEIGHTS, CONFIG = "model.safetensors", "config.json"
TOKENIZER = (
    *("spiece.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "generation_config.json"),
)
"""Files of a folder beside config and weights, as far as it has them."""
DEFAULT_TASK = "many_to_many_summarization"

_PARTS = {"encoder.stack.": "encoder.", "decoder.stack.": "decoder.", "decoder.lm_head.": "lm_head."}
_TABLE, _AGAIN = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
_SHARED, _OUTPUT = "shared.weight", "lm_head.weight"
_DTYPES = ("dtype", "torch_dtype")


def to_huggingface(checkpoint: Path, out: Path, tokenizer: Path | None = None) -> dict:
    """Write a checkpoint of ``hf_mt5`` as a folder that HuggingFace loads; what was written.

    Args:
        out: the folder, which is not there yet.
        tokenizer: where the files of :data:`TOKENIZER` are; by default where the run began, if that is there.

    Raises:
        UserError: no such checkpoint or another model's, or ``out`` is there or cannot be written.
    """
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint}: missing; give a checkpoint such as checkpoint_best.pt")
    state = read(str(checkpoint))
    settings = settings_of(state)
    if "hf_config" not in settings:
        raise UserError(f"{checkpoint}: not of --arch hf_mt5, which is all that --to-hf takes")
    config = json.loads(settings["hf_config"])
    weights = _theirs(state["model"], config[TIED])
    files = _tokenizer_files(tokenizer, settings)
    _write_folder(out, _of_type(config, weights), weights, files)
    return {
        "checkpoint": str(checkpoint),
        "parameters": sum(weight.numel() for weight in weights.values()),
        "tokenizer files": [path.name for path in files],
    }


def from_huggingface(folder: Path, data: Path, out: Path, task: str = DEFAULT_TASK) -> dict:
    """Write ``out/checkpoint.pt``, the mT5 of ``folder`` as fairseq-train would begin with it; what it is.

    Args:
        data: the prepared folder to use it with, made with this mT5's vocabulary.

    Raises:
        UserError: the folder is no mT5's, ``data`` is of another vocabulary, or ``out`` is there.
    """
    _refuse_existing(out)
    flags = ["--task", task, "--arch", "hf_mt5", "--criterion", "elbo", "--save-dir", str(out)]
    flags += ["--hf-model", str(folder), "--start-embeddings", "checkpoint"]
    arguments = options.parse_args_and_arch(options.get_training_parser(), [str(data), *flags])
    model = tasks.setup_task(convert_namespace_to_omegaconf(arguments).task).build_model(arguments)
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise unwritable(f"--out {out}", error) from error
    save(untrained_state(arguments, model.state_dict()), out / CHECKPOINT)
    return {
        "folder": str(folder),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "languages with a start token": len(model.start_tokens),
    }


def _theirs(weights: Mapping[str, Tensor], tied: bool) -> dict[str, Tensor]:
    """A checkpoint's weights by HuggingFace's names, each table once."""
    named = {}
    for name, weight in weights.items():
        part = next((part for part in _PARTS if name.startswith(part)), None)
        if part is None:
            raise UserError(f"the checkpoint has {name}, which no mT5 has")
        named[_PARTS[part] + name.removeprefix(part)] = weight.contiguous()
    shared = named.pop(_TABLE)
    del named[_AGAIN]
    if tied:
        del named[_OUTPUT]
    return {_SHARED: shared, **named}


def _of_type(config: dict, weights: Mapping[str, Tensor]) -> dict:
    """``config`` saying the type of the weights, where it says one."""
    kind = str(weights[_SHARED].dtype).removeprefix("torch.")
    return {name: kind if name in _DTYPES else value for name, value in config.items()}


def _tokenizer_files(given: Path | None, settings: Mapping) -> list[Path]:
    folder = given or settings.get("hf_model")
    places = [Path(folder) / name for name in TOKENIZER] if folder else []
    files = [path for path in places if path.is_file()]
    if given and not files:
        raise UserError(f"--tokenizer {given}: has none of {', '.join(TOKENIZER[:2])}")
    return files


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise UserError(f"--out {out}: exists; choose another folder")


def _write_folder(out: Path, config: dict, weights: dict[str, Tensor], files: list[Path]) -> None:
    """All of it, or nothing."""
    _refuse_existing(out)
    try:
        from safetensors.torch import save_file
    except ImportError as error:
        raise UserError(f"--to-hf needs safetensors ({error}): {INSTALL}") from error
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file(weights, part / WEIGHTS, metadata={"format": "pt"})
        write_json(part / CONFIG, config)
        for path in files:
            shutil.copyfile(path, part / path.name)
        os.replace(part, out)
    except OSError as error:
        raise unwritable(f"--out {out}", error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
