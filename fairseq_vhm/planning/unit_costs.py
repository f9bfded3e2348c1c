"""What one mini-batch costs: multiply-adds and bytes of activations, and the model's parameters.

The model of a run is built in its full width and depth with few symbols, and trained on mini-batches of a few
tokens while torch counts.  B sentences of S source and T target tokens with V symbols cost

    c_0 + B (c_1 + c_2 S + c_3 T + c_4 S^2 + c_5 T^2 + c_6 S T + c_7 V + c_8 T V)

since every product in it is of so many tokens, or of so many tokens by tokens; so nine mini-batches give the
nine numbers, and parameters are linear in V.  The counts are exact, and the same on any machine.
"""

import io
from collections.abc import Iterable, Iterator
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
A_SENTENCE = np.eye(9)[1]  # c_1
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
        kinds: what its mini-batches are of: tasks, or :data:`BOTH`.
    """

    def __init__(self, run: Run, symbols: int, kinds: Iterable[str]):
        self.symbols = symbols
        self._few, self._more = (_Counted(run, size) for size in (FEW, MORE))
        slope = (self._more.parameters - self._few.parameters) / (MORE - FEW)
        self.parameters = round(self._few.parameters + slope * (symbols - FEW))
        self.tensors, self.output_width = self._few.tensors, self._few.output_width
        self._terms = dict(self._fits(list(kinds)))
        del self._few, self._more

    def _fits(self, kinds: list[str]) -> Iterator[tuple[str, np.ndarray]]:
        """The numbers of each kind; tasks differ by their latents, which cost the same for any length."""
        tasks = [kind for kind in kinds if kind != BOTH]
        if BOTH in kinds:
            yield BOTH, self._fit(BOTH)
        terms = self._fit(tasks[0]) if tasks else None
        for task in tasks:
            beyond = self._few.cost(task, *SHAPES[0]) - self._few.cost(tasks[0], *SHAPES[0])
            yield task, terms + np.outer(A_SENTENCE, beyond)

    def _fit(self, kind: str) -> np.ndarray:
        """What its mini-batches of all shapes solve to, (9 x 2)."""
        points = [(*shape, FEW) for shape in SHAPES] + [(*shape, MORE) for shape in SHAPES_WITH_MORE]
        found = [(self._few if v == FEW else self._more).cost(kind, b, s, t) for b, s, t, v in points]
        return np.linalg.solve(_features(points), np.stack(found))

    def of(self, kind: str, sentences: float, source: float, target: float) -> Cost:
        """Cost of a mini-batch of a task (or of :data:`BOTH`), padding counted as tokens."""
        found = _features([(sentences, source, target, self.symbols)])[0] @ self._terms[kind]
        return Cost(*found.tolist())


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
        if not hasattr(self.model, "latent_sizes"):
            raise UserError(
                f"--arch {args.arch}: reads no batches that name their task; give --arch vhm_transformer"
            )
        self.criterion = criterions.build_criterion(run.cfg.criterion, stub).train()
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.tensors = sum(1 for _ in self.model.parameters())
        self.output_width = _output_width(self.model, symbols)

    def cost(self, kind: str, sentences: int, source: int, target: int) -> np.ndarray:
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
        return np.array([work, kept.size], dtype=float)


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
    return [p.shape[1] for p in model.parameters() if p.dim() == 2 and len(p) == symbols][-1]


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
    dictionary.pretraining = bool(run.pretraining)
    dictionary.mark(languages)
    for number in range(symbols - len(dictionary)):
        dictionary.add_symbol(f"w{number}")
    return dictionary
