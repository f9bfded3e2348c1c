"""The released code's model as a slow function of its weights, written from its description alone.

One sentence at a time, one head at a time, no modules: what ``vhm convert`` is held against.  Weights have
the names that the released code saves them under.
"""

import math
from argparse import Namespace

import torch
from torch import Tensor

SPECIALS = ["<unk>", "<pad>", "<bos>", "<eos>", "<MS>", "<MT>", "<CLS>"]
BOS, EOS = 2, 3
LATENT = {"mt": "mt", "ms": "mls", "cls": "cls"}
HEADS, LAYERS, WIDTH, INNER, LATENT_DIM, LONGEST = 2, 2, 12, 20, 6, 60


def random_checkpoint(words: list[str], seed: int = 1, share: bool = True, **options) -> dict:
    """A checkpoint of a small model with weights drawn at random."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    weights, symbols = {}, len(SPECIALS) + len(words)
    for part, norms in (("encoder", 2), ("task1_decoder", 3)):
        weights[f"{part}.embedding.embedding.weight"] = draw(symbols, WIDTH)
        weights[f"{part}.embedding.pe"] = sinusoids()
        for layer in (f"{part}.layers.{n}" for n in range(LAYERS)):
            for block in ("self_attn", "src_attn")[: norms - 1]:
                for name in ("linear_q", "linear_k", "linear_v", "final_linear"):
                    weights[f"{layer}.{block}.{name}.weight"] = draw(WIDTH, WIDTH)
                weights[f"{layer}.{block}.final_linear.bias"] = draw(WIDTH)
            weights[f"{layer}.feed_forward.linear_in.weight"] = draw(INNER, WIDTH)
            weights[f"{layer}.feed_forward.linear_out.weight"] = draw(WIDTH, INNER)
            for norm in range(norms):
                weights[f"{layer}.norm.{norm}.weight"] = 1 + draw(WIDTH)
                weights[f"{layer}.norm.{norm}.bias"] = draw(WIDTH)
        weights |= {f"{part}.norm.weight": 1 + draw(WIDTH), f"{part}.norm.bias": draw(WIDTH)}
    if share:
        weights["task1_decoder.embedding.embedding.weight"] = weights["encoder.embedding.embedding.weight"]
    weights["task1_decoder.upper_triangle"] = torch.ones(LONGEST, LONGEST).triu(1).byte()
    weights["task1_decoder.zero_mask"] = torch.zeros(1).byte()
    sizes = {"task1_generator.linear_hidden": (symbols, WIDTH)}
    for name, parents in (("mt", 0), ("mls", 0), ("cls", 2 * LATENT_DIM)):
        sizes[f"mu_{name}_prior"] = (LATENT_DIM, WIDTH + parents)
        sizes[f"mu_{name}_post"] = (LATENT_DIM, 2 * WIDTH + parents)
        sizes[f"output_{name}"] = (WIDTH, WIDTH + LATENT_DIM)
    for name, size in sizes.items():
        weights |= {f"{name}.weight": draw(*size), f"{name}.bias": draw(size[0])}
    opt = {"heads": HEADS, "dropout": 0.1, "label_smoothing": 0.1, "mono": False, "latent_dim": LATENT_DIM}
    return {"model": weights, "opt": Namespace(**{**opt, **options})}


def sinusoids() -> Tensor:
    """Sine and cosine in turn, of wavelengths from 2 pi to 10000 * 2 pi; the first position is 0."""
    table = torch.zeros(LONGEST, WIDTH)
    for position in range(LONGEST):
        for pair in range(WIDTH // 2):
            angle = position * 10000 ** (-2 * pair / WIDTH)
            table[position, 2 * pair], table[position, 2 * pair + 1] = math.sin(angle), math.cos(angle)
    return table


class Twin:
    """The model; texts are lists of ids, vectors and matrices have no batch dimension."""

    def __init__(self, weights: dict[str, Tensor]):
        self.weights = weights

    def linear(self, name: str, x: Tensor) -> Tensor:
        y = x @ self.weights[f"{name}.weight"].T
        return y + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else y

    def norm(self, name: str, x: Tensor, eps: float) -> Tensor:
        variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
        scaled = (x - mean) / (variance + eps).sqrt()
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def attend(self, name: str, x: Tensor, memory: Tensor, causal: bool = False) -> Tensor:
        q = self.linear(f"{name}.linear_q", x)
        k, v = self.linear(f"{name}.linear_k", memory), self.linear(f"{name}.linear_v", memory)
        size, heads = WIDTH // HEADS, []
        for start in range(0, WIDTH, size):
            part = slice(start, start + size)
            scores = q[:, part] @ k[:, part].T / math.sqrt(size)
            if causal:
                scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -1e18)
            heads.append(scores.softmax(-1) @ v[:, part])
        return self.linear(f"{name}.final_linear", torch.cat(heads, -1))

    def feed(self, layer: str, x: Tensor) -> Tensor:
        inner = self.linear(f"{layer}.feed_forward.linear_in", x).relu()
        return self.linear(f"{layer}.feed_forward.linear_out", inner)

    def embed(self, part: str, ids: list[int]) -> Tensor:
        table = self.weights[f"{part}.embedding.embedding.weight"]
        return table[ids] * math.sqrt(WIDTH) + sinusoids()[: len(ids)]

    def encode(self, ids: list[int]) -> Tensor:
        x = self.embed("encoder", ids)
        for layer in (f"encoder.layers.{n}" for n in range(LAYERS)):
            y = self.norm(f"{layer}.norm.0", x, 1e-5)
            x = x + self.attend(f"{layer}.self_attn", y, y)
            x = x + self.feed(layer, self.norm(f"{layer}.norm.1", x, 1e-5))
        return self.norm("encoder.norm", x, 1e-5)

    def decode(self, ids: list[int], memory: Tensor) -> Tensor:
        x = self.embed("task1_decoder", ids)
        for layer in (f"task1_decoder.layers.{n}" for n in range(LAYERS)):
            y = self.norm(f"{layer}.norm.0", x, 1e-6)
            x = x + self.attend(f"{layer}.self_attn", y, y, causal=True)
            x = x + self.attend(f"{layer}.src_attn", self.norm(f"{layer}.norm.1", x, 1e-6), memory)
            x = x + self.feed(layer, self.norm(f"{layer}.norm.2", x, 1e-6))
        return self.norm("task1_decoder.norm", x, 1e-6)

    def latent(self, name: str, kind: str, noise: float, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw, mean and log-variance, which is the softplus of the mean."""
        mean = self.linear(f"mu_{LATENT[name]}_{kind}", torch.cat(given))
        log_variance = torch.log(1 + mean.exp())
        return mean + noise * (log_variance / 2).exp(), mean, log_variance

    def infer(self, task: str, source: list[int], target: list[int] | None, noise: float):
        """The draw that enters the decoder, and the KL of its posterior against its prior in nats.

        With ``target`` (its BOS and EOS included) the draw is the posterior's, else the prior's.
        """
        x = self.encode(source).mean(0)
        names = ("mt", "ms") if task == "cls" else ()
        prior_locals = [self.latent(name, "prior", noise, x)[0] for name in names]
        z, mean, log_variance = self.latent(task, "prior", noise, x, *prior_locals)
        if target is None:
            return z, None
        xy = torch.cat([x, self.encode(target).mean(0)])
        locals_ = [self.latent(name, "post", noise, xy)[0] for name in names]
        z, posterior_mean, posterior = self.latent(task, "post", noise, xy, *locals_)
        ratio = (posterior - log_variance).exp() + (mean - posterior_mean) ** 2 / log_variance.exp()
        return z, 0.5 * (ratio - 1 - posterior + log_variance).sum()

    def log_probs(self, task: str, source: list[int], prefix: list[int], z: Tensor | None) -> Tensor:
        """(positions x symbols); without ``z`` as its beam search has them."""
        states = self.decode(prefix, self.encode(source))
        if z is not None:
            joined = torch.cat([states, z.expand(len(prefix), -1)], -1)
            states = self.linear(f"output_{LATENT[task]}", joined)
        return self.linear("task1_generator.linear_hidden", states).log_softmax(-1)

    def greedy(self, task: str, source: list[int], z: Tensor | None, longest: int = 12) -> list[int]:
        """The likeliest symbol in each step, up to EOS, which may not be the first."""
        prefix = [BOS]
        while len(prefix) <= longest and prefix[-1] != EOS:
            scores = self.log_probs(task, source, prefix, z)[-1]
            if len(prefix) == 1:
                scores[EOS] = -1e15
            prefix.append(int(scores.argmax()))
        return [symbol for symbol in prefix[1:] if symbol != EOS]
