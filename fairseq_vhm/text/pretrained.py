"""Pretrained encoders in local folders: found or refused, named by their weights, loaded offline.

The folders are those of ``transformers`` and ``sentence-transformers``.  Nothing is downloaded.
"""

import hashlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json

Device = Literal["auto", "cpu", "cuda"]
DEVICES = get_args(Device)
INSTALL = "pip install 'fairseq-vhm[metrics]'"

WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
"""Names of weights, the first kind that a folder has being the one that is loaded."""
SETTINGS = ("*.json", "*.txt", "*.model")
MODULE_FOLDERS = "[0-9]*_*"
HASH_DIGITS = 8
DEPTH_KEYS = ("num_hidden_layers", "encoder_layers", "n_layers", "num_layers", "n_layer")


def check_sentence_encoder(path: Path, flag: str) -> None:
    """Refuse what is not the folder of a sentence-transformers model.

    A plain ``transformers`` folder is refused too: the library would take the mean of its last
    layer for sentence embeddings, which no paper's figure was made with.
    """
    what = "a folder of a sentence-transformers model, for LaSE sentence-transformers/LaBSE"
    if not path.is_dir() or not (path / "modules.json").is_file() or not weight_files(path):
        missing = "" if path.is_dir() else ": no such folder"
        raise UserError(
            f"{flag} {path}{missing}; give {what} (modules.json, weights, tokenizer), downloaded from the"
            " Hugging Face hub"
        )


def check_token_encoder(path: Path, flag: str) -> None:
    """Refuse what is not the folder of a transformers encoder with its weights."""
    if not (path / "config.json").is_file() or not weight_files(path):
        missing = "" if path.is_dir() else ": no such folder"
        raise UserError(
            f"{flag} {path}{missing}; give a folder of a transformers encoder such as bert-base-uncased"
            " (config.json, weights, tokenizer), downloaded from the Hugging Face hub"
        )


def weight_files(path: Path) -> list[Path]:
    """Files of weights of the model and of its modules (``2_Dense``), in order."""
    folders = [path, *(folder for folder in sorted(path.glob(MODULE_FOLDERS)) if folder.is_dir())]
    kinds = ([sorted(folder.glob(pattern)) for pattern in WEIGHTS] for folder in folders)
    return [file for found in kinds for file in next(filter(None, found), [])]


def identity(path: Path) -> str:
    """``NAME@HASH``: the folder's name and a hash of the weights, by which signatures tell models apart."""
    return f"{path.resolve().name}@{digest(weight_files(path))[:HASH_DIGITS]}"


def settings_files(path: Path) -> list[Path]:
    """Files of configuration and vocabulary: with the weights, all that an embedding depends on."""
    folders = [path, *(folder for folder in sorted(path.glob(MODULE_FOLDERS)) if folder.is_dir())]
    return [file for folder in folders for kind in SETTINGS for file in sorted(folder.glob(kind))]


def digest(files: list[Path]) -> str:
    """SHA-256 of the contents of ``files`` in their order."""
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def depth(path: Path, flag: str) -> int:
    """Number of layers of the encoder, from its ``config.json``."""
    try:
        settings = parse_json((path / "config.json").read_text(encoding="utf-8"))
        return next(int(settings[key]) for key in DEPTH_KEYS if key in settings)
    except (OSError, ValueError, TypeError, StopIteration) as error:
        raise UserError(f"{flag} {path}: config.json does not tell the number of layers") from error


def choose_device(wanted: str, flag: str = "--device") -> str:
    """``cpu`` or ``cuda``: ``auto`` takes a GPU where torch can use one.

    Raises:
        UserError: ``cuda`` is wanted and there is none, or ``wanted`` is none of ``DEVICES``.
    """
    if wanted not in DEVICES:
        raise UserError(f"{flag} {wanted}: choose from {', '.join(DEVICES)}")
    if wanted == "cpu":
        return wanted
    import torch

    if torch.cuda.is_available():  # pragma: no cover  (needs a GPU)
        return "cuda"
    if wanted == "cuda":
        raise UserError(f"{flag} cuda: torch {torch.__version__} finds no GPU here; use auto or cpu")
    return "cpu"


@contextmanager
def loading(path: Path, library: str, install: str = INSTALL) -> Iterator[None]:
    """Within it ``library`` loads models from local folders, in silence and without a network.

    Args:
        install: the command that installs ``library``.

    Raises:
        UserError: ``library`` is not installed, or cannot load ``path``.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    hide_broken_torchaudio()
    try:
        importlib.import_module(library)
        logging = importlib.import_module("transformers.utils.logging")
    except ImportError as error:
        raise UserError(f"{path}: needs {library} ({error}); {install}") from error
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except Exception as error:  # whatever the library meets in a broken folder
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: {library} cannot load it; download the folder again ({reason})") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def hide_broken_torchaudio() -> None:
    """Let transformers do without a torchaudio that cannot be loaded.

    fairseq asks for torchaudio; PyPI's is linked against CUDA, and beside a CPU build of torch its
    import fails with OSError, which transformers 5 does not catch.  Can go when it does.
    """
    try:
        importlib.import_module("torchaudio")
    except ImportError:
        return
    except OSError:
        sys.modules["torchaudio"] = None  # type: ignore[assignment]  # makes its import an ImportError
