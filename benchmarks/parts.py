"""What parts cost: the loss with the output layer, embeddings, attention, few rows' products, Adam's step.

    python benchmarks/parts.py
    python benchmarks/parts.py --symbols 69090 --rounds 5 --json parts.json

The parts take turns on the same numbers; the figures are medians of CPU seconds.  Memory is what a process of
its own has at its peak beyond what is there before: for 1,024 places, gradients of the layer in place.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from fairseq.optim.adam import Adam
from pairing import (
    Spread,
    cpu_seconds,
    in_fresh_process,
    make_parser,
    memory_now,
    peak_memory,
    prepare,
    take_turns,
    write_json,
)
from torch.nn.attention import SDPBackend, sdpa_kernel

from fairseq_vhm.modules.embedding import one_gradient, use_one_gradient
from fairseq_vhm.modules.token_loss import TokenLoss
from fairseq_vhm.tasks.training import float32_products

WIDTH, SENTENCES, PLACES = 512, 64, 17
CHUNKS = (64, 128, 256, 512)
SMOOTHING, PAD = 0.1, 1
ADAMS_SHAPES = [(8000, WIDTH)] + 24 * [(WIDTH, 2048)] + 72 * [(WIDTH, WIDTH)]


class Loss:
    """An output layer, features, and targets of 11 to 17 tokens."""

    def __init__(self, symbols: int):
        torch.manual_seed(1)
        self.weight = torch.nn.Parameter(torch.randn(symbols, WIDTH) * WIDTH**-0.5)
        self.bias = torch.nn.Parameter(torch.zeros(symbols))
        self.features = torch.randn(SENTENCES, PLACES, WIDTH)
        self.target = torch.randint(4, symbols, (SENTENCES, PLACES))
        lengths = torch.randint(11, PLACES + 1, (SENTENCES, 1))
        self.target[torch.arange(PLACES) >= lengths] = PAD

    def of_fairseq(self, features: torch.Tensor) -> torch.Tensor:
        log_p = F.log_softmax(F.linear(features, self.weight, self.bias), dim=-1, dtype=torch.float32)
        return label_smoothed_nll_loss(log_p.flatten(0, 1), self.target.flatten(), SMOOTHING, PAD)[0]

    def in_chunks(self, features: torch.Tensor, chunk: int) -> torch.Tensor:
        return TokenLoss(SMOOTHING, PAD, chunk)(features, self.weight, self.bias, self.target).loss

    def step(self, chunk: int | None) -> None:
        """Forward and backward; ``None``: fairseq's."""
        self.weight.grad = self.bias.grad = None
        features = self.features.clone().requires_grad_()
        loss = self.of_fairseq(features) if chunk is None else self.in_chunks(features, chunk)
        loss.backward()


class Lookups:
    """Source, target and decoder input of 16 pairs in one table, forward and backward."""

    LENGTHS = (40, 17, 17)

    def __init__(self, symbols: int):
        torch.manual_seed(1)
        self.table = torch.nn.Sequential(torch.nn.Embedding(symbols, WIDTH, padding_idx=PAD))
        self.tokens = [torch.randint(4, symbols, (16, length)) for length in self.LENGTHS]
        use_one_gradient(self.table)

    def step(self, together: bool) -> None:
        self.table[0].weight.grad = None
        with one_gradient(*(self.table if together else ())):
            sums = [self.table(tokens).sum() for tokens in self.tokens]
        sum(sums).backward()


class Attention:
    """Self-attention of so many tokens, forward and backward; as many words in each case."""

    HEADS, WORDS = 8, 3200
    LENGTHS = (20, 50, 100, 200, 400)
    KINDS = {"bf16": (torch.bfloat16, "highest"), "medium float32": (torch.float32, "medium")}
    KERNELS = {"fused": SDPBackend.FLASH_ATTENTION, "products": SDPBackend.MATH}

    def __init__(self, length: int, kind: str):
        torch.manual_seed(1)
        dtype, self.precision = self.KINDS[kind]
        shape = (self.WORDS // length, self.HEADS, length, WIDTH // self.HEADS)
        self.states = [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]

    def step(self, kernel: SDPBackend) -> None:
        with sdpa_kernel(kernel), float32_products(self.precision):
            F.scaled_dot_product_attention(*self.states).sum().backward()

    @classmethod
    def figures(cls, rounds: int) -> dict[str, dict[str, float]]:
        """CPU seconds of torch's fused kernel and of plain products, by length."""
        found = {}
        for kind, length in product(cls.KINDS, cls.LENGTHS):
            one = cls(length, kind)
            works = {name: partial(one.step, kernel) for name, kernel in cls.KERNELS.items()}
            found[f"attention in {kind}, {length} tokens"] = in_turn(works, rounds)
        return found


def products(rounds: int) -> dict[str, dict[str, float]]:
    """CPU seconds of 100 products of some rows with a matrix that lies row by row, and column by column."""
    weight, found = torch.randn(2048, WIDTH), {}
    layouts = {"by row": weight, "by column": weight.t().contiguous().t()}
    for rows in (4, 16, 64, 256):
        x = torch.randn(rows, WIDTH)
        works = {name: lambda x=x, w=w: [F.linear(x, w) for _ in range(100)] for name, w in layouts.items()}
        found[f"100 products of {rows} rows, 512 to 2,048"] = in_turn(works, rounds)
    return found


def memory_of(symbols: int, chunk: int | None) -> dict:
    """Bytes of one loss, forward and backward."""
    loss = Loss(symbols)
    for parameter in (loss.weight, loss.bias):
        parameter.grad = torch.ones_like(parameter)
    features = loss.features[:, :16].clone().requires_grad_()
    loss.target = loss.target[:, :16]
    before = memory_now()
    (loss.of_fairseq(features) if chunk is None else loss.in_chunks(features, chunk)).backward()
    return {"bytes": peak_memory("cpu") - before}


def adam(kind, **settings):
    """The step of an Adam over 48 million parameters."""
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in ADAMS_SHAPES]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    return kind(parameters, lr=1e-4, betas=(0.9, 0.998), **settings).step


def in_turn(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each work, after a round of warm-up."""
    numbered = {name: lambda _, work=work: work() for name, work in works.items()}
    seconds = take_turns(numbered, rounds, cpu_seconds)
    return {name: Spread.of(found).median for name, found in seconds.items()}


def losses(symbols: int, rounds: int) -> dict[str, float]:
    """Of fairseq's loss and of ours in chunks: seconds and MiB."""
    loss = Loss(symbols)
    works = {"fairseq": partial(loss.step, None)}
    works |= {f"chunks of {n}": partial(loss.step, n) for n in CHUNKS}
    found = in_turn(works, rounds)
    for name, chunk in (("fairseq", 0), ("chunks of 256", 256)):
        memory = in_fresh_process(__file__, "--symbols", str(symbols), "--memory", str(chunk))
        found[f"MiB of {name}"] = round(memory["bytes"] / 2**20)
    return found


def lookups(symbols: int, rounds: int) -> dict[str, float]:
    """Seconds with a gradient for each lookup, and with one for all."""
    table = Lookups(symbols)
    return in_turn({"each": partial(table.step, False), "one": partial(table.step, True)}, rounds)


def main() -> None:
    """The command."""
    parser = make_parser(__doc__)
    parser.add_argument("--symbols", type=int, nargs="+", default=[8000, 69090])
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    prepare(given.threads)
    if given.memory is not None:
        print(json.dumps(memory_of(given.symbols[0], given.memory or None)))
        return
    figures = {}
    for symbols in given.symbols:
        figures[f"loss, {symbols:,} symbols"] = losses(symbols, given.rounds)
        figures[f"gradient of the embedding, {symbols:,} symbols"] = lookups(symbols, given.rounds)
    figures |= Attention.figures(given.rounds) | products(given.rounds)
    adams = {"fairseq": adam(Adam), "fused": adam(torch.optim.AdamW, fused=True)}
    figures["adam"] = in_turn(adams, given.rounds)
    for part, found in figures.items():
        print(f"{part}: " + ", ".join(f"{name} {value:.3g}" for name, value in found.items()))
    write_json(given.json, __file__, figures, given.threads)


if __name__ == "__main__":
    main()
