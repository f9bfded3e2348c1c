"""Scores as a table for people and as JSON for programs."""

from collections.abc import Iterator, Sequence

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
    rows = [_row(score) for score in scores if score.name != "length"]
    if rows and terminal:
        _print_rich(rows)
    elif rows:
        print("\n".join(_plain_lines([HEADER, *rows])))
    print(f"{count} pairs" + "".join(map(_lengths, scores)))
    for signature, names in _by_signature(scores).items():
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
    if "low" not in parts:
        return score.name, f"{score.value:.2f}", "", "", ""
    interval = f"{parts['low']:.2f} - {parts['high']:.2f}"
    return score.name, f"{score.value:.2f}", f"{parts['p']:.2f}", f"{parts['r']:.2f}", interval


def _lengths(score: Score) -> str:
    if score.name != "length":
        return ""
    hyp, ref, empty = (score.parts[part] for part in ("hyp", "ref", "empty"))
    of_reference = f"({score.value:.2f} % of the reference's {ref:.1f})"
    return f", {empty} outputs empty, mean length {hyp:.1f} tokens {of_reference}"


def _plain_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *figures in rows:
        cells = [name.ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(figures, widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()


def _by_signature(scores: Sequence[Score]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for score in scores:
        names.setdefault(score.signature, []).append(score.name)
    return names
