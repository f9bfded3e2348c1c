"""Draws of the latents at decoding: ``--latent-inference sample`` and ``--latent-samples K``.

The noise of a draw depends on the seed, the number of the draw and the source text alone; so a text gets
the same draw whatever batch, order or command it comes in.
"""

import zlib

import torch
from torch import Tensor

LATENT_INFERENCE = ("mean", "sample")


def latent_noise(
    src_tokens: Tensor, pad: int, sizes: dict[str, int], seed: int, draw: int
) -> dict[str, Tensor]:
    """Standard normal noise for each latent of each sentence.

    Args:
        src_tokens: (B x T), padded on either side.
        sizes: latent name -> D.
        draw: number of the draw, from 0.

    Returns:
        name -> (B x D), on the device of ``src_tokens``.
    """
    rows = [_row(tokens[tokens.ne(pad)], sizes, seed, draw) for tokens in src_tokens.cpu()]
    return {name: torch.stack([row[name] for row in rows]).to(src_tokens.device) for name in sizes}


def _row(tokens: Tensor, sizes: dict[str, int], seed: int, draw: int) -> dict[str, Tensor]:
    text = zlib.crc32(tokens.numpy().tobytes())
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {draw} {text}".encode()))
    return {name: torch.randn(size, generator=generator) for name, size in sizes.items()}


def merge_draws(draws: list[list[list[dict]]]) -> list[list[dict]]:
    """Hypotheses of each sentence from all draws, best model score first, repeats left out.

    Args:
        draws: for each draw, fairseq's hypotheses (sentence -> list of dicts with ``tokens``, ``score``).
    """
    merged = []
    for of_sentence in zip(*draws, strict=True):
        pool = sorted((h for hypos in of_sentence for h in hypos), key=lambda h: -float(h["score"]))
        best: dict[tuple, dict] = {}
        for hypo in pool:
            best.setdefault(tuple(hypo["tokens"].tolist()), hypo)
        merged.append(list(best.values()))
    return merged
