"""What was tried for speed and is not done, so that nobody tries it twice without need.

    python benchmarks/trials.py [--json trials.json]

* One call of the encoder for a mini-batch's sources and its targets, which the recognition networks read, in
  place of two: fewer and larger products, but a target is padded to its source's length.  Likewise the
  sources of two tasks.
* ``torch.compile`` of an encoder layer, for lengths that change from one mini-batch to the next.

Base, forward and backward, CPU time; the ways take turns.  Compiling has a figure of its own.
"""

import torch
from pairing import Spread, cpu_seconds, make_parser, prepare, ratios, seconds_of, take_turns, write_json
from torch import nn

from fairseq_vhm.tables import Table

WIDTH, INNER, HEADS, LAYERS = 512, 2048, 8, 6
DROPOUT = 0.1
LENGTHS = {"40 and 15 words, 64 pairs": (64, 40, 15), "40 and 15 words, 4 pairs": (4, 40, 15)}
LENGTHS |= {"20 and 15 words, 4 pairs": (4, 20, 15), "sources of two tasks, 64 pairs": (64, 40, 40)}
LENGTHS |= {"sources of two tasks, 4 pairs": (4, 40, 40)}
COMPILED = (64, (38, 41, 44, 47))
"""Pairs of a mini-batch, and the lengths of some."""


def encoder(layers: int) -> nn.Module:
    """A stack of pre-norm layers as the Transformer's, without embedding."""
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, DROPOUT, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


def states(rows: int, length: int) -> torch.Tensor:
    return torch.randn(rows, length, WIDTH)


def one_call(given) -> dict:
    """Cost of one call to that of two, by lengths."""
    model, found = encoder(LAYERS), {}
    for name, (rows, source, target) in LENGTHS.items():
        texts = states(rows, source), states(rows, target)
        in_one = torch.cat([texts[0], nn.functional.pad(texts[1], (0, 0, 0, source - target))])
        is_pad = torch.zeros(2 * rows, source, dtype=torch.bool)
        is_pad[rows:, target:] = True
        is_pad = is_pad if target < source else None

        def together(_, x=in_one, is_pad=is_pad):
            model(x, src_key_padding_mask=is_pad).sum().backward()

        def apart(_, texts=texts):
            sum(model(x).sum() for x in texts).backward()

        seconds = take_turns({"one": together, "two": apart}, given.rounds, cpu_seconds)
        found[f"one call of the encoder: {name}"] = {"cost": Spread.of(ratios(*seconds.values()))}
    return found


def compiled(given) -> dict:
    """Cost of a compiled layer to that of the plain one, and seconds until it is compiled."""
    plain, rows = encoder(1), COMPILED[0]
    fast = torch.compile(plain, dynamic=True)
    batches = [states(rows, length) for length in COMPILED[1]]

    def step(model):
        for x in batches:
            model(x).sum().backward()

    compiling = seconds_of(cpu_seconds, step, fast)
    ways = {"compiled": lambda _: step(fast), "plain": lambda _: step(plain)}
    seconds = take_turns(ways, given.rounds, cpu_seconds)
    cost = Spread.of(ratios(*seconds.values()))
    return {"torch.compile of a layer": {"cost": cost, "seconds_to_compile": compiling}}


def main() -> None:
    """The command."""
    given = make_parser(__doc__).parse_args()
    prepare(given.threads)
    figures = one_call(given) | compiled(given)
    rows = [
        [name, str(one["cost"]), f"{one['seconds_to_compile']:.0f}" if "seconds_to_compile" in one else ""]
        for name, one in figures.items()
    ]
    print(Table("Cost to that of what is done", ["trial", "cost", "compiling (CPU s)"], rows).plain())
    write_json(given.json, __file__, figures, given.threads)


if __name__ == "__main__":
    main()
