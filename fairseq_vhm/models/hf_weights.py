"""HuggingFace's ``MT5ForConditionalGeneration`` from a folder, or from ``config.json`` alone.

transformers is an extra, and is imported when a model is built.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.pretrained import loading, weight_files

LIBRARY, INSTALL = "transformers", "pip install 'fairseq-vhm[mt5]'"
TIED = "tie_word_embeddings"
SHOWN = 3


def new_model(config: dict, dropout: float | None = None) -> nn.Module:
    """A model with new weights.

    transformers >= 5 ties the output layer to the embeddings whatever ``config`` says; mT5's own has weights
    of its own unless ``config`` ties them, drawn as those of a layer that keeps the variance of its input.

    Args:
        config: content of ``config.json``.
        dropout: in place of what ``config`` says.

    Raises:
        UserError: transformers is not installed, or does not take ``config``.
    """
    model = _built(config, dropout)
    if not config.get(TIED, False):
        nn.init.normal_(_untie(model), std=config["d_model"] ** -0.5)
    return model


def empty_model(config: dict, dropout: float | None = None) -> Any:
    """As :func:`new_model`, but with nothing in its weights yet: for those that are loaded next."""
    with torch.device("meta"):
        model = _built(config, dropout)
    model.to_empty(device="cpu").tie_weights()
    if not config.get(TIED, False):
        _untie(model)
    return model


def _built(config: dict, dropout: float | None) -> Any:
    with loading(Path("--arch hf_mt5"), LIBRARY, INSTALL):
        from transformers import MT5ForConditionalGeneration

        return MT5ForConditionalGeneration(_settings(config, dropout))


def _untie(model: Any) -> nn.Parameter:
    """Give the output layer weights of its own, which hold no numbers yet."""
    model.lm_head.weight = nn.Parameter(torch.empty_like(model.shared.weight))
    return model.lm_head.weight


def load_model(folder: str, config: dict, dropout: float | None = None) -> nn.Module:
    """The model of a folder in float32, with every one of its weights.

    Raises:
        UserError: there are no weights, they are not those of ``config``, or transformers is not installed.
    """
    path = Path(folder)
    if not weight_files(path):
        raise UserError(
            f"--hf-model {folder}: holds no weights (model.safetensors or pytorch_model.bin); download them, "
            "or train from scratch with --hf-random-init"
        )
    with loading(path, LIBRARY, INSTALL):
        from transformers import MT5ForConditionalGeneration

        loaded: Any = MT5ForConditionalGeneration.from_pretrained(
            path,
            config=_settings(config, dropout),
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
        model, found = loaded
    for what in ("missing_keys", "unexpected_keys"):
        if names := sorted(found[what]):
            raise UserError(
                f"--hf-model {folder}: {what.partition('_')[0]} weights: {', '.join(names[:SHOWN])}"
                f"{', ...' if len(names) > SHOWN else ''}; they are not those of its config.json"
            )
    return model


def recompute_activations(model: Any) -> None:
    """Let the backward pass compute activations again (a method that transformers 5 has renamed)."""
    renamed = getattr(model, "activation_checkpointing_enable", None)
    (renamed or model.gradient_checkpointing_enable)({"use_reentrant": False})


def is_tied(model: Any) -> bool:
    """Whether output layer and embeddings are one table."""
    return model.lm_head.weight is model.shared.weight


def _settings(config: dict, dropout: float | None) -> Any:
    from transformers import MT5Config

    settings = MT5Config.from_dict(config)
    if dropout is not None:
        settings.dropout_rate = dropout
    return settings
