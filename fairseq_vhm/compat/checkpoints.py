"""fairseq's checkpoints under torch >= 2.6, which unpickles allow-listed types only.

``weights_only=True`` is torch's default there and stays on; the types that fairseq itself puts into a
checkpoint (its arguments, and metrics that hold arrays) are allowed by name.  Delete what
``fairseq.checkpoint_utils`` registers by itself one day.
"""

import argparse
import collections
import errno
import functools
import importlib
import pickle
import typing
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from fairseq import checkpoint_utils
from fairseq.distributed import utils as distributed_utils
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.errors import OmegaConfBaseException
from omegaconf.nodes import AnyNode

from fairseq_vhm.errors import UserError


def _numpy_types() -> list:
    """What pickled arrays and scalars of numpy (in fairseq's BLEU meters) are rebuilt from.

    numpy 2 moved ``numpy.core`` to ``numpy._core``; files written with either name load with both.
    """
    home = "numpy._core" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core"
    multiarray = importlib.import_module(f"{home}.multiarray")
    functions = [getattr(multiarray, name) for name in ("_reconstruct", "scalar")]
    renamed = [(f, f"{m}.multiarray.{f.__name__}") for f in functions for m in ("numpy.core", "numpy._core")]
    dtypes = {type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "u1", "?")}
    return [np.ndarray, np.dtype, *renamed, *dtypes]


def _broadcast_types() -> list:
    """What rank 0 sends to the others when a run on several ranks resumes."""
    placeholder = distributed_utils._TensorPlaceholder
    omegaconf = [DictConfig, ListConfig, Metadata, ContainerMetadata, AnyNode]
    return [*omegaconf, placeholder, collections.defaultdict, typing.Any, dict, list, int]


_OF_ANOTHER_FORM = (
    *(AssertionError, AttributeError, LookupError, TypeError, ValueError, OverflowError),
    *(RecursionError, SyntaxError, OmegaConfBaseException, HydraException),
)
"""What comes of taking other content for a checkpoint's."""
_SHOWN = 160


def refuse_clearly(load: Any) -> Any:
    """Wrap ``load_checkpoint_to_cpu``: what cannot be loaded safely ends in one line."""

    @functools.wraps(load)
    def load_or_refuse(path: str, *args: Any, **kwargs: Any) -> Any:
        try:
            _check_sums(path)
            return load(path, *args, **kwargs)
        except pickle.UnpicklingError as error:
            raise UserError(
                f"{path}: refused, since it holds more than weights and settings ({_culprit(error)}); "
                "it could run any program when loaded: use a checkpoint from a source you trust"
            ) from error
        except _OF_ANOTHER_FORM as error:
            raise _of_another_form(path, error) from error
        except (EOFError, OSError, RuntimeError, zipfile.BadZipFile) as error:
            if is_damage(error):
                raise UserError(
                    f"{path}: cut short or not a checkpoint ({type(error).__name__}); "
                    "use another one of the run, such as checkpoint_last.pt or an earlier epoch's"
                ) from error
            if isinstance(error, OSError):
                line = f"{path}: cannot be read ({error.strerror}); name a checkpoint's file"
                raise UserError(line) from error
            if "memory" in str(error).lower():
                raise
            raise _of_another_form(path, error) from error

    load_or_refuse.refuses_clearly = True  # type: ignore[attr-defined]  # a mark
    return load_or_refuse


def _check_sums(path: str) -> None:
    """Compare each part of an archive with its check sum, which torch writes and does not read.

    Raises:
        zipfile.BadZipFile: names a part that has changed since it was written.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if (changed := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"{changed} has changed")


def _of_another_form(path: str, error: Exception) -> UserError:
    what = f"{type(error).__name__}: {error}"[:_SHOWN]
    return UserError(f"{path}: not of fairseq's form ({what}); give a checkpoint of fairseq-train")


def is_damage(error: BaseException) -> bool:
    """Whether an error says of a file that it is no archive, ends too early, or has changed."""
    text = str(error).lower()
    of_archive = any(word in text for word in ("zip", "archive", "pytorchstreamreader"))
    damaged = isinstance(error, EOFError | zipfile.BadZipFile)
    return damaged or of_archive or getattr(error, "errno", None) == errno.EINVAL


def _culprit(error: Exception) -> str:
    """The forbidden name in torch's long message."""
    for line in str(error).splitlines():
        if "GLOBAL" in line or "global" in line:
            return line.strip()[:_SHOWN]
    return str(error).partition("\n")[0][:_SHOWN]


def _missing_clearly(load: Any) -> Any:
    """Wrap ``load_model_ensemble_and_task``: a file that is not there ends in one line."""

    @functools.wraps(load)
    def load_or_say_missing(filenames: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return load(filenames, *args, **kwargs)
        except OSError as error:
            if not str(error).startswith("Model file not found"):
                raise
            path = str(error).rpartition(": ")[2]
            raise UserError(f"{path}: missing; give --path the checkpoint's file name") from error

    load_or_say_missing.refuses_clearly = True  # type: ignore[attr-defined]  # a mark
    return load_or_say_missing


@refuse_clearly
def read(path: str) -> dict:
    """A checkpoint's content as it is, under torch's allow-list; large ones are mapped, not copied.

    Raises:
        UserError: it is damaged, holds more than weights and settings, or is of another format.
    """
    state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    if not isinstance(state, Mapping) or not isinstance(state.get("model"), Mapping):
        raise UserError(f"{path}: holds no 'model'; give a checkpoint of fairseq's format")
    return state  # type: ignore[return-value]  # a mapping that is a dict


def settings_in(path: str) -> Mapping:
    """A checkpoint's settings, its weights unread; none where to load it will say what is wrong."""
    try:
        return settings_of(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    except (pickle.UnpicklingError, *_OF_ANOTHER_FORM, EOFError, OSError, RuntimeError, zipfile.BadZipFile):
        return {}


def settings_of(state: Mapping) -> Mapping:
    """The settings that a checkpoint's model was built with, by name."""
    settings = state.get("args") or (state.get("cfg") or {}).get("model") or {}
    return vars(settings) if isinstance(settings, argparse.Namespace) else settings


def is_bookkeeping(name: str) -> bool:
    """Whether an entry beside the weights is one of fairseq's buffers that are none."""
    return name.rpartition(".")[2] in ("version", "_float_tensor")


def allow() -> None:
    """Extend torch's allow-list and give refusals one clear line."""
    torch.serialization.add_safe_globals([argparse.Namespace, *_numpy_types(), *_broadcast_types()])
    wrappers = {"load_checkpoint_to_cpu": refuse_clearly, "load_model_ensemble_and_task": _missing_clearly}
    for name, wrap in wrappers.items():
        function = getattr(checkpoint_utils, name)
        if not hasattr(function, "refuses_clearly"):
            setattr(checkpoint_utils, name, wrap(function))
