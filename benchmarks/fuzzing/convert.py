"""The reader of ``vhm convert``: a checkpoint of the released code."""

from argparse import Namespace
from pathlib import Path

import torch

from fairseq_vhm.conversion.parameters import convert_parameters, longest_texts
from fairseq_vhm.conversion.released import Released, read_vocabulary
from fairseq_vhm.conversion.vocabulary import ReleasedVocabulary
from fuzzing.cases import (
    lines,
    reader,
    saved,
)


def released() -> bytes:
    """A checkpoint of the released code with one layer of width 4."""
    sizes: dict[str, tuple[int, ...]] = {"task1_generator.linear_hidden": (9, 4)}
    weights: dict[str, torch.Tensor] = {}
    for part, blocks in (("encoder", ["self_attn"]), ("task1_decoder", ["self_attn", "src_attn"])):
        weights[f"{part}.embedding.embedding.weight"] = torch.ones(9, 4)
        weights[f"{part}.embedding.pe"] = torch.ones(20, 4)
        for block in blocks:
            for name in ("linear_q", "linear_k", "linear_v"):
                weights[f"{part}.layers.0.{block}.{name}.weight"] = torch.ones(4, 4)
            sizes[f"{part}.layers.0.{block}.final_linear"] = (4, 4)
        weights[f"{part}.layers.0.feed_forward.linear_in.weight"] = torch.ones(6, 4)
        weights[f"{part}.layers.0.feed_forward.linear_out.weight"] = torch.ones(4, 6)
        for norm in [f"layers.0.norm.{n}" for n in range(len(blocks) + 1)] + ["norm"]:
            weights |= {f"{part}.{norm}.{kind}": torch.ones(4) for kind in ("weight", "bias")}
    weights["task1_decoder.upper_triangle"] = torch.ones(20, 20)
    for name, parents in (("mt", 0), ("mls", 0), ("cls", 4)):
        sizes[f"mu_{name}_prior"], sizes[f"mu_{name}_post"] = (2, 4 + parents), (2, 8 + parents)
        sizes[f"output_{name}"] = (4, 6)
    for name, size in sizes.items():
        weights |= {f"{name}.weight": torch.ones(size), f"{name}.bias": torch.ones(size[0])}
    options = Namespace(heads=2, dropout=0.1, label_smoothing=0.1, mono=False)
    return saved({"model": weights, "opt": options})


@reader("released code's", "convert", lambda: {"released.pt": released(), "vocab": lines(["cat", "dog"])})
def read_released(folder: Path) -> None:
    found = Released.load(folder / "released.pt")
    vocabulary = ReleasedVocabulary(read_vocabulary(folder / "vocab"))
    found.shares_embeddings, found.option("heads", int), longest_texts(found)
    convert_parameters(found, vocabulary.rows(), 1, latents=True)
