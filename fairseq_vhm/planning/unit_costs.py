"""What one mini-batch costs: multiply-adds and bytes of activations, and the model's parameters.

The model of a run is built in its full width and depth with few symbols, and trained on mini-batches of a few
tokens while torch counts.  B sentences of S source and T target tokens with V symbols cost

    c_0 + B (c_1 + c_2 S + c_3 T + c_4 S^2 + c_5 T^2 + c_6 S T + c_7 V + c_8 T V)

since every product in it is of so many tokens, or of so many tokens by tokens; so nine mini-batches give the
nine numbers, and parameters are linear in V.  The counts are exact, and the same on any machine.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from fairseq import criterions
from fairseq.data import Dictionary
from fairseq.models import ARCH_MODEL_REGISTRY
from torch import Tensor, nn

from fairseq_vhm.data.dictionaries import MT5Dictionary
from fairseq_vhm.data.languages import Languages, MarkedDictionary
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS
from fairseq_vhm.planning.multiply_adds import multiply_adds
from fairseq_vhm.planning.run import Run
from fairseq_vhm.text.mt5 import SPECIALS
from fairseq_vhm.text.start_tokens import TAG_TOKENS, TOKENS

FEW, MORE = 400, 800
"""Symbols of the models that are counted on; mT5's marks alone are a hundred."""
SHAPES = ((1, 4, 4), (1, 12, 4), (1, 20, 4), (1, 4, 12), (1, 4, 20), (1, 12, 12), (2, 4, 4))
SHAPES_WITH_MORE = ((1, 4, 4), (1, 4, 12))
SOME_WORD = 300
BOTH = "cls+ms"
"""A mini-batch of CLS and MS pairs of the same documents (``--share-document-encoding``)."""


@dataclass(frozen=True)
class Cost:
    """Multiply-adds, forward and backward, and bytes that the backward pass needs, in float32."""

    multiply_adds: float
    activations: float


class UnitCosts:
    """Costs of a run's mini-batches.

    Args:
        symbols: of its dictionary, marks included.
    """

    def __init__(self, run: Run, symbols: int):
        self.symbols = symbols
        few, more = (_Counted(run, size) for size in (FEW, MORE))
        slope = (more.parameters - few.parameters) / (MORE - FEW)
        self.parameters = round(few.parameters + slope * (symbols - FEW))
        self.output_width = few.output_width
        self.first = _kinds(run)[0]
        points = [(*shape, FEW) for shape in SHAPES] + [(*shape, MORE) for shape in SHAPES_WITH_MORE]
        found = [(few if v == FEW else more).cost(self.first, b, s, t) for b, s, t, v in points]
        self._terms = np.linalg.solve(_features(points), np.array(found))
        self._beyond = {kind: np.array(few.cost(kind, *SHAPES[0])) - found[0] for kind in _kinds(run)[1:]}

    def of(self, kind: str, sentences: float, source: float, target: float) -> Cost:
        """Cost of a mini-batch of a task (or of :data:`BOTH`), padding counted as tokens."""
        found = _features([(sentences, source, target, self.symbols)])[0] @ self._terms
        return Cost(*(found + sentences * self._beyond.get(kind, np.zeros(2))).tolist())


def _kinds(run: Run) -> list[str]:
    """What mini-batches are of; tasks differ by their latents, which cost the same for any length."""
    if not run.shares_documents:
        return list(run.tasks)
    return [BOTH, *(task for task in run.tasks if task not in ("cls", "ms"))]


def _features(points: Iterable[tuple]) -> np.ndarray:
    b, s, t, v = np.array(list(points), dtype=float).T
    one = np.ones_like(b)
    a_sentence = (one, s, t, s * s, t * t, s * t, v, t * v)
    return np.stack([one, *(b * x for x in a_sentence)], axis=1)


class _Counted:
    """The model and criterion of a run with ``symbols`` symbols."""

    def __init__(self, run: Run, symbols: int):
        dictionary = _dictionary(run, symbols)
        stub = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary, streams=TASKS)
        args = run.args_of(symbols)
        self.model = ARCH_MODEL_REGISTRY[args.arch].build_model(args, stub).float().train()
        self.criterion = criterions.build_criterion(run.cfg.criterion, stub).train()
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.output_width = _output_width(self.model, symbols)

    def cost(self, kind: str, sentences: int, source: int, target: int) -> tuple[int, int]:
        """Multiply-adds and bytes of activations of a mini-batch."""
        task, _, partner = kind.partition("+")
        sample = _sample(task, sentences, source, target)
        if partner:
            sample["partner"] = _sample(partner, sentences, source, target)
        kept = _Kept(self.model)

        def train() -> None:
            with torch.autograd.graph.saved_tensors_hooks(kept.add, lambda tensor: tensor):
                loss = self.criterion(self.model, sample)[0]
            kept.end()
            loss.backward()

        work = multiply_adds(train)
        self.model.zero_grad(set_to_none=True)
        return work, kept.size


class _Kept:
    """Bytes of the tensors that a backward pass keeps, parameters and buffers apart, each storage once."""

    def __init__(self, model: nn.Module):
        own = (*model.parameters(), *model.buffers())
        self._own = {tensor.untyped_storage().data_ptr() for tensor in own}
        self._found: dict[int, int] = {}
        self.size = 0

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._own:
            self._found[storage.data_ptr()] = storage.nbytes()
        return tensor

    def end(self) -> None:
        """The forward pass is over; while it ran, graph and hooks kept all of them alive."""
        self.size, self._found = sum(self._found.values()), {}


def _sample(task: str, sentences: int, source: int, target: int) -> dict:
    """A mini-batch without padding."""

    def texts(length: int) -> Tensor:
        return torch.full((sentences, length), SOME_WORD)

    return {
        "target": texts(target),
        "ntokens": sentences * target,
        "nsentences": sentences,
        "net_input": {
            "src_tokens": texts(source),
            "src_lengths": torch.full((sentences,), source),
            "prev_output_tokens": texts(target),
            "task": task,
        },
    }


def _output_width(model: nn.Module, symbols: int) -> int:
    """C of the output layer."""
    widths = [p.shape[1] for p in model.parameters() if p.dim() == 2 and len(p) == symbols]
    if not widths:
        raise UserError("--arch: no output layer was found; a plan is made of this project's models alone")
    return widths[-1]


def _dictionary(run: Run, symbols: int) -> Dictionary:
    """So many symbols, marks included."""
    dictionary = MT5Dictionary() if run.mt5_config is not None else MarkedDictionary()
    languages = Languages.parse(run.settings.get("langs"), run.settings.get("lang_codes"))
    if run.mt5_config is not None:
        own = [*SPECIALS, *TAG_TOKENS, *TOKENS]
        names = [*own, *(f"w{number}" for number in range(symbols - len(set(own))))]
        dictionary.add_from_file(io.StringIO("".join(f"{name} 1\n" for name in dict.fromkeys(names))))
        dictionary.mark(None)
        return dictionary
    dictionary.mark(languages)
    for number in range(symbols - len(dictionary)):
        dictionary.add_symbol(f"w{number}")
    return dictionary
