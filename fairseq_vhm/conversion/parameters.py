"""From the released code's parameters to this plugin's: each is copied, reordered, or a table of positions.

What differs, and what becomes of it:

* symbols are numbered otherwise: rows of the tables and of the output layer are put in our order;
* positions: its sinusoids alternate sine and cosine, start at 0 and have other frequencies than fairseq's, so
  its table is kept as a learned one (``--encoder-learned-pos``), from fairseq's first position on;
* the recognition network of z_cls reads [x; y; z_mt; z_ms] there and [x; z_mt; z_ms; y] here: columns are
  reordered; all others read in the same order;
* attention inputs and feed-forward layers have no biases, as with ``--biases paper``;
* the layer norms of its decoder have epsilon 1e-6 (``--decoder-norm-eps``), those of the encoder 1e-5.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from fairseq_vhm.conversion.released import OUTPUT, SOURCE_TABLE, TARGET_TABLE, Released
from fairseq_vhm.errors import UserError

_ATTENTION = {
    "linear_q.weight": "q_proj.weight",
    "linear_k.weight": "k_proj.weight",
    "linear_v.weight": "v_proj.weight",
    "final_linear.weight": "out_proj.weight",
    "final_linear.bias": "out_proj.bias",
}
_FEED_FORWARD = {
    "feed_forward.linear_in.weight": "fc1.weight",
    "feed_forward.linear_out.weight": "fc2.weight",
}
_BLOCKS = {
    "encoder": {"self_attn": "self_attn"},
    "decoder": {"self_attn": "self_attn", "src_attn": "encoder_attn"},
}
_NORMS = {
    "encoder": ("self_attn_layer_norm", "final_layer_norm"),
    "decoder": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
}
_TABLES = {
    "encoder.embed_tokens.weight": SOURCE_TABLE,
    "decoder.embed_tokens.weight": TARGET_TABLE,
    "decoder.output_projection.weight": f"{OUTPUT}.weight",
    "decoder.output_projection.bias": f"{OUTPUT}.bias",
}
_THEIR_PART = {"encoder": "encoder", "decoder": "task1_decoder"}
_LATENTS = {"mt": "mt", "ms": "mls", "cls": "cls"}
_NO_WEIGHTS = ("encoder.embedding.pe", "task1_decoder.embedding.pe", "task1_decoder.upper_triangle")
_BUFFERS = {*_NO_WEIGHTS, "task1_decoder.zero_mask"}


def longest_texts(released: Released) -> tuple[int, int]:
    """The most positions of a source and of a target that the released code can read."""
    source, target, mask = (len(released[name]) for name in _NO_WEIGHTS)
    return source, min(target, mask)


def convert_parameters(released: Released, rows: list[int], pad: int, latents: bool) -> dict[str, Tensor]:
    """Our parameters by our names.

    Args:
        rows: for each symbol of our dictionary, its id there.
        pad: our id of padding; positions are numbered from the next one.
        latents: with the networks of the latents and Eq. 8, or without.

    Raises:
        UserError: a parameter is missing, of another shape, or unknown.
    """
    names = dict(_layer_names(released))
    _refuse_unknown(released, set(names.values()))
    if latents:
        names |= dict(_latent_names())
    copied = {ours: released[theirs] for ours, theirs in names.items()}
    tables = _tables(released, rows) | _positions(released, pad)
    if latents:
        name = "encoder.hierarchy.posterior.cls.mean.0.weight"
        copied[name] = _reorder_columns(copied[name], width=released[SOURCE_TABLE].size(1))
    return {name: weight.float().contiguous() for name, weight in (copied | tables).items()}


def _layer_names(released: Released) -> Iterator[tuple[str, str]]:
    """Our name and theirs of each parameter of the layers."""
    for part, theirs in _THEIR_PART.items():
        for number in range(released.layers(theirs)):
            layer, their_layer = f"{part}.layers.{number}", f"{theirs}.layers.{number}"
            for block, their_name in ((ours, name) for name, ours in _BLOCKS[part].items()):
                for their_weight, weight in _ATTENTION.items():
                    yield f"{layer}.{block}.{weight}", f"{their_layer}.{their_name}.{their_weight}"
            for their_weight, weight in _FEED_FORWARD.items():
                yield f"{layer}.{weight}", f"{their_layer}.{their_weight}"
            for place, norm in enumerate(_NORMS[part]):
                yield from _weight_and_bias(f"{layer}.{norm}", f"{their_layer}.norm.{place}")
        yield from _weight_and_bias(f"{part}.layer_norm", f"{theirs}.norm")


def _latent_names() -> Iterator[tuple[str, str]]:
    """Our name and theirs of each parameter of the latents and of Eq. 8."""
    for latent, theirs in _LATENTS.items():
        yield from _weight_and_bias(f"encoder.hierarchy.prior.{latent}.mean.0", f"mu_{theirs}_prior")
        yield from _weight_and_bias(f"encoder.hierarchy.posterior.{latent}.mean.0", f"mu_{theirs}_post")
        yield from _weight_and_bias(f"decoder.fusion.projections.{latent}", f"output_{theirs}")


def _weight_and_bias(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    for kind in ("weight", "bias"):
        yield f"{ours}.{kind}", f"{theirs}.{kind}"


def _tables(released: Released, rows: list[int]) -> dict[str, Tensor]:
    """The tables of symbols and the output layer, in the order of our dictionary."""
    for theirs in _TABLES.values():
        if len(released[theirs]) != len(rows):
            raise UserError(
                f"{released.path}: {theirs} has {len(released[theirs]):,} rows, but --vocab and the special "
                f"symbols make {len(rows):,}: give the vocabulary of its training"
            )
    return {ours: released[theirs][rows] for ours, theirs in _TABLES.items()}


def _positions(released: Released, pad: int) -> dict[str, Tensor]:
    """Its sinusoids as learned tables; fairseq looks the first position up in row ``pad + 1``."""
    longest = longest_texts(released)
    found = {}
    for part, theirs, length in zip(_THEIR_PART, _NO_WEIGHTS, longest, strict=False):
        table = released[theirs][:length]
        found[f"{part}.embed_positions.weight"] = torch.cat([torch.zeros(pad + 1, table.size(1)), table])
    return found


def _reorder_columns(weight: Tensor, width: int) -> Tensor:
    """[x; y; z_mt; z_ms] to [x; z_mt; z_ms; y]; x and y have ``width`` columns each."""
    return torch.cat([weight[:, :width], weight[:, 2 * width :], weight[:, width : 2 * width]], dim=1)


def _refuse_unknown(released: Released, of_layers: set[str]) -> None:
    of_latents = {theirs for _, theirs in _latent_names()}
    known = of_layers | of_latents | _BUFFERS | set(_TABLES.values())
    if unknown := sorted(set(released.weights) - known):
        raise UserError(
            f"{released.path}: holds {unknown[0]}, which the released code (commit 669bcde) has not; "
            "it is of another version"
        )
