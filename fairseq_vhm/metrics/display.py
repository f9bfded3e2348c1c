"""Scores as a table for people and as JSON for programs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fairseq_vhm.metrics.base import Score

JSON_DECIMALS = 5
HEADER = ("metric", "score", "P", "R", "95% interval")


def as_json(scores: Sequence[Score], count: int) -> dict:
    """``{"metric": {NAME: parts}, "signature": {NAME: text}, "n": pairs}``, F in points."""
    return {
        "metric": {
            score.name: {part: round(figure, JSON_DECIMALS) for part, figure in score.parts.items()}
            for score in scores
        },
        "signature": {score.name: score.signature for score in scores},
        "n": count,
    }


def print_table(scores: Sequence[Score], count: int, terminal: bool) -> None:
    """Print figures and signatures: with rich on a terminal, as plain text elsewhere."""
    rows = [_row(score) for score in scores if score.name not in TOLD]
    if rows and terminal:
        _print_rich(rows)
    elif rows:
        print("\n".join(_plain_lines([HEADER, *rows])))
    told = [TOLD[score.name](score.parts) for score in scores if score.name in TOLD]
    print("\n".join([f"{count} pairs", *told]))
    for signature, names in names_by_signature((score.name, score.signature) for score in scores).items():
        print(f"{', '.join(names)}: {signature}")


def _print_rich(rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in HEADER:
        table.add_column(column, justify="left" if column == HEADER[0] else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _row(score: Score) -> tuple[str, ...]:
    parts = score.parts
    sides = [f"{parts[side]:.2f}" if side in parts else "" for side in ("p", "r")]
    interval = f"{parts['low']:.2f} - {parts['high']:.2f}" if "low" in parts else ""
    return score.name, f"{score.value:.2f}", *sides, interval


def _lengths(parts: Mapping[str, float]) -> str:
    return (
        f"length: {parts['hyp']:.1f} tokens an output ({parts['value']:.2f} % of the reference's"
        f" {parts['ref']:.1f}), {parts['empty']:.0f} outputs empty"
    )


def _off_target(parts: Mapping[str, float]) -> str:
    others = [f"{count:.0f} in {name[3:]}" for name, count in parts.items() if name.startswith("in_")]
    untold = parts["empty"] + parts["unidentified"]
    return (
        f"offtarget: {parts['value']:.2f} % of outputs ({parts['low']:.2f} - {parts['high']:.2f};"
        f" references {parts['references']:.2f} %): {', '.join(others) or 'none identified'};"
        f" {untold:.0f} empty or without a tellable language"
    )


def _copied(parts: Mapping[str, float]) -> str:
    shares = ", ".join(f"{parts[f'copied{n}']:.2f} ({parts[f'ref_copied{n}']:.2f})" for n in range(1, 5))
    return (
        f"copy: % of 1- to 4-grams that stand in the source: {shares}; longest span"
        f" {parts['longest']:.1f} ({parts['ref_longest']:.1f}) tokens; whole copies"
        f" {parts['whole']:.2f} ({parts['ref_whole']:.2f}) %; in brackets, of references"
    )


TOLD = {"length": _lengths, "offtarget": _off_target, "copy": _copied}
"""Metrics that are no row of the table but a line of what looks wrong."""


def _plain_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *figures in rows:
        cells = [name.ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(figures, widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()


def names_by_signature(metrics: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The metrics that were made alike, from pairs of name and signature."""
    names: dict[str, list[str]] = {}
    for name, signature in metrics:
        names.setdefault(signature, []).append(name)
    return names
