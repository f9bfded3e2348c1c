"""How many sentences a second of computing decodes: systems in turn on the same CLS sources.

    python benchmarks/decode.py --pair vhm:fairseq --pair vhm:released --released ../VHM

Beam 4, outputs of a fixed number of words by weights drawn at random, so that all do the same number of
steps: ours and fairseq's through fairseq's generator, the released code's through its own beam search.
"""

from comparison import WARM_UP, Comparison, pair_row, pairs_table, parser_of
from pairing import Spread, clock_of, take_turns, write_json

from fairseq_vhm.errors import UserError
from fairseq_vhm.tables import Table


def measure(wanted: Comparison, length: int) -> dict:
    """Sentences a second, and the ratios of the costs."""
    _, systems = wanted.build(list(wanted.systems), length)
    decoders = {label: system.decode for label, system in systems.items()}
    seconds = take_turns(decoders, wanted.given.rounds, clock_of(wanted.given.device), WARM_UP)
    sentences = wanted.shape.sentences
    found = {
        label: {"seconds": each, "sentences_per_second": Spread.of([sentences / s for s in each])}
        for label, each in seconds.items()
    }
    return {"systems": found, "pairs": wanted.ratios(seconds)}


def main() -> None:
    """The command."""
    parser = parser_of(__doc__)
    parser.add_argument("--length", type=int, default=20, help="words of each output")
    given = parser.parse_args()
    if given.length < 1:
        raise UserError(f"--length {given.length}: give at least 1")
    figures = measure(Comparison.of(given), given.length)
    rows = [[label, str(one["sentences_per_second"])] for label, one in figures["systems"].items()]
    columns = ["system", "sentences / s"]
    print(Table("Decoding, median (least-most)", columns, rows).plain(), end="\n\n")
    print(pairs_table([pair_row(pair) for pair in figures["pairs"]]).plain())
    write_json(given.json, __file__, figures, given.threads)


if __name__ == "__main__":
    main()
