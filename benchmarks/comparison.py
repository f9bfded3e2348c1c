"""The command line of ``train.py`` and ``decode.py``: pairs of systems, the work they get, their ratios."""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from material import Material, Shape
from pairing import Spread, check_device, make_parser, parse_pairs, parse_range, prepare, ratios
from systems import NAMES, OURS, SIZES, Setting, System, build

from fairseq_vhm.errors import UserError
from fairseq_vhm.tables import Table

WARM_UP = 1
"""Rounds before those that count."""


def parser_of(description: str) -> argparse.ArgumentParser:
    """Flags that say which systems do how much work where."""
    parser = make_parser(description)
    parser.add_argument(
        "--pair", action="append", metavar="A:B", required=True, help=f"two of {', '.join(NAMES)}; repeatable"
    )
    parser.add_argument("--released", type=Path, metavar="PATH", help="a clone of XL2248/VHM")
    parser.add_argument("--ours", default="", metavar="FLAGS", help="flags of fairseq-train for our systems")
    parser.add_argument(
        "--ours-b", default="", metavar="FLAGS", help="further ones for the second of a pair, if it is ours"
    )
    parser.add_argument("--vocab", type=int, default=8000, help="symbols, special ones included")
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--sentences", type=int, default=16, help="pairs of a mini-batch")
    parser.add_argument("--sources", default="30-50", help="words of a source, least and greatest number")
    parser.add_argument("--targets", default="10-20", help="words of a target, likewise")
    parser.add_argument("--same-documents", action="store_true", help="the sources of MS are those of CLS")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--bf16", action="store_true", help="bf16 for all but the released code")
    return parser


@dataclass(frozen=True)
class Comparison:
    """What a command line asks for: the pairs, and the systems by label with the work that they get."""

    given: argparse.Namespace
    pairs: list[tuple[str, str]]
    shape: Shape

    @classmethod
    def of(cls, given: argparse.Namespace) -> Self:
        """Check the flags and make the process ready.

        Raises:
            UserError: names the flag and the remedy.
        """
        prepare(given.threads)
        check_device(given.device)
        pairs = parse_pairs(given.pair, NAMES)
        if given.ours_b and not any(second in OURS for _, second in pairs):
            raise UserError(f"--ours-b: the second of no --pair is one of {', '.join(OURS)}; leave it out")
        sources, targets = parse_range(given.sources, "--sources"), parse_range(given.targets, "--targets")
        rounds = given.rounds + WARM_UP
        shape = Shape(given.vocab, given.sentences, sources, targets, rounds, given.same_documents)
        shape.check()
        return cls(given, pairs, shape)

    def labels(self, pair: tuple[str, str]) -> tuple[str, str]:
        """How a pair's systems are called: a second one of ours with the flags that set it apart."""
        first, second = pair
        return first, f"{second} {self.given.ours_b}".rstrip() if second in OURS else second

    @property
    def systems(self) -> dict[str, tuple[str, bool]]:
        """Label -> name, and whether it has the flags of ``--ours-b``; each system once."""
        return {
            label: (name, label != name)
            for pair in self.pairs
            for label, name in zip(self.labels(pair), pair, strict=True)
        }

    def build(self, labels: list[str], length: int = 1) -> tuple[Material, dict[str, System]]:
        """The work and the systems that do it; ``length`` words are decoded."""
        material = Material(self.shape)
        with tempfile.TemporaryDirectory() as folder:
            setting = self._setting(material.write(Path(folder) / "DATA"))
            return material, {label: self._system(label, setting, material, length) for label in labels}

    def _setting(self, data: Path) -> Setting:
        given = self.given
        released = given.released and given.released.resolve()
        return Setting(data, given.size, given.device, given.bf16, given.ours, given.ours_b, released)

    def _system(self, label: str, setting: Setting, material: Material, length: int) -> System:
        name, second = self.systems[label]
        return build(name, setting, material, length, second)

    def ratios(self, seconds: dict[str, list[float]]) -> list[dict]:
        """Of each pair: cost of the first to that of the second, round by round."""
        found = []
        for pair in map(self.labels, self.pairs):
            each = ratios(*(seconds[label] for label in pair))
            cost = Spread.of(each)
            found.append({"pair": pair, "cost_ratios": each, "cost_ratio": cost})
            found[-1]["throughput_ratio"] = 1 / cost.median
        return found


PAIR_COLUMNS = ["pair", "cost", "throughput"]


def pair_row(found: dict) -> list[str]:
    """The cells of :data:`PAIR_COLUMNS`."""
    return [" : ".join(found["pair"]), str(found["cost_ratio"]), f"{found['throughput_ratio']:.3f}"]


def pairs_table(rows: list[list[str]], more: tuple[str, ...] = ()) -> Table:
    """Ratios with further columns."""
    return Table("Ratios, first to second", PAIR_COLUMNS + list(more), rows)
