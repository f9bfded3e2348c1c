"""Which term of a mini-batch's loss is not finite, for which of its sentences, and where that begins.

A pass of its own, made only when an update has failed: it asks after every term, in the order in which the
model computes them, so that what follows from a NaN is not taken for its cause.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fairseq_vhm.latent import ExtraLoss, LatentBundle, LatentVariable

PARTS = ("mean", "std")


@dataclass(frozen=True)
class Fault:
    """A term that is not finite.

    Args:
        term: in words, with its first value that is not finite.
        rows: of the mini-batch, those where it is not.
    """

    term: str
    rows: tuple[int, ...]

    def beginning_in(self, modules: list[str]) -> "Fault":
        """The same, with the first of the modules whose output was not finite."""
        return Fault(f"{self.term} (first in {modules[0]})", self.rows) if modules else self


def fault_in(name: str, values: Tensor) -> Fault | None:
    """What is not finite in the values (B, or B x D) of a term, one row a sentence."""
    values = values.flatten(1) if values.dim() > 1 else values.unsqueeze(1)
    wrong = ~torch.isfinite(values)
    if not wrong.any():
        return None
    rows = wrong.any(dim=1).nonzero().flatten().tolist()
    return Fault(f"{name} is {values[wrong][0].item()}", tuple(rows))


def first_fault(latents: LatentBundle, nll: Tensor, losses: dict[str, ExtraLoss]) -> Fault | None:
    """Of a mini-batch's terms the first that is not finite; ``nll`` is of each sentence (B)."""
    for name, values in _terms(latents, nll, losses):
        if fault := fault_in(name, values):
            return fault
    return None


def _terms(
    latents: LatentBundle, nll: Tensor, losses: dict[str, ExtraLoss]
) -> Iterator[tuple[str, Tensor]]:
    for name, variable in latents.latents.items():
        yield from _terms_of_latent(f"z_{name}", variable)
    yield "the NLL", nll
    for name, loss in losses.items():
        yield name, loss.values


def _terms_of_latent(name: str, variable: LatentVariable) -> Iterator[tuple[str, Tensor]]:
    for kind in ("posterior", "prior"):
        distribution = getattr(variable, kind)
        if distribution is not None:
            yield from ((f"the {part} of {name}'s {kind}", getattr(distribution, part)) for part in PARTS)
    yield f"the draw of {name}", variable.z
    if variable.posterior and variable.prior:
        yield f"the KL of {name}", variable.kl()


@contextmanager
def watched(model: nn.Module) -> Iterator[list[str]]:
    """In it, the modules whose output is not finite, in the order in which they are called."""
    names: list[str] = []

    def look(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.is_floating_point() and not torch.isfinite(output).all():
            names.append(name)

    hooks = [
        module.register_forward_hook(lambda _module, _input, output, name=name: look(name, output))
        for name, module in model.named_modules()
        if not any(module.children())
    ]
    try:
        yield names
    finally:
        for hook in hooks:
            hook.remove()
