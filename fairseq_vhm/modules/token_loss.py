"""Output projection and label-smoothed loss in one pass, a chunk of tokens at a time.

The logits of a batch never exist at once: of a chunk they are computed, turned in place into the gradient
of the loss, and used for the gradients of states and output layer, all in the forward pass.  Nothing is
computed twice, pads are left out, and what is kept for the backward pass is as large as the states and
the output layer.

With V symbols, smoothing e and e' = e / (V - 1), fairseq's loss of a token y with logits l is

    (1 - e - e') (log Z - l_y) + e' (V log Z - sum_v l_v),     Z = sum_v exp l_v,

and its gradient softmax(l)_v - e' - (1 - e - e') [v = y].  The sum over v and the constant e' need no
pass over the logits: with the output layer W, b, sum_v l_v = x . sum_v W_v + sum_v b_v.  And log Z is
max_v l_v - log max_v softmax(l)_v, which loses nothing however improbable y is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

HALF_PRECISION_SCALE = {torch.float16: 2.0**10}
"""Gradients of logits are multiplied by it, lest probabilities near 1 / V vanish in float16."""


class Summed(NamedTuple):
    """Sums over the tokens of a batch, in nats: the smoothed loss, and the negative log-likelihood."""

    loss: Tensor
    nll: Tensor


@dataclass(frozen=True)
class TokenLoss:
    """Label-smoothed cross-entropy of features that meet an output layer.

    Args:
        smoothing: e, shared evenly among all other symbols, as fairseq does.
        padding: the target symbol that counts nothing.
        chunk: tokens whose logits exist at once.
        ignored_prefix: leading positions of each target that count nothing.
    """

    smoothing: float
    padding: int
    chunk: int
    ignored_prefix: int = 0

    def __call__(self, features: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> Summed:
        """Sums over a batch; only ``loss`` has a gradient.

        Args:
            features: (B x T x C).
            weight, bias: of the output layer, (V x C) and (V).
            target: (B x T) symbols.
        """
        device = features.device.type
        if torch.is_autocast_enabled(device):
            kind = torch.get_autocast_dtype(device)
            features, weight = features.to(kind), weight.to(kind)
            bias = None if bias is None else bias.to(kind)
        states = features[:, self.ignored_prefix :].flatten(0, 1)
        target = target[:, self.ignored_prefix :].flatten()
        counted = target != self.padding
        if device == "cpu":  # pragma: no branch  (on CUDA the choice would wait for the device)
            states, target, counted = states[counted], target[counted], counted[counted]
        learns = torch.is_grad_enabled()  # within the function it never is
        settings = self.smoothing, self.chunk, learns
        with torch.autocast(device, enabled=False):
            sums = _ChunkedLoss.apply(states, weight, bias, target, counted, *settings)
        return Summed(*sums)

    def by_sentence(self, features: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> Summed:
        """The same for each sentence: sums (B)."""
        sums = [
            self(features[row : row + 1], weight, bias, target[row : row + 1]) for row in range(len(target))
        ]
        return Summed(*(torch.stack(of_all) for of_all in zip(*sums, strict=True)))


def decoded(
    decode: Callable[..., Any], layer: nn.Linear, token_loss: TokenLoss | None, target: Tensor | None
) -> Any:
    """A decoder's logits or, with ``token_loss``, the loss of ``target`` (B x T) in their place.

    Args:
        decode: a decoder of fairseq's, with its input; ``features_only`` asks it for states.
        layer: its output layer.

    Returns:
        Logits (B x T x V) or :class:`Summed`, and the decoder's extra outputs.
    """
    if token_loss is None:
        return decode()
    assert target is not None, "what the loss is of"
    states, extra = decode(features_only=True)
    return token_loss(states, layer.weight, layer.bias, target), extra


class _ChunkedLoss(torch.autograd.Function):
    """See the module; ``counted`` (N) says which of the N tokens count, ``learns`` whether gradients do."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        counted: Tensor,
        smoothing: float,
        chunk: int,
        learns: bool,
    ) -> tuple[Tensor, Tensor]:
        ctx.needed, ctx.kind = ctx.needs_input_grad[:3], states.dtype
        layer = _OutputLayer(weight, bias, smoothing)
        gradients = _Gradients(states, layer) if learns and any(ctx.needed) else None
        sums = states.new_zeros(2, dtype=layer.exact)
        for start in range(0, len(states), chunk):
            part = slice(start, start + chunk)
            losses, of_logits = layer.losses(states[part], target[part], gradients is not None)
            sums += losses @ counted[part].to(layer.exact)
            if gradients is not None and of_logits is not None:
                gradients.gather(part, of_logits, counted[part])
        ctx.gradients = None if gradients is None else gradients.finished()
        loss, nll = sums[0].clone(), sums[1].clone()
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor, _of_nll: Tensor) -> tuple:
        """The gradients taken in the forward pass, times that of the loss, in place: they serve once."""
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("the gradients of a loss in chunks serve one backward pass, and it is over")
        if of_loss.device.type != "cpu" or of_loss != 1:  # elsewhere the comparison would wait for the device
            gradients = [gradient.mul_(of_loss) for gradient in gradients]
        needed = zip(gradients, ctx.needed, strict=True)
        return *(gradient.to(ctx.kind) if need else None for gradient, need in needed), *[None] * 5


class _OutputLayer:
    """The output layer, and what the formulae need of it beside its logits; sums are in float32."""

    def __init__(self, weight: Tensor, bias: Tensor | None, smoothing: float):
        self.weight, self.bias = weight, bias
        self.share = smoothing / (len(weight) - 1)  # e'
        self.peak = 1.0 - smoothing - self.share
        self.exact = torch.promote_types(weight.dtype, torch.float32)
        self.summed_weight = weight.sum(dim=0, dtype=self.exact)
        self.summed_bias = 0.0 if bias is None else bias.sum(dtype=self.exact)
        self.room: Tensor | None = None  # for the logits of a chunk, the first of which is the largest

    def _logits(self, states: Tensor) -> Tensor:
        """Logits (N x V), which the next chunk's overwrite."""
        if self.room is None:
            self.room = states.new_empty(len(states), len(self.weight))
        out = self.room[: len(states)]
        if self.bias is None:
            return torch.mm(states, self.weight.T, out=out)
        return torch.addmm(self.bias, states, self.weight.T, out=out)

    def _probabilities(self, logits: Tensor) -> Tensor:
        """Their softmax (N x V), in their place where that is known to work: row by row, on a CPU."""
        in_place = logits.device.type == "cpu" and logits.dtype == self.exact
        return torch.softmax(logits, dim=1, dtype=self.exact, out=logits if in_place else None)

    def losses(self, states: Tensor, target: Tensor, gradient: bool) -> tuple[Tensor, Tensor | None]:
        """Smoothed losses and NLLs (2 x N) of states (N x C); softmax(l)_v - (1 - e - e') [v = y] (N x V)."""
        logits, target = self._logits(states), target.unsqueeze(1)
        of_target, highest = logits.gather(1, target), logits.amax(dim=1)
        p = self._probabilities(logits)
        log_z = highest - p.amax(dim=1).log()
        nll = log_z - of_target.squeeze(1)
        summed = states.to(self.exact) @ self.summed_weight + self.summed_bias
        loss = self.peak * nll + self.share * (len(self.weight) * log_z - summed)
        if gradient:
            p.scatter_add_(1, target, p.new_full((), -self.peak).expand(target.shape))
        return torch.stack([loss, nll]), p if gradient else None


class _Gradients:
    """Gradients of the summed loss by states (N x C), weight and bias, gathered chunk by chunk."""

    def __init__(self, states: Tensor, layer: _OutputLayer):
        self.states, self.layer = states, layer
        self.scale = HALF_PRECISION_SCALE.get(states.dtype, 1.0)
        self.of_states = torch.empty_like(states, dtype=layer.exact)
        self.of_weight: Tensor | None = None
        self.of_bias = torch.zeros_like(layer.weight[:, 0], dtype=layer.exact)
        self.counted = states.new_zeros(len(states), 1)

    def gather(self, part: slice, of_logits: Tensor, counted: Tensor) -> None:
        """Add a chunk's; the constant e' of the logits' gradient comes where it costs least."""
        layer, kind = self.layer, self.states.dtype
        self.counted[part] = counted.unsqueeze(1)
        states = self.states[part] * self.counted[part]
        self.of_bias += counted.to(layer.exact) @ of_logits
        of_logits = (of_logits if self.scale == 1 else of_logits.mul_(self.scale)).to(kind)
        of_states = self._exact(of_logits @ layer.weight).sub_(layer.summed_weight, alpha=layer.share)
        torch.mul(of_states, self.counted[part], out=self.of_states[part])
        if self.of_weight is None:
            self.of_weight = self._exact(of_logits.T @ states)
        elif kind == layer.exact:
            self.of_weight.addmm_(of_logits.T, states)
        else:
            self.of_weight.add_(self._exact(of_logits.T @ states))

    def _exact(self, product: Tensor) -> Tensor:
        """A product with the scaled gradient of the logits, in float32 and without the scale."""
        product = product.to(self.layer.exact)
        return product if self.scale == 1 else product.div_(self.scale)

    def finished(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients by states, weight and bias, e' included, in float32: a loss scale is still to come."""
        if self.of_weight is None:
            self.of_weight = torch.zeros_like(self.layer.weight, dtype=self.layer.exact)
        kept = (self.states * self.counted).sum(dim=0, dtype=self.layer.exact)
        self.of_weight.sub_(kept, alpha=self.layer.share)
        self.of_bias.sub_(self.counted.sum(dtype=self.layer.exact), alpha=self.layer.share)
        return self.of_states, self.of_weight, self.of_bias
